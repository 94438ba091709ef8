// SPDX-License-Identifier: GPL-2.0

//! How long the hypervisor's lock is waited for and held, by Xen's debug keys.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::context::Ctx;
use crate::guest::Guest;
use crate::scenario::Scenario;
use crate::topology::Topology;

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[Scenario::new(
    "hypervisor.lock_is_profiled_under_load",
    is_profiled_under_load,
)
.on(Topology::PARAVANE)
.full()];

/// Guests that make hypercalls without end.
const GUESTS: u32 = 4;

/// Reads what a hypercall returns, for ever.
const LOAD: &str = "(while :; do cat /sys/hypervisor/version/extra /sys/hypervisor/compilation/compiler; done) >/dev/null 2>&1 &";

fn is_profiled_under_load(ctx: &mut Ctx<'_>) -> Result<()> {
    let dom0 = ctx.host.dom0();
    let mut guests = Vec::new();
    for number in 0..GUESTS {
        let guest = Guest::pvh(&format!("g{number}")).memory(192);
        guests.push(ctx.host.create(guest)?);
    }
    for guest in &guests {
        guest.sh(LOAD)?;
    }
    // dom0 works, too: each round is a command with a hundred hypercalls or so.
    let seconds = ctx.rounds(8, 60);
    let script = format!(
        "xl debug-keys L; end=$(($(date +%s) + {seconds})); n=0; \
         while [ $(date +%s) -lt $end ]; do xl list >/dev/null; n=$((n+1)); done; \
         xl debug-keys l; echo $n; xl dmesg | grep 'lock of the system, processor' | tail -n {}",
        ctx.host.topology().cpus
    );
    let limit = Duration::from_secs(60 + 2 * u64::from(seconds));
    let said = dom0.run_for(limit, &script)?.ok()?.stdout;
    let mut lines = said.lines();
    let rounds: u32 = lines
        .next()
        .and_then(|line| line.trim().parse().ok())
        .context("dom0 says nothing")?;
    ensure!(rounds > 0, "dom0 was kept from its hypercalls");
    ctx.note(format!(
        "{GUESTS} busy guests: {rounds} times `xl list` in {seconds} s"
    ));
    let profile: Vec<_> = lines
        .filter_map(|line| line.split_once("processor "))
        .collect();
    let processors = ctx.host.topology().cpus as usize;
    ensure!(
        profile.len() == processors,
        "`xl debug-keys l` tells of {} processors",
        profile.len()
    );
    for (_, line) in profile {
        ensure!(
            line.contains("taken ") && line.contains("waited for "),
            "`xl debug-keys l` says {line:?}"
        );
        ctx.note(format!("processor {line}"));
    }
    for guest in guests {
        guest.destroy()?;
    }
    Ok(())
}
