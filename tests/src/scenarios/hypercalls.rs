// SPDX-License-Identifier: GPL-2.0

//! Hypercalls of an overlay kernel: the batches in which a PV guest changes its page tables.

use anyhow::{Result, ensure};

use crate::context::Ctx;
use crate::guest::{Domain, Guest};
use crate::matrix::{Cell, Kernels};
use crate::scenario::Scenario;

/// The scenarios of this file. They pass with the C object too.
pub const SCENARIOS: &[Scenario] = &[Scenario::new(
    "hypercalls.batches_change_page_tables_{guest}",
    batches_change_page_tables,
)
.on_each(&[Cell::PV])
.only_on(Kernels::OURS_AND_C)];

/// How many programs are started by each of two shells.
const PROGRAMS: u32 = 40;

/// Starts programs from two shells at once, and returns the sum of what they say: each is a copy of its shell's memory, with a
/// page table that is made, changed by faults, and taken down again.
fn start_programs(guest: &Domain) -> Result<u32> {
    let said = guest.sh(&format!(
        "work() {{ i=0; while [ $i -lt {PROGRAMS} ]; do i=$((i + 1)); value=$i; (value=$((value + 1)); sh -c \"echo $value\"); \
         done; }}; (work & work; wait) | awk '{{ sum += $1 }} END {{ print sum }}'"
    ))?;
    Ok(said.trim().parse()?)
}

/// Programs start and end on both vCPUs while batches are recorded; none of the calls fails, before a save or after it.
fn batches_change_page_tables(ctx: &mut Ctx<'_>) -> Result<()> {
    let guest = Guest::new("g1", ctx.mode()).vcpus(2).args("xen_mc_debug");
    let guest = ctx.host.create(guest)?;
    let sum = PROGRAMS * (PROGRAMS + 3);
    for saved in [false, true] {
        if saved {
            guest.save("/disks/saved")?;
            guest.restore("/disks/saved")?;
        }
        let said = start_programs(&guest)?;
        ensure!(said == sum, "the programs said {said} in all, not {sum}");
    }
    let log = guest.sh("dmesg")?;
    ensure!(
        log.contains("xen_mc_debug active"),
        "the kernel does not record batches"
    );
    let failed: Vec<_> = log
        .lines()
        .filter(|line| line.contains("multicall(s) failed"))
        .collect();
    ensure!(failed.is_empty(), "calls have failed: {failed:?}");
    guest.shutdown()
}
