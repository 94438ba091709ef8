// SPDX-License-Identifier: GPL-2.0

//! Building our kernel modules against a prepared kernel.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};

use crate::cache::Entry;
use crate::digest::Digest;
use crate::fsutil;
use crate::kernel::Kernel;
use crate::process;
use crate::resolve;
use crate::sandbox::Sandbox;
use crate::session::Session;
use crate::stage;

/// Where the sandbox sees the staged sources. Error messages name files below it, so it looks like the work
/// tree.
const INSIDE: &str = "/paravane/linux-pv";

/// Modules that were built.
#[derive(Clone)]
pub struct Modules {
    /// The kernel they are for, as `uname -r` says it.
    pub release: String,
    entry: Arc<Entry>,
}

/// What to build with.
#[derive(Clone, Copy, Debug, Default)]
pub struct BuildOptions {
    /// Check with clippy, whose findings are errors.
    pub clippy: bool,
}

impl Modules {
    /// Builds the modules of the work tree; what did not change is not built again.
    pub fn build(
        session: &Session,
        sandbox: &Sandbox,
        kernel: &Kernel,
        options: BuildOptions,
    ) -> Result<Self> {
        let step = session
            .ui
            .step(format!("Building the modules for {}", kernel.release));
        let folder = if options.clippy { "clippy" } else { "build" };
        let name = format!("{}-{}", kernel.release, kernel.key());
        let work = session
            .cache
            .state_dir("work")?
            .join(format!("{folder}-{name}"));
        let _lock = session.cache.lock(&format!("work.{folder}-{name}"))?;
        stage::sync(&session.workspace().join("linux-pv"), &work)?;
        let log = session.log(if options.clippy {
            "clippy-modules"
        } else {
            "modules"
        });
        let mut make = sandbox
            .command("make")
            .args([
                "-C",
                "/kernel/O",
                &format!("M={INSIDE}"),
                &format!("-j{}", session.jobs()),
            ])
            .arg(format!(
                "LOCALVERSION={}",
                resolve::local_version(&kernel.release)
            ))
            .args(options.clippy.then_some("CLIPPY=1"))
            .arg("modules")
            .ro_bind(kernel.devel(), "/kernel")
            .bind(&work, INSIDE)
            .build()?;
        let mut diagnostics = Diagnostics::default();
        let built = process::run_watched(&step, "building the modules", &mut make, &log, |line| {
            diagnostics.line(line)
        });
        if let Err(error) = built {
            drop(step);
            let found = diagnostics.text();
            if found.is_empty() {
                return Err(error);
            }
            bail!(
                "the modules do not build:\n{found}\nThe whole log: {}",
                log.display()
            );
        }
        let kos = find_kos(&work)?;
        if kos.is_empty() {
            bail!(
                "no module was built, though make reported success (log: {})",
                log.display()
            );
        }
        let modules = Self {
            release: kernel.release.clone(),
            entry: Arc::new(keep(session, kernel, &kos)?),
        };
        let warnings = diagnostics.count;
        step.done(&format!(
            "{}{}",
            modules.names().join(", "),
            if warnings > 0 {
                format!(" ({warnings} warnings, see {})", log.display())
            } else {
                String::new()
            }
        ));
        Ok(modules)
    }

    /// The `.ko` files in alphabetical order.
    pub fn files(&self) -> Vec<PathBuf> {
        fsutil::read_dir_sorted(self.entry.path()).unwrap_or_default()
    }

    /// Their names without folder and extension.
    pub fn names(&self) -> Vec<String> {
        self.files()
            .iter()
            .map(|file| fsutil::name(file).trim_end_matches(".ko").to_owned())
            .collect()
    }

    /// A key over their content.
    pub fn key(&self) -> String {
        fsutil::name(self.entry.path())
    }
}

/// The modules below a build folder.
pub fn find_kos(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut kos = Vec::new();
    for entry in walkdir::WalkDir::new(dir) {
        let path = entry
            .with_context(|| format!("cannot read {}", dir.display()))?
            .into_path();
        if path.extension().is_some_and(|ext| ext == "ko") {
            kos.push(path);
        }
    }
    kos.sort();
    Ok(kos)
}

