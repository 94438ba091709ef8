// SPDX-License-Identifier: GPL-2.0

//! The instrument that counts instructions.

use anyhow::{Context, Result, ensure};
use counter::mark::LOOP;
use counter::table::Event;

use crate::bench::blk::{Blk, SLICE};
use crate::bench::instructions::budget::{self, Budget};
use crate::bench::instructions::{self, Record};
use crate::bench::subject::{Subject, Workload};
use crate::context::Ctx;
use crate::guest::Guest;
use crate::machine::COUNTS;
use crate::matrix::Cell;
use crate::remote::Place;
use crate::scenario::Scenario;
use crate::topology::Topology;

/// A machine whose instructions are counted. Dom0 has one processor, as in the benchmarks: with two, one was seen to
/// execute the breakpoint of a jump label that the other had already removed (a panic by `int3` at boot), which takes the
/// plugin's longer translations.
const COUNTED: Topology = Topology {
    counted: true,
    dom0_vcpus: 1,
    ..Topology::PV
};

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[
    Scenario::new("count.known_loop_in_{guest}_guest_is_counted", known_loop)
        .on(COUNTED)
        .on_each(&[Cell::PVH, Cell::PV.full()]),
    Scenario::new(
        "count.block_requests_keep_their_budget_{guest}",
        block_budget,
    )
    .on(COUNTED)
    .on_each(&[Cell::PVH, Cell::PV.full()]),
];

/// Rounds of the loop: so many that nothing else in the machine executes as much meanwhile.
const ROUNDS: u64 = 20_000_000;

fn known_loop(ctx: &mut Ctx<'_>) -> Result<()> {
    let mut record = Record::open(&ctx.host.dir().join(COUNTS));
    let in_dom0 = loop_in(&mut record, ctx.host.dom0(), "/payload/bin/agent")?;
    ctx.note(in_dom0);
    let guest = ctx.host.create(Guest::new("g1", ctx.mode()))?;
    let in_guest = loop_in(&mut record, &guest, "/bin/agent")?;
    ctx.note(in_guest);
    guest.destroy()
}

/// Cells of the block benchmark that are counted in each run: what a request costs shows best in the smallest ones.
const BLOCK_CELLS: [&str; 2] = ["read:4096:32:1", "write:4096:32:1"];

/// How often each cell is counted.
const COUNTS_OF_A_CELL: usize = 3;

fn block_budget(ctx: &mut Ctx<'_>) -> Result<()> {
    keeps_budget(ctx, &Blk { persistent: true }, &BLOCK_CELLS)
}

/// Our driver costs no more in these cells than `tests/budgets.toml` has.
fn keeps_budget<S: Subject>(ctx: &mut Ctx<'_>, subject: &S, names: &[&str]) -> Result<()> {
    let all = S::LANES
        .into_iter()
        .flat_map(|lanes| S::cells(lanes, false));
    let cells: Vec<_> = all
        .filter(|cell| names.contains(&cell.to_string().as_str()))
        .collect();
    ensure!(cells.len() == names.len(), "no such cells: {names:?}");
    // The same cells several times in a row: the least is what noise has added the least to.
    let runs: Vec<_> = std::iter::repeat_n(cells, COUNTS_OF_A_CELL)
        .flatten()
        .collect();
    let mut costs: Vec<(S::Cell, Budget)> = Vec::new();
    for (cell, cost) in instructions::costs(ctx.host, ctx.mode(), subject, &runs, SLICE)? {
        match costs.iter_mut().find(|(known, _)| *known == cell) {
            Some((_, least)) => *least = least.clone().least(cost),
            None => costs.push((cell, cost)),
        }
    }
    for (cell, cost) in costs {
        let budget = budget::find(S::COMMAND, ctx.mode(), &cell.to_string())?;
        let kept = budget.is_kept_by(&cost).with_context(|| cell.describe())?;
        ctx.note(format!("{}: {kept}", cell.describe()));
    }
    Ok(())
}

/// Has a loop of a known length executed somewhere and compares; says what it found.
fn loop_in(record: &mut Record, place: &Place, agent: &str) -> Result<String> {
    place.sh(&format!("{agent} mark loop {ROUNDS}"))?;
    let interval = record.last()?;
    ensure!(
        interval.lost == 0,
        "{} blocks had no counter",
        interval.lost
    );
    let instructions = interval
        .counted
        .iter()
        .filter(|counted| counted.seen.block.event == Event::Instruction);
    let counts: Vec<u64> = instructions.map(|counted| counted.count).collect();
    let (longest, all) = (
        counts.iter().max().context("nothing was counted")?,
        counts.iter().sum::<u64>(),
    );
    let others = all - longest;
    let found = format!(
        "{}: {longest} instructions of the loop, {others} others meanwhile, in {} blocks",
        place.name(),
        counts.len()
    );
    // The first round is a part of the block before; a block that an interrupt stops is counted, and executed again.
    let expected = ROUNDS * LOOP;
    ensure!(
        longest.abs_diff(expected) < expected / 100_000,
        "a loop of {expected} instructions was counted as {longest}"
    );
    Ok(found)
}
