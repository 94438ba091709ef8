// SPDX-License-Identifier: GPL-2.0

//! dom0 without a console daemon, so that somebody else can take its place.

use anyhow::{Result, ensure};

use crate::remote::Place;

/// The daemon of all consoles, which has ended; dropping this starts it again.
pub(super) struct WithoutDaemon<'a> {
    dom0: &'a Place,
    command: String,
}

impl<'a> WithoutDaemon<'a> {
    pub(super) fn new(dom0: &'a Place) -> Result<Self> {
        // One that has ended and that nobody has waited for has a name, but no command line.
        let find = "lives() { grep -q . $1/cmdline 2>/dev/null; }
            for p in /proc/[0-9]* ''; do
                grep -qx xenconsoled $p/comm 2>/dev/null && lives $p && break
            done";
        let command = dom0.sh(&format!("{find}; tr '\\0' ' ' < $p/cmdline"))?;
        ensure!(command.contains("xenconsoled"), "no xenconsoled: {command}");
        dom0.sh(&format!(
            "{find}; kill ${{p#/proc/}}; while lives $p; do sleep 0.1; done"
        ))?;
        Ok(Self { dom0, command })
    }

    /// Starts it again.
    pub(super) fn end(mut self) -> Result<()> {
        self.start()
    }

    fn start(&mut self) -> Result<()> {
        let command = std::mem::take(&mut self.command);
        match command.is_empty() {
            true => Ok(()),
            false => self.dom0.sh(&command).map(drop),
        }
    }
}

impl Drop for WithoutDaemon<'_> {
    fn drop(&mut self) {
        // If it fails, guests without a console say so.
        let _ = self.start();
    }
}
