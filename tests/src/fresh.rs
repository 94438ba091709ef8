// SPDX-License-Identifier: GPL-2.0

//! Fresh machines: bare Debian systems in which this work tree's commands run as somebody runs them who has just cloned it.
//!
//! A fresh machine is a folder that mmdebstrap made, a copy of which is entered with pivot_root in namespaces of its own: inside,
//! user namespaces can be made, so that the tool's own sandboxes work there for root and for an ordinary user. It has what
//! its administrator would have given it (the way to the archive, certificates, name service) and nothing else, and it
//! shares this machine's processors, memory and, unless the scenario says otherwise, network.
//!
//! From the bottom up: [`system`] makes the roots, [`tree`] puts the work tree in, [`root`] is a copy of a root, [`call`] runs a
//! command in it and says what the command left behind. What is asserted about them is in [`crate::scenarios`].

pub mod call;
pub mod root;
pub mod system;
pub mod tree;

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;
use kbuild::{Session, host, process};

use crate::error::skip;

pub use call::{Call, Ended};
pub use root::{Root, User};
pub use system::System;

/// What a scenario about fresh machines works with.
pub struct Fresh<'s> {
    /// The run it is part of.
    pub session: &'s Session,
    /// Whether long waits are as long as in the description of the scenario.
    pub full: bool,
    /// Lines for the report.
    pub notes: Vec<String>,
    asked_for: Option<(System, User)>,
    dir: PathBuf,
}

impl<'s> Fresh<'s> {
    /// `asked_for` is what the scenario's matrix names; `dir` gets what commands print, and their logs.
    pub fn new(
        session: &'s Session,
        asked_for: Option<(System, User)>,
        dir: PathBuf,
        full: bool,
    ) -> Self {
        Self {
            session,
            full,
            notes: Vec::new(),
            asked_for,
            dir,
        }
    }

    /// The system and the user that the scenario's matrix asks for.
    ///
    /// # Panics
    ///
    /// If its cells name none.
    pub fn system_and_user(&self) -> (System, User) {
        match self.asked_for {
            Some(both) => both,
            None => panic!("the scenario's matrix names no system and user"),
        }
    }

    /// A fresh machine. There is one at a time.
    pub fn root(&self, system: System) -> Result<Root> {
        can_be_entered()?;
        let pristine = system::pristine(self.session, system)?;
        Root::copy(self.session, system, &pristine, &self.dir)
    }

    /// Seconds, rounds or the like: few in the default run, all with `--full`.
    pub fn rounds(&self, short: u32, full: u32) -> u32 {
        if self.full { full } else { short }
    }

    /// Adds a line to the report.
    pub fn note(&mut self, line: impl Into<String>) {
        self.notes.push(line.into());
    }
}

/// Skips a scenario on machines that cannot run it.
fn can_be_entered() -> Result<()> {
    if !host::is_root() {
        return skip("fresh machines are entered by root; run the tests as root to have them");
    }
    for program in ["mount", "pivot_root", "unshare", "setpriv"] {
        if host::find_program(program).is_none() {
            return skip(format!(
                "entering a fresh machine needs the program {program} (package mount or util-linux)"
            ));
        }
    }
    let mut unshare = Command::new("unshare");
    if !process::succeeds(unshare.args([
        "--mount", "--pid", "--fork", "mount", "-t", "tmpfs", "tmpfs", "/mnt",
    ])) {
        return skip("this machine does not let root mount file systems in a namespace of its own");
    }
    Ok(())
}
