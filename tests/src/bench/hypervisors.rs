// SPDX-License-Identifier: GPL-2.0

//! `cargo xtask bench hypervisor`: Debian's Xen and ours under the same kernel.
//!
//! A machine has one hypervisor, so the two are booted by turns, with the same processor, memory, disks, kernel and
//! command line of dom0. [`boots`] makes a boot and measures there, [`guests`] does so with
//! guests of it, [`facts`] asks dom0 what it sees of the
//! hypervisor, [`watched`] boots once more and lists the hypercalls ([`calls`]), [`report`] writes the document and [`list`] its
//! part about hypercalls.

mod boots;
mod calls;
mod facts;
mod guests;
mod list;
mod report;
mod watched;

use std::path::{Path, PathBuf};

use anyhow::Result;
use kbuild::{Images, Session};

use super::report::write;
use super::turns;
use crate::topology::{Dom0, Hypervisor, Topology};
use boots::Boot;
use calls::Calls;

pub use super::turns::ROUNDS;

/// What the user asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// How often each hypervisor is booted and measured. If never, the hypercalls are listed and nothing else is done.
    pub rounds: u32,
    /// Where the document goes; nowhere if `None`.
    pub output: Option<PathBuf>,
}

/// What the two are booted on: a processor, since a PVH dom0 of Xen's with two is lost by the emulator now and then (see
/// [`Topology::placement`]).
fn topology(hypervisor: Hypervisor) -> Topology {
    Topology {
        hypervisor,
        dom0: Dom0::Pvh,
        cpus: 1,
        dom0_vcpus: 1,
        ..Topology::PARAVANE
    }
}

/// Both hypervisors; the first is what ours is compared with.
const SIDES: [Hypervisor; 2] = [Hypervisor::Xen, Hypervisor::Paravane];

/// Boots and measures; returns the text to print, and whether ours was as fast everywhere.
pub fn run(session: &Session, images: &Images, options: &Options) -> Result<(String, bool)> {
    let dir = session.logs().join("bench");
    // First, as it says at once if a kernel cannot be watched.
    let [xen, ours] = hypercalls(session, images, &dir)?;
    let list = list::section(&xen, &ours);
    if options.rounds == 0 {
        return Ok((list, true));
    }
    let mut all: [Vec<Boot>; 2] = [vec![], vec![]];
    let names = SIDES.map(Hypervisor::name);
    turns::by_turns(session, names, options.rounds, &mut all, |side, name| {
        let boot = boots::measure(images, &topology(SIDES[side]), &dir.join(name))?;
        let up = boot.up();
        Ok(turns::Measured { boot, up })
    })?;
    let mut document = report::document(images, &topology(Hypervisor::Paravane), &all)?;
    document += &format!("\n## Hypercalls\n\n{list}");
    let kept = dir.join("hypervisor.md");
    let path = options.output.as_ref().unwrap_or(&kept);
    write(&document, path)?;
    let (mut text, good) = report::verdict(&all);
    text += &format!("\nThe tables are in {}.\n", path.display());
    Ok((text, good))
}

/// The hypercalls of a boot on each.
fn hypercalls(session: &Session, images: &Images, dir: &Path) -> Result<[Calls; 2]> {
    let mut both = [Calls::default(), Calls::default()];
    for (side, calls) in SIDES.into_iter().zip(&mut both) {
        let step = session
            .ui
            .step(format!("Listing the hypercalls on {}", side.name()));
        let name = format!("{}-hypercalls", side.name().to_lowercase());
        *calls = watched::watch(images, &topology(side), &dir.join(name))?;
        step.done(&format!(
            "{} calls of {} kinds",
            calls.total(),
            calls.kinds()
        ));
    }
    Ok(both)
}
