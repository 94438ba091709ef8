// SPDX-License-Identifier: GPL-2.0

//! The documentation of the kernel modules' crates, by rustdoc.
//!
//! The kernel's rule for that (`cmd_rustdoc` in rust/Makefile) knows its own crates only. Here each crate is documented by the
//! command that has compiled it, which the kernel's build saves beside the object, with rustdoc in the place of rustc.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use walkdir::WalkDir;

use crate::diagnostics::Diagnostics;
use crate::fsutil::{self, read_text};
use crate::kernel::Kernel;
use crate::modules::{BuildOptions, INSIDE, WorkFolder, make};
use crate::process;
use crate::sandbox::Sandbox;
use crate::session::Session;

/// Where the sandbox sees the documentation.
const OUTPUT: &str = "/doc";

/// What the kernel's build exports to its compilers: that these may use what is unstable, and where generated sources are.
const ENVIRONMENT: [(&str, &str); 2] = [("RUSTC_BOOTSTRAP", "1"), ("XEN_RS_OUT", INSIDE)];

/// The folder whose crate is generated from C headers, and which no driver sees.
const GENERATED: &str = "bindings/";

/// Documents the crates of the modules for a kernel; the folder `output` is made anew. A driver's crate is documented with its
/// private items, for it has hardly any other, those that drivers use only if `private`. Returns the crates' names.
///
/// # Errors
///
/// Also for warnings; those of all crates are in one error.
pub fn kernel_crates(
    session: &Session,
    sandbox: &Sandbox,
    kernel: &Kernel,
    output: &Path,
    private: bool,
) -> Result<Vec<String>> {
    let work = WorkFolder::of_kernel(session, "build", kernel)?;
    let step = session.ui.step(format!(
        "Documenting the modules' crates for {}",
        kernel.release
    ));
    let options = BuildOptions::default();
    let mut modules = make(session, sandbox, kernel, &work, options, &["modules"])?;
    process::run(
        &step,
        "building the modules",
        &mut modules,
        &session.log("doc-modules"),
    )?;
    fsutil::remove_all(output)?;
    fs::create_dir_all(output).with_context(|| format!("cannot make {}", output.display()))?;
    let crates = in_order(compiled(&work.path)?);
    ensure!(
        !crates.is_empty(),
        "no command that compiles a crate was found: a bug of this tool, please report it with the kernel's version, {}",
        kernel.release
    );
    let log = session.log("doc");
    let mut found = Diagnostics::default();
    let mut failures = Vec::new();
    for krate in &crates {
        let is_used = crates.iter().any(|other| other.uses.contains(&krate.name));
        let mut rustdoc = kernel
            .show_devel(sandbox.command("sh"))
            .args(["-c", &krate.rustdoc(private || !is_used)])
            .bind(&work.path, INSIDE)
            .bind(output, OUTPUT)
            .current_dir(INSIDE);
        for (name, value) in ENVIRONMENT {
            rustdoc = rustdoc.env(name, value);
        }
        let mut rustdoc = rustdoc.build()?;
        let what = format!("documenting {}", krate.name);
        let documented =
            process::run_watched(&step, &what, &mut rustdoc, &log, |line| found.line(line));
        failures.extend(documented.err());
    }
    if found.has_error() {
        bail!(
            "the documentation has mistakes:\n{}\nThe whole log: {}",
            found.text(),
            log.display()
        );
    }
    if let Some(failure) = failures.pop() {
        return Err(failure);
    }
    let names: Vec<_> = crates.into_iter().map(|krate| krate.name).collect();
    step.done(&names.join(", "));
    Ok(names)
}

/// A crate and the command that has compiled it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Compiled {
    name: String,
    /// The crates it names as dependencies that have a file of their own: ours.
    uses: BTreeSet<String>,
    /// Variables, the compiler and its arguments.
    words: Vec<String>,
}

impl Compiled {
    /// What a file `.NAME.o.cmd` says, if it is about a crate with this folder's source, which may be gone meanwhile.
    fn parse(text: &str, dir: &Path) -> Option<Self> {
        let (_, command) = text.lines().find_map(|line| {
            let line = line.strip_prefix("savedcmd_")?;
            line.split_once(" := ")
        })?;
        let words: Vec<_> = command.split_whitespace().map(str::to_owned).collect();
        let program = words.iter().find(|word| !word.contains('='))?;
        let source = words.iter().rfind(|word| word.ends_with(".rs"))?;
        let is_ours = !source.starts_with(GENERATED) && dir.join(source).is_file();
        if fsutil::name(Path::new(program)) != "rustc" || !is_ours {
            return None;
        }
        let externs = words.iter().zip(words.iter().skip(1));
        let uses = externs
            .filter(|(option, _)| *option == "--extern")
            .filter_map(|(_, value)| Some(value.split_once('=')?.0.to_owned()))
            .collect();
        Some(Self {
            name: PathBuf::from(source).file_stem()?.to_str()?.to_owned(),
            uses,
            words,
        })
    }

