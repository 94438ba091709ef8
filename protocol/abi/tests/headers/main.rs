// SPDX-License-Identifier: GPL-2.0

//! Compares every number and structure of the crate with the real C headers, through bindgen.
//!
//! [`table`] lists each item once, with the C expression that has to have the same value in Xen's
//! public headers and in the Linux kernel's copy of them; [`c_side`] lets bindgen evaluate the
//! expressions; [`complete`] makes sure that no public item of the crate is missing in the table.
//!
//! Environment:
//!
//! - `PARAVANE_XEN_HEADERS`: the folder that contains `xen/xen.h`, `/usr/include` with Debian's
//!   `libxen-dev`.
//! - `PARAVANE_LINUX_HEADERS`: the top of a kernel source tree or headers package, the folder
//!   that contains `include/xen/interface` and `arch/x86/include`.
//! - `PARAVANE_BINDGEN`: the bindgen program, `bindgen` if not set. It reads a header from the
//!   temporary folder (`TMPDIR`), so a wrapper that runs it elsewhere has to show it that folder.
//!
//! A comparison whose headers are not given is reported as ignored, never as passed. Setting
//! `PARAVANE_HEADERS_REQUIRED` turns that into a failure.

mod c_side;
mod complete;
mod table;

use c_side::Headers;
use std::env::{args, var_os};
use std::process::ExitCode;

/// Runs the tests with the output and the arguments (a filter, `--list`) of the standard
/// harness.
fn main() -> ExitCode {
    let filter: Vec<String> = args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let wanted = |name: &str| filter.is_empty() || filter.iter().any(|part| name.contains(part));
    let tests: [(&str, Test); 4] = [
        ("every_public_item_is_in_the_table", complete::check),
        ("numbers_and_layouts_match_xens_headers", || {
            compare(Headers::Xen)
        }),
        ("layouts_of_32_bit_code_match_xens_headers", || {
            compare(Headers::Xen32)
        }),
        ("numbers_and_layouts_match_linuxs_headers", || {
            compare(Headers::Linux)
        }),
    ];
    if args().any(|arg| arg == "--list") {
        tests.iter().for_each(|(name, _)| println!("{name}: test"));
        println!("\n{} tests, 0 benchmarks", tests.len());
        return ExitCode::SUCCESS;
    }
    let chosen: Vec<_> = tests.iter().filter(|(name, _)| wanted(name)).collect();
    println!("\nrunning {} tests", chosen.len());
    let (mut passed, mut ignored, mut failed) = (0, 0, 0);
    for (name, test) in &chosen {
        match test() {
            Outcome::Passed => {
                passed += 1;
                println!("test {name} ... ok");
            }
            Outcome::Ignored(why) => {
                ignored += 1;
                println!("test {name} ... ignored, {why}");
            }
            Outcome::Failed(why) => {
                failed += 1;
                println!("test {name} ... FAILED\n{why}");
            }
        }
    }
    println!(
        "\ntest result: {}. {passed} passed; {failed} failed; {ignored} ignored; 0 measured; \
         {} filtered out; finished in 0.00s\n",
        if failed == 0 { "ok" } else { "FAILED" },
        tests.len() - chosen.len(),
    );
    ExitCode::from(u8::from(failed > 0))
}

type Test = fn() -> Outcome;

enum Outcome {
    Passed,
    Ignored(String),
    Failed(String),
}

fn compare(headers: Headers) -> Outcome {
    let Some(folder) = var_os(headers.variable()) else {
        let why = format!("{} is not set", headers.variable());
        return match var_os("PARAVANE_HEADERS_REQUIRED") {
            Some(_) => Outcome::Failed(why),
            None => Outcome::Ignored(why),
        };
    };
    let table = table::entries();
    let entries: Vec<(&table::Entry, &str)> = table
        .iter()
        .filter_map(|entry| Some((entry, headers.of(&entry.c)?)))
        .collect();
    let expressions: Vec<&str> = entries.iter().map(|(_, c)| *c).collect();
    let values = match headers.evaluate(folder.as_ref(), &expressions) {
        Ok(values) => values,
        Err(why) => return Outcome::Failed(why),
    };
    let wrong: Vec<String> = entries
        .iter()
        .zip(&values)
        .filter(|((ours, _), theirs)| ours.value != **theirs)
        .map(|((ours, c), theirs)| {
            format!("  {} is {}, but {c} is {theirs}", ours.what, ours.value)
        })
        .collect();
    if wrong.is_empty() {
        println!("{} values compared", values.len());
        Outcome::Passed
    } else {
        Outcome::Failed(wrong.join("\n"))
    }
}
