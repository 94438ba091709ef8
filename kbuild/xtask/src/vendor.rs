// SPDX-License-Identifier: GPL-2.0

//! The sources of the crates we depend on, for the sandbox's cargo, which has no network.

use anyhow::{Context, Result};
use kbuild::{CacheEntry, Digest, Session, process};

use crate::cargo;

/// Where the sandbox has to see them.
pub const PLACE: &str = "/vendor";

/// Arguments with which cargo takes them from there.
pub const ARGUMENTS: [&str; 6] = [
    "--offline",
    "--locked",
    "--config",
    "source.crates-io.replace-with=\"vendored\"",
    "--config",
    "source.vendored.directory=\"/vendor\"",
];

/// Room for them, in bytes.
const ROOM: u64 = 1_000_000_000;

/// Finds them in the cache or fetches them.
pub fn get(session: &Session) -> Result<CacheEntry> {
    let lock_file =
        std::fs::read(session.workspace().join("Cargo.lock")).context("no Cargo.lock")?;
    let key = Digest::new("vendor", 1).with("lock", lock_file).hex();
    session.cache.get_or_make("vendor", &key, ROOM, |dir| {
        let step = session.ui.step("Fetching the crates we depend on");
        let mut command = cargo::command(session.workspace());
        command
            .args(["vendor", "--locked", "--versioned-dirs", "--quiet"])
            .arg(dir);
        process::run(&step, "cargo vendor", &mut command, &session.log("vendor"))?;
        step.done("");
        Ok(())
    })
}