    /// The shell command that documents it.
    fn rustdoc(&self, private: bool) -> String {
        let mut words = Vec::new();
        let mut compiled = self.words.iter();
        while let Some(word) = compiled.next() {
            match word.as_str() {
                // What rustc would write, and where.
                "--out-dir" => drop(compiled.next()),
                word if word.starts_with("--emit=") => {}
                word if !word.contains('=') && fsutil::name(Path::new(word)) == "rustc" => {
                    words.push("rustdoc");
                }
                word => words.push(word),
            }
        }
        words.extend(["-Dwarnings", "--output", OUTPUT]);
        if private {
            // Links of public items to private ones lead somewhere then.
            words.extend([
                "--document-private-items",
                "-Arustdoc::private_intra_doc_links",
            ]);
        }
        words.join(" ")
    }
}

/// The crates that were compiled in a folder.
fn compiled(dir: &Path) -> Result<Vec<Compiled>> {
    let mut crates = Vec::new();
    for entry in WalkDir::new(dir).sort_by_file_name() {
        let entry = entry.with_context(|| format!("cannot read {}", dir.display()))?;
        if fsutil::name(entry.path()).ends_with(".o.cmd") {
            crates.extend(Compiled::parse(&read_text(entry.path())?, dir));
        }
    }
    Ok(crates)
}

/// Each after those that it uses, so that its links to their items lead somewhere.
fn in_order(mut crates: Vec<Compiled>) -> Vec<Compiled> {
    let mut ordered: Vec<Compiled> = Vec::new();
    while !crates.is_empty() {
        let waiting: BTreeSet<_> = crates.iter().map(|krate| krate.name.clone()).collect();
        let (ready, rest): (Vec<_>, Vec<_>) = crates
            .into_iter()
            .partition(|krate| krate.uses.is_disjoint(&waiting));
        if ready.is_empty() {
            // Crates cannot use each other in a circle.
            ordered.extend(rest);
            break;
        }
        ordered.extend(ready);
        crates = rest;
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    const CRATE: &str = "savedcmd_xen/xen.o := OBJTREE=/kernel/O RUST_MODFILE=./xen_rs rustc --edition=2021 \
        --emit=metadata=./xen/libxen.rmeta --extern xen_abi=/p/abi/libxen_abi.rmeta --extern kernel --cfg MODULE \
        -Zcrate-attr='feature(a,b)' --out-dir xen/ --emit=obj=xen/xen.o xen/xen.rs  \n\nsource_xen/xen.o := xen/xen.rs\n";

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for file in files {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        dir
    }

    #[test]
    fn the_compilers_command_becomes_rustdocs() {
        let dir = folder(&["xen/xen.rs"]);
        let krate = Compiled::parse(CRATE, dir.path()).unwrap();
        assert_eq!(krate.name, "xen");
        assert_eq!(krate.uses, BTreeSet::from(["xen_abi".to_owned()]));
        assert_eq!(
            krate.rustdoc(true),
            "OBJTREE=/kernel/O RUST_MODFILE=./xen_rs rustdoc --edition=2021 --extern xen_abi=/p/abi/libxen_abi.rmeta \
             --extern kernel --cfg MODULE -Zcrate-attr='feature(a,b)' xen/xen.rs -Dwarnings --output /doc \
             --document-private-items -Arustdoc::private_intra_doc_links"
        );
    }

    #[test]
    fn other_commands_and_crates_that_are_gone_are_left_out() {
        let dir = folder(&["xen/exports.c"]);
        assert_eq!(Compiled::parse(CRATE, dir.path()), None);
        let c = "savedcmd_xen/exports.o := gcc -c -o xen/exports.o xen/exports.c\n";
        assert_eq!(Compiled::parse(c, dir.path()), None);
        assert_eq!(Compiled::parse("", dir.path()), None);
    }

    #[test]
    fn crates_come_after_those_that_they_use() {
        let krate = |name: &str, uses: &[&str]| Compiled {
            name: name.into(),
            uses: uses.iter().map(|name| (*name).to_owned()).collect(),
            words: vec![],
        };
        let crates = vec![
            krate("a", &["c", "b"]),
            krate("b", &["c", "elsewhere"]),
            krate("c", &[]),
        ];
        let names: Vec<_> = in_order(crates)
            .into_iter()
            .map(|krate| krate.name)
            .collect();
        assert_eq!(names, ["c", "b", "a"]);
    }
}
