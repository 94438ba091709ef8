// SPDX-License-Identifier: GPL-2.0

//! Building QEMU's plugin that counts instructions, by the sandbox's own Rust: it runs with the sandbox's QEMU and C library.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};

use crate::cache::CacheEntry;
use crate::digest::Digest;
use crate::process;
use crate::sandbox::Sandbox;
use crate::sandbox_cargo;
use crate::session::Session;

/// What cargo makes.
const BUILT: &str = "release/libcounter_plugin.so";

/// What it is called in the cache.
const NAME: &str = "counter.so";

/// The plugin.
#[derive(Clone)]
pub struct Counter {
    entry: Arc<CacheEntry>,
}

impl Counter {
    /// Builds it with a sandbox's tools.
    pub fn build(session: &Session, sandbox: &Sandbox) -> Result<Self> {
        let step = session.ui.step("Building the emulator's counter");
        let target = session
            .cache
            .state_dir("work")?
            .join(format!("counter-{}", sandbox.key()));
        let _lock = session.cache.lock("work.counter")?;
        let args = [
            "build",
            "--locked",
            "--release",
            "--package",
            "counter-plugin",
        ];
        let mut command = sandbox_cargo::command(session, sandbox, &target, args)?.build()?;
        process::run(
            &step,
            "building the emulator's counter",
            &mut command,
            &session.log("counter"),
        )?;
        let entry = keep(session, &target.join(BUILT))?;
        step.done("");
        Ok(Self {
            entry: Arc::new(entry),
        })
    }

    /// The shared object that QEMU loads.
    pub fn plugin(&self) -> PathBuf {
        self.entry.path().join(NAME)
    }
}

/// Puts it into an entry of its own: the next build does not change it under a running machine.
fn keep(session: &Session, built: &Path) -> Result<CacheEntry> {
    let bytes = fs::read(built).with_context(|| format!("cargo built no {}", built.display()))?;
    let name = Digest::new("counter", 1).with("plugin", &bytes).hex();
    session
        .cache
        .get_or_make_latest("counter", &name, 1 << 20, |dir| {
            Ok(fs::write(dir.join(NAME), &bytes)?)
        })
}
