// SPDX-License-Identifier: GPL-2.0

//! Building the targets with libFuzzer, by the sandbox's tools: the same compilers on every machine.

use std::path::{Path, PathBuf};

use anyhow::Result;
use kbuild::{Sandbox, SandboxCommand, Session};

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
        let args = [
            "build",
            "--release",
            "--package",
            "xen-fuzz",
            "--bins",
            "--features",
            "libfuzzer",
            "--target",
            PLATFORM,
        ];
        let title = "Building the fuzz targets";
        let target = vendor::cargo(session, sandbox, title, "fuzz", &args, |command| {
            command.env("RUSTFLAGS", FLAGS).env("CXX", "clang++")
        })?;
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
