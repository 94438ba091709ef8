// SPDX-License-Identifier: GPL-2.0

//! Time on an overlay kernel: what guests know of the time in which they did not run.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::context::Ctx;
use crate::guest::{Domain, Guest, Mode};
use crate::matrix::{Cell, Kernels};
use crate::scenario::Scenario;

/// The scenarios of this file. They pass with the C object too.
pub const SCENARIOS: &[Scenario] = &[
    Scenario::new("time.steal_is_seen_{guest}", steal_is_seen)
        .on_each(&[Cell::PV, Cell::PVH.full()])
        .only_on(Kernels::OURS_AND_C)
        .by_default(),
    Scenario::new("time.steal_survives_save_{guest}", steal_survives_save)
        .on_each(&[Cell::PV, Cell::PVH])
        .only_on(Kernels::OURS_AND_C),
];

/// A program that never waits.
const BUSY: &str = "while :; do :; done";

/// How far guest and hypervisor may differ in the share of time that was stolen: they are asked one after the other.
const TOLERANCE: f64 = 0.1;

/// Seconds for which shares are measured.
const SPAN: u64 = 10;

/// What a guest says of itself, and Xen of it, since either's start.
#[derive(Clone, Copy, Debug)]
struct Reading {
    /// By the guest: seconds since its start, and those that were stolen.
    up: f64,
    stolen: f64,
    /// By dom0 and Xen: seconds since dom0's start, and those in which the guest ran.
    host_up: f64,
    ran: f64,
}

impl Reading {
    fn of(ctx: &Ctx<'_>, guest: &Domain) -> Result<Self> {
        let own = numbers(&guest.sh("cut -d ' ' -f 1 /proc/uptime; grep '^cpu ' /proc/stat")?)?;
        let xens = numbers(&ctx.host.dom0().sh(&format!(
            "cut -d ' ' -f 1 /proc/uptime; xl list {} | awk 'NR == 2 {{ print $6 }}'",
            guest.name()
        ))?)?;
        let (&[up, ref ticks @ ..], &[host_up, ran]) = (&own[..], &xens[..]) else {
            anyhow::bail!("strange numbers: {own:?}, {xens:?}");
        };
        // user, nice, system, idle, iowait, irq, softirq, steal, …, in hundredths of a second.
        let stolen = ticks.get(7).context("/proc/stat has no steal time")? / 100.0;
        Ok(Self {
            up,
            stolen,
            host_up,
            ran,
        })
    }
}

/// The numbers in a text.
fn numbers(text: &str) -> Result<Vec<f64>> {
    let words = text.split_whitespace().filter(|word| *word != "cpu");
    words
        .map(|word| word.parse().with_context(|| format!("no number: {text}")))
        .collect()
}

/// A share of a guest's time: what it says was stolen, and what Xen says it did not run. They are the same for a guest that is
/// always busy.
#[derive(Clone, Copy, Debug)]
struct Share {
    guest: f64,
    xen: f64,
}

impl Share {
    /// Measures for some seconds.
    fn measure(ctx: &Ctx<'_>, guest: &Domain) -> Result<Self> {
        let before = Reading::of(ctx, guest)?;
        ctx.host.pace().sleep(Duration::from_secs(SPAN));
        let after = Reading::of(ctx, guest)?;
        let share = Self {
            guest: (after.stolen - before.stolen) / (after.up - before.up),
            xen: 1.0 - (after.ran - before.ran) / (after.host_up - before.host_up),
        };
        ensure!(
            (share.guest - share.xen).abs() < TOLERANCE,
            "guest and Xen differ in what was stolen: {share:?}, {before:?}, {after:?}"
        );
        Ok(share)
    }
}

/// A guest with one vCPU on the machine's last processor.
fn on_last_cpu(ctx: &Ctx<'_>, name: &str, mode: Mode) -> Result<Domain> {
    ctx.host
        .create(Guest::new(name, mode).on_last_cpu(ctx.host.topology()))
}

/// A busy guest has a processor for itself, then shares it with another one.
fn steal_is_seen(ctx: &mut Ctx<'_>) -> Result<()> {
    let guest = on_last_cpu(ctx, "g1", ctx.mode())?;
    let other = on_last_cpu(ctx, "g2", ctx.mode())?;
    let _busy = guest.spawn(BUSY)?;
    let alone = Share::measure(ctx, &guest)?;
    let other_is_busy = other.spawn(BUSY)?;
    let shared = Share::measure(ctx, &guest)?;
    other_is_busy.kill(9)?;
    ctx.note(format!(
        "stolen of a guest's time, as it says and as Xen says: alone {:.1} %, {:.1} %; beside another {:.1} %, {:.1} %",
        alone.guest * 100.0,
        alone.xen * 100.0,
        shared.guest * 100.0,
        shared.xen * 100.0
    ));
    ensure!(
        shared.guest > 0.25 && shared.guest > alone.guest + 0.1,
        "the other guest takes nothing: {alone:?}, {shared:?}"
    );
    other.shutdown()?;
    guest.shutdown()
}

/// The steal time of a guest goes on where it was after a restore: the new domain's counters begin at zero.
fn steal_survives_save(ctx: &mut Ctx<'_>) -> Result<()> {
    let guest = on_last_cpu(ctx, "g1", ctx.mode())?;
    let other = on_last_cpu(ctx, "g2", ctx.mode())?;
    let busy = guest.spawn(BUSY)?;
    let other_is_busy = other.spawn(BUSY)?;
    ctx.host.pace().sleep(Duration::from_secs(SPAN));
    other_is_busy.kill(9)?;
    other.shutdown()?;
    for round in 0..ctx.rounds(1, 4) {
        let before = Reading::of(ctx, &guest)?;
        ensure!(before.stolen > 1.0, "nothing was stolen: {before:?}");
        guest.save("/disks/saved")?;
        guest.restore("/disks/saved")?;
        let after = Reading::of(ctx, &guest)?;
        // The new domain waits before it runs, for no longer than all of this took.
        let most = before.stolen + after.host_up - before.host_up;
        ctx.note(format!(
            "round {round}: {:.2} s were stolen before, {:.2} s after",
            before.stolen, after.stolen
        ));
        ensure!(
            before.stolen <= after.stolen && after.stolen <= most,
            "steal time after a restore: {before:?}, {after:?}"
        );
        // And it still counts what Xen counts.
        Share::measure(ctx, &guest)?;
    }
    busy.kill(9)?;
    guest.shutdown()
}
