// SPDX-License-Identifier: GPL-2.0

//! Hypercalls of an overlay kernel: the batches in which a PV guest changes its page tables.
//!
//! The module `xen_call_test` (`linux-pv/calltest`) has some refused.

use anyhow::{Context, Result, ensure};

use crate::context::Ctx;
use crate::guest::{Domain, Guest};
use crate::matrix::{Cell, Kernels};
use crate::overlay;
use crate::scenario::Scenario;

/// The scenarios of this file. The C object has no counts.
pub const SCENARIOS: &[Scenario] = &[
    Scenario::new(
        "hypercalls.batches_change_page_tables_{guest}",
        batches_change_page_tables,
    )
    .on_each(&[Cell::PV])
    .only_on(Kernels::OURS_AND_C),
    Scenario::new(
        "hypercalls.refused_calls_are_told_{guest}",
        refused_calls_are_told,
    )
    .on_each(&[Cell::PV])
    .only_on(Kernels::OURS_AND_C),
    Scenario::new("hypercalls.counts_add_up_{guest}", counts_add_up)
        .on_each(&[Cell::PV])
        .only_on(Kernels::Profiles(&[overlay::OURS])),
];

/// The file with the counts.
const COUNTS: &str = "/sys/kernel/debug/xen/hypercalls";

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

/// The hypervisor refuses a call in the middle of a batch, and one by itself. The others have their effect, the kernel goes on and
/// says which call it was; with `xen_mc_debug` it says all calls of that batch, and who has asked for each.
fn refused_calls_are_told(ctx: &mut Ctx<'_>) -> Result<()> {
    let place = match overlay::is_ours(ctx.host) {
        true => "core/calls/report.rs",
        false => "arch/x86/xen/multicalls.c",
    };
    ctx.expect_complaint(place);
    for args in ["", "xen_mc_debug"] {
        let guest = Guest::new("g1", ctx.mode()).vcpus(2).args(args);
        let guest = ctx.host.create(guest)?;
        guest.sh("modprobe xen_call_test")?;
        let log = guest.sh("dmesg")?;
        ensure!(
            log.contains("xen_call_test: done: 4 passed, 0 failed"),
            "a test of the module has failed: {log}"
        );
        let paused = log
            .lines()
            .find_map(|line| line.split_once("collecting is "));
        ctx.note(format!(
            "{args}: collecting is {}",
            paused.unwrap_or_default().1
        ));
        let lines = |marks: &[&str]| -> Vec<&str> {
            let has_all = |line: &&str| marks.iter().all(|mark| line.contains(mark));
            log.lines().filter(has_all).collect()
        };
        let warned = lines(&["WARNING: ", place]);
        let failed = lines(&["multicall(s) failed: cpu "]);
        ensure!(
            warned.len() == 2
                && failed.len() == 2
                && failed[0].contains("1 of 6 ")
                && failed[1].contains("1 of 1 "),
            "what has failed is told so: {warned:?}, {failed:?}"
        );
        let refused = lines(&["  call ", ": op=1 ", "result=-1"]);
        let all = lines(&["  call ", ": op="]);
        ensure!(
            refused.len() == 2
                && refused[0].contains("  call  3: ")
                && refused[1].contains("  call  1: "),
            "the calls that were refused: {refused:?}"
        );
        let recorded = lines(&["  call ", "caller=xen_"]);
        let (told, recorded_too) = if args.is_empty() { (2, 0) } else { (7, 7) };
        ensure!(
            all.len() == told && recorded.len() == recorded_too,
            "{args}: the log tells of other calls: {all:?}"
        );
        ensure!(start_programs(&guest)? == PROGRAMS * (PROGRAMS + 3));
        guest.shutdown()?;
    }
    Ok(())
}

/// What the file says of a hypercall: how often it was made by itself, and in batches.
fn count(table: &str, name: &str) -> Result<(u64, u64)> {
    let row = table
        .lines()
        .find(|line| line.split_whitespace().next() == Some(name));
    let Some(row) = row else {
        return Ok((0, 0));
    };
    let numbers: Result<Vec<u64>, _> = row.split_whitespace().skip(1).map(str::parse).collect();
    match numbers.with_context(|| format!("no numbers: {row}"))?[..] {
        [direct, batched] => Ok((direct, batched)),
        _ => anyhow::bail!("no two numbers: {row}"),
    }
}

/// Programs that start are counted as long as counting is on. Each batch has at least two calls.
fn counts_add_up(ctx: &mut Ctx<'_>) -> Result<()> {
    let guest = ctx.host.create(Guest::new("g1", ctx.mode()).vcpus(2))?;
    let off = guest.sh(&format!("cat {COUNTS}"))?;
    ensure!(
        off.contains("counting is off") && count(&off, "multicall")? == (0, 0),
        "something was counted before: {off}"
    );
    guest.sh(&format!("echo 1 > {COUNTS}"))?;
    start_programs(&guest)?;
    guest.sh(&format!("echo 0 > {COUNTS}"))?;
    let on = guest.sh(&format!("cat {COUNTS}"))?;
    start_programs(&guest)?;
    let later = guest.sh(&format!("cat {COUNTS}"))?;
    ctx.note(format!("{} programs: {on}", 4 * PROGRAMS));
    ensure!(on == later, "counting did not stop: {on}, then {later}");
    let (batches, _) = count(&on, "multicall")?;
    let mut calls = 0;
    for name in on
        .lines()
        .skip(2)
        .filter_map(|line| line.split_whitespace().next())
    {
        calls += count(&on, name)?.1;
    }
    let (direct, batched) = count(&on, "mmu_update")?;
    ensure!(
        batches > u64::from(PROGRAMS) && calls >= 2 * batches,
        "{batches} batches have {calls} calls"
    );
    ensure!(
        direct + batched > u64::from(PROGRAMS),
        "only {direct} and {batched} changes of page tables"
    );
    guest.shutdown()
}