/// Copies the modules into an entry of their own: the next build does not change them under a running test.
fn keep(session: &Session, kernel: &Kernel, kos: &[PathBuf]) -> Result<Entry> {
    let mut digest = Digest::new("modules", 1);
    for ko in kos {
        digest = digest.with(&fsutil::name(ko), fs::read(ko)?);
    }
    let name = format!("{}-{}", kernel.release, digest.hex());
    session
        .cache
        .get_or_make("modules", &name, 64 << 20, |dir| {
            for ko in kos {
                fs::copy(ko, dir.join(fsutil::name(ko)))?;
            }
            Ok(())
        })
}

/// The compiler's messages out of make's output, with paths as the user knows them.
#[derive(Default)]
pub struct Diagnostics {
    lines: Vec<String>,
    open: bool,
    errors: bool,
    /// How many messages there were.
    pub count: usize,
}

impl Diagnostics {
    /// Takes a line of make's output.
    pub fn line(&mut self, line: &str) {
        let line = as_in_work_tree(line);
        let c_style = [": error: ", ": warning: ", ": fatal error: "]
            .iter()
            .any(|mark| line.contains(mark));
        let modpost = line.starts_with("ERROR: modpost") || line.starts_with("WARNING: modpost");
        let rust = ["error:", "error[", "warning:"]
            .iter()
            .any(|mark| line.starts_with(mark));
        if rust || c_style || modpost {
            self.open = true;
            self.count += 1;
            self.errors |= !line.contains("arning");
        } else if line.starts_with("make") || is_build_line(&line) {
            self.open = false;
        }
        if self.open && self.lines.len() < 200 {
            self.lines.push(line);
        }
    }

    /// The messages; empty if none was an error.
    pub fn text(&self) -> String {
        if self.errors {
            self.lines.join("\n")
        } else {
            String::new()
        }
    }
}

/// The compilers name files as kbuild names them, relative to `linux-pv`; the user stands above that.
fn as_in_work_tree(line: &str) -> String {
    let line = line.replace("/paravane/", "");
    let (before, path) = match line.find("--> ") {
        Some(arrow) => line.split_at(arrow + 4),
        None if line.contains(": error: ") || line.contains(": warning: ") => ("", line.as_str()),
        None => return line,
    };
    if path.starts_with('/') || path.starts_with("linux-pv/") || !path.contains('/') {
        return line;
    }
    format!("{before}linux-pv/{path}")
}

/// Whether a line is make's own, such as `  RUSTC [M] xen/xen.o`.
fn is_build_line(line: &str) -> bool {
    let Some(rest) = line.strip_prefix("  ") else {
        return false;
    };
    let word = rest.split(' ').next().unwrap_or_default();
    word.len() > 1 && word.chars().all(|c| c.is_ascii_uppercase() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compiler_messages_are_picked_out() {
        let mut diagnostics = Diagnostics::default();
        for line in [
            "  RUSTC [M] xen/xen.o",
            "error[E0425]: cannot find value `x` in this scope",
            "  --> /paravane/linux-pv/xen/xen.rs:3:5",
            "  ::: /kernel/src/rust/kernel/lib.rs:1:1",
            "   --> xen/bus.rs:7:1",
            "   |",
            "  RUSTC [M] abi/xen_abi.o",
            "make[2]: *** [scripts/Makefile.build:1] Error 1",
            "ERROR: modpost: \"gnttab_x\" [xen_rs.ko] undefined!",
            "make[1]: leaving",
        ] {
            diagnostics.line(line);
        }
        assert_eq!(diagnostics.count, 2);
        let text = diagnostics.text();
        assert!(text.contains("--> linux-pv/xen/xen.rs:3:5") && text.contains("gnttab_x"));
        assert!(
            text.contains("--> linux-pv/xen/bus.rs:7:1")
                && text.contains("/kernel/src/rust/kernel/lib.rs")
        );
        assert!(!text.contains("RUSTC") && !text.contains("make"));
    }

    #[test]
    fn warnings_alone_are_no_error() {
        let mut diagnostics = Diagnostics::default();
        diagnostics.line("warning: unused variable: `x`");
        assert_eq!((diagnostics.count, diagnostics.text()), (1, String::new()));
    }
}
