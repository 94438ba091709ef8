// SPDX-License-Identifier: GPL-2.0

//! `cargo xtask bench hypervisor`: Debian's Xen and ours under the same kernel.
//!
//! A machine has one hypervisor, so the two are booted by turns, with the same processor, memory, disks, kernel and
//! command line of dom0. [`boots`] makes a boot and measures there, [`facts`] asks dom0 what it sees of the
//! hypervisor, [`report`] writes the document.

mod boots;
mod facts;
mod report;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use kbuild::{Images, Session};

use crate::topology::{Dom0, Hypervisor, Topology};
use boots::Boot;

/// How often each hypervisor is booted unless told otherwise.
pub const ROUNDS: u32 = 5;

/// What the user asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// How often each hypervisor is booted.
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

/// Boots and measures; returns what is to be printed, and whether ours was as fast everywhere.
pub fn run(session: &Session, images: &Images, options: &Options) -> Result<(String, bool)> {
    ensure!(options.rounds > 0, "there is nothing to measure");
    let dir = session.logs().join("bench");
    let mut all: [Vec<Boot>; 2] = [vec![], vec![]];
    for round in 0..options.rounds {
        // By turns first and second, so that neither has the better place.
        let order = if round % 2 == 0 { [0, 1] } else { [1, 0] };
        for side in order {
            let topology = topology(SIDES[side]);
            let step = session.ui.step(format!(
                "Measuring {}, {} of {}",
                SIDES[side].name(),
                round + 1,
                options.rounds
            ));
            let name = format!("{}-{}", SIDES[side].name().to_lowercase(), round + 1);
            let boot = boots::measure(images, &topology, &dir.join(name))?;
            step.done(&format!("dom0 was up after {:.1} s", boot.up()));
            all[side].push(boot);
        }
    }
    let document = report::document(images, &topology(Hypervisor::Paravane), &all)?;
    let kept = dir.join("hypervisor.md");
    let path = options.output.as_ref().unwrap_or(&kept);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    fs::write(path, document).with_context(|| format!("cannot write {}", path.display()))?;
    let (mut text, good) = report::verdict(&all);
    text += &format!("\nThe tables are in {}.\n", path.display());
    Ok((text, good))
}
