// SPDX-License-Identifier: GPL-2.0

//! Inputs that broke a promise once, as `cargo xtask fuzz` found them: a folder for each target.

use std::fs;
use std::panic::{catch_unwind, resume_unwind};
use std::path::Path;
use xen_fuzz::TARGETS;

#[test]
fn inputs_that_broke_a_promise_break_none() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions");
    for entry in fs::read_dir(folder).expect("a folder of regressions") {
        let folder = entry.expect("an entry").path();
        if !folder.is_dir() {
            continue;
        }
        let name = folder.file_name().and_then(|name| name.to_str());
        let found = TARGETS.iter().find(|(known, _)| Some(*known) == name);
        let (name, target) = found.unwrap_or_else(|| panic!("no target for {}", folder.display()));
        for input in fs::read_dir(&folder).expect("a folder of inputs") {
            let file = input.expect("an entry").path();
            let input = fs::read(&file).expect("an input");
            if let Err(panic) = catch_unwind(|| target(&input)) {
                eprintln!("{name}: {}", file.display());
                resume_unwind(panic);
            }
        }
    }
}
