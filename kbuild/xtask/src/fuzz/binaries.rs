// SPDX-License-Identifier: GPL-2.0

//! Building the targets with libFuzzer, by the sandbox's tools: the same compilers on every machine.

use std::path::{Path, PathBuf};

use anyhow::Result;
use kbuild::{Sandbox, SandboxCommand, Session, process};

use crate::vendor;

/// The platform is named, so that build scripts are not fuzzed.
const PLATFORM: &str = "x86_64-unknown-linux-gnu";

/// What makes LLVM count the edges that an input takes, as libFuzzer wants it and cargo-fuzz asks for it. A broken
/// assertion or an overflow is a finding.
const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares \
    -Ccodegen-units=1 -Cdebug-assertions -Coverflow-checks";

/// Where the sandbox sees them.
const PLACE: &str = "/fuzz";

/// The targets' programs.
pub struct Binaries {
    sandbox: Sandbox,
    folder: PathBuf,
}

impl Binaries {
    /// Builds them.
    ///
    /// # Errors
    ///
    /// If they do not compile.
    pub fn build(session: &Session, sandbox: &Sandbox) -> Result<Self> {
        let vendored = vendor::get(session)?;
        let step = session.ui.step("Building the fuzz targets");
        let target = sandbox.work_dir(session, "fuzz")?;
        let mut command = sandbox
            .command("cargo")
            .args(["build", "--release", "--package", "xen-fuzz", "--bins"])
            .args(["--features", "libfuzzer", "--target", PLATFORM])
            .args(vendor::ARGUMENTS)
            .ro_bind(session.workspace(), "/paravane")
            .ro_bind(vendored.path(), vendor::PLACE)
            .bind(&target, "/target")
            .current_dir("/paravane")
            .env("CARGO_TARGET_DIR", "/target")
            .env("CARGO_TERM_COLOR", "never")
            .env("RUSTFLAGS", FLAGS)
            .env("CXX", "clang++")
            .build()?;
        process::run(
            &step,
            "building the fuzz targets",
            &mut command,
            &session.log("fuzz-build"),
        )?;
        step.done("");
        Ok(Self {
            sandbox: sandbox.clone(),
            folder: target.join(PLATFORM).join("release"),
        })
    }

    /// A command that runs a target; `work` is what it may write to.
    pub fn command(&self, target: &str, work: &Path) -> SandboxCommand {
        self.sandbox
            .command(format!("{PLACE}/{target}"))
            .ro_bind(&self.folder, PLACE)
            .bind(work, "/work")
            .current_dir("/work")
    }
}
