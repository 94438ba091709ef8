// SPDX-License-Identifier: GPL-2.0

//! Memory that is not there when a driver asks for it, on a kernel that injects failures
//! (Linux, Documentation/fault-injection/fault-injection.rst).
//!
//! Devices are probed, offered and connected by the thread `xenwatch`, and mostly taken down by it too. So the n-th allocation of a
//! device's life is made to fail by that thread's `fail-nth`, for one n after the other. Requests are sent by who makes them: a
//! part of the allocations of the programs that use a device fails while it is used.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};

use super::super::hostile::{Class, Expected, Victim, field, guest_for, load_driver, works};
use super::is_as_before;
use crate::context::Ctx;
use crate::error::skip;
use crate::guest::{Domain, Driver};
use crate::matrix::{Cell, Kernels};
use crate::scenario::Scenario;

/// Guests of these kinds.
const GUESTS: &[Cell] = &[Cell::PVH.full(), Cell::PV.full()];

/// The kernels that inject failures.
const KERNELS: Kernels = Kernels::Profiles(&["debian-debug"]);

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[
    Scenario::new(
        "shortage.disk_without_memory_at_each_allocation_{guest}",
        |ctx| each_allocation(ctx, Class::Disk),
    )
    .on_each(GUESTS)
    .only_on(KERNELS),
    Scenario::new(
        "shortage.interface_without_memory_at_each_allocation_{guest}",
        |ctx| each_allocation(ctx, Class::Interface),
    )
    .on_each(GUESTS)
    .only_on(KERNELS),
    Scenario::new("shortage.disk_used_without_memory_{guest}", |ctx| {
        used_without(ctx, Class::Disk)
    })
    .on_each(GUESTS)
    .only_on(KERNELS),
    Scenario::new("shortage.interface_used_without_memory_{guest}", |ctx| {
        used_without(ctx, Class::Interface)
    })
    .on_each(GUESTS)
    .only_on(KERNELS),
];

/// How many allocations one run goes through.
const ALLOCATIONS: u64 = 150;

/// From one of them to the next. A device's life has some hundreds; runs begin at different ones.
const STRIDE: u64 = 3;

/// Devices that are used while memory fails.
const DEVICES: u64 = 20;

/// Has every allocation be counted that may wait too, and each failure logged with a trace.
const PREPARE: &str = "cd /sys/kernel/debug && for f in failslab fail_page_alloc; do \
     echo 0 > $f/probability; echo N > $f/ignore-gfp-wait; echo -1 > $f/times; \
     echo 2 > $f/verbose; done; echo 0 > fail_page_alloc/min-order";

/// Has every twentieth or so allocation of programs fail that were marked for it. A few a second are logged.
const BEGIN: &str = "cd /sys/kernel/debug && for f in failslab fail_page_alloc; do \
     echo 1000 > $f/verbose_ratelimit_interval_ms; echo 2 > $f/verbose_ratelimit_burst; \
     echo Y > $f/task-filter; echo 5 > $f/probability; done";

const END: &str = "cd /sys/kernel/debug && for f in failslab fail_page_alloc; do \
     echo 0 > $f/probability; done";

/// Failures that were injected, and those of them whose trace goes through a module of ours.
const COUNT: &str = "awk '/FAULT_INJECTION: forcing/ { all++; open = 1 } \
     open && /_rs\\]/ { ours++; open = 0 } \
     /<\\/TASK>/ { open = 0 } \
     END { print \"all=\" all + 0, \"ours=\" ours + 0 }' /tmp/injected";

fn each_allocation(ctx: &mut Ctx<'_>, class: Class) -> Result<()> {
    let guest = ready(ctx, class)?;
    let _load = guest.spawn(class.load())?;
    works(&guest, class)?;
    let victim = Victim::new(&guest, class)?;
    let thread = guest.sh("pgrep -x xenwatch")?;
    let first = first_allocation()?;
    let (mut failed, mut connected) = (0_u64, 0);
    for nth in (first..)
        .step_by(STRIDE as usize)
        .take(ALLOCATIONS as usize)
    {
        guest.sh(&format!("echo {nth} > /proc/{thread}/fail-nth"))?;
        let line = victim.run_in_need(ctx, nth)?;
        let left = guest.sh(&format!(
            "cat /proc/{thread}/fail-nth; echo 0 > /proc/{thread}/fail-nth"
        ))?;
        victim
            .is_well(Expected::Injected)
            .with_context(|| format!("allocation {nth} failed: {}", line.trim()))?;
        connected += field(&line, "connected")?;
        if left != "0" {
            // The life of a device has fewer.
            break;
        }
        failed += 1;
    }
    let count = guest.sh(COUNT)?;
    is_as_before(&guest, class, &victim, Expected::Injected)?;
    ctx.note(format!(
        "{failed} allocations from the {first}. on, each {STRIDE}., with {connected} devices that connected all the same; logged: {count}"
    ));
    ensure!(
        failed > 20 && field(&count, "ours")? > 0,
        "too few failures: {failed}, {count}"
    );
    guest.shutdown()
}

/// One of the first few; another one each second.
fn first_allocation() -> Result<u64> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    Ok(1 + now.as_secs() % STRIDE)
}

fn used_without(ctx: &mut Ctx<'_>, class: Class) -> Result<()> {
    let guest = ready(ctx, class)?;
    let load = class.load();
    // What it starts inherits that its allocations may fail.
    let _load = guest.spawn(&format!("echo 1 > /proc/self/make-it-fail; {load}"))?;
    works(&guest, class)?;
    let victim = Victim::new(&guest, class)?;
    let started = Instant::now();
    let (mut connected, mut answered) = (0, 0);
    guest.sh(BEGIN)?;
    for seed in 0..DEVICES {
        let line = victim.run_in_need(ctx, seed)?;
        victim
            .is_well(Expected::Injected)
            .with_context(|| line.trim().to_owned())?;
        connected += field(&line, "connected")?;
        answered += field(&line, "answered")?;
    }
    let took = started.elapsed();
    guest.sh(END)?;
    let count = guest.sh(COUNT)?;
    is_as_before(&guest, class, &victim, Expected::Injected)?;
    ctx.note(format!(
        "{DEVICES} devices in {} s, {connected} of them connected, {answered} responses; logged: {count}",
        took.as_secs()
    ));
    ensure!(
        connected == DEVICES && answered > DEVICES && field(&count, "all")? > 0,
        "{connected} devices connected, {answered} responses, {count}"
    );
    guest.shutdown()
}

/// A guest with the driver, whose kernel injects failures.
fn ready(ctx: &mut Ctx<'_>, class: Class) -> Result<Domain> {
    if ctx.driver == Driver::C {
        return skip("the C drivers keep devices that they cannot use");
    }
    let guest = guest_for(ctx, ctx.mode())?;
    guest
        .sh(PREPARE)
        .context("the kernel injects no failures")?;
    load_driver(ctx, &guest, class)?;
    Ok(guest)
}
