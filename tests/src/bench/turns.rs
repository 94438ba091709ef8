// SPDX-License-Identifier: GPL-2.0

//! Comparing what cannot be exchanged in one boot, a hypervisor or what is built into a kernel: two machines, booted by
//! turns.

use std::path::Path;

use anyhow::{Result, ensure};
use kbuild::{Images, Session};

use crate::host::{Host, Start};
use crate::topology::Topology;

/// How often each side is booted unless told otherwise.
pub const ROUNDS: u32 = 5;

/// A boot that was measured, and after how many seconds dom0 was up.
pub struct Measured<T> {
    /// What was found.
    pub boot: T,
    /// Seconds.
    pub up: f64,
}

/// Has `measure` boot each of two sides so often, and appends what it finds to the side's list, which keeps what there is
/// if a boot fails. It gets the side and a name for that boot's logs.
pub fn by_turns<T>(
    session: &Session,
    names: [&str; 2],
    rounds: u32,
    all: &mut [Vec<T>; 2],
    mut measure: impl FnMut(usize, &str) -> Result<Measured<T>>,
) -> Result<()> {
    for round in 0..rounds {
        for side in order(round) {
            let (name, number) = (names[side], round + 1);
            let step = session
                .ui
                .step(format!("Measuring {name}, {number} of {rounds}"));
            let found = measure(side, &format!("{}-{number}", name.to_lowercase()))?;
            step.done(&format!("dom0 was up after {:.1} s", found.up));
            all[side].push(found.boot);
        }
    }
    Ok(())
}

/// By turns first and second, so that neither side has the better place.
fn order(round: u32) -> [usize; 2] {
    if round % 2 == 0 { [0, 1] } else { [1, 0] }
}

/// Boots a machine, has `measure` look at it, and switches it off. It is an error if a kernel complained meanwhile. The logs
/// go to `dir`, and after an error those that are inside dom0 too.
pub fn in_machine<T>(
    images: &Images,
    topology: &Topology,
    dir: &Path,
    measure: impl FnOnce(&Host) -> Result<T>,
) -> Result<T> {
    let host = Host::start(images, topology, dir, Start::Boot)?;
    let measured = measure(&host);
    if measured.is_err() {
        host.keep_logs();
    }
    let measured = measured?;
    let complaints = host.health().take_complaints();
    ensure!(
        complaints.is_empty(),
        "the kernel complained: {}",
        complaints.join("; ")
    );
    host.shutdown()?;
    Ok(measured)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_side_is_first_as_often_as_the_other() {
        for side in [0, 1] {
            let first = (0..6).filter(|round| order(*round)[0] == side).count();
            assert_eq!(first, 3);
        }
        assert!((0..2).all(|round| order(round)[0] != order(round)[1]));
    }
}
