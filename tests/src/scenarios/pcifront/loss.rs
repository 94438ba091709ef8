// SPDX-License-Identifier: GPL-2.0

//! The back end goes away while the guest accesses configuration space.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::{counter, start};
use crate::context::Ctx;
use crate::guest::{Driver, Guest};
use crate::passed::{CARD, DISK};
use crate::scenario::Scenario;
use crate::topology::Topology;

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] =
    &[
        Scenario::new("pcifront.backend_dies_under_accesses", backend_dies)
            .on(Topology::PASSED)
            .full(),
    ];

/// The most that may pass until the guest has noticed and cleaned up: one access that nobody answers takes 2 seconds.
const LIMIT: Duration = Duration::from_secs(20);

fn backend_dies(ctx: &mut Ctx<'_>) -> Result<()> {
    let guest = start(ctx, Guest::pv("g1").vcpus(2), &[CARD, DISK])?;
    guest.start_card(2)?;
    guest.start_disk()?;
    // All of a device's configuration space, again and again, until the device is gone.
    let reader = guest.spawn(
        "for d in /sys/bus/pci/devices/*; do \
         (n=0; while cat $d/config >/dev/null 2>&1; do n=$((n+1)); done; echo $n) & done; wait",
    )?;
    guest.pace().sleep(Duration::from_secs(2));
    let device = format!("pci-{}-0", guest.domid());
    let started = guest.pace().now();
    ctx.host.dom0().sh(&format!(
        "echo {device} > /sys/bus/xen-backend/devices/{device}/driver/unbind"
    ))?;
    guest.await_passed(0)?;
    let took = guest.pace().since(&started);
    ctx.note(format!("the devices were gone after {took:.1?}"));
    ensure!(took < LIMIT, "that took {took:.1?}");
    let read = reader.wait_for(LIMIT)?.ok()?.stdout;
    ctx.note(format!(
        "reads of whole configuration spaces before: {}",
        read.split_whitespace().collect::<Vec<_>>().join(", ")
    ));
    let said = guest.sh("dmesg | grep -E 'not responding|going away' || true")?;
    ctx.note(said.replace('\n', "; "));
    ensure!(said.contains("backend going away!"), "nothing was said");
    if ctx.driver == Driver::Rust {
        ensure!(
            counter(&guest, "timeouts")? <= 1,
            "a dead back end was waited for more than once"
        );
        ensure!(counter(&guest, "longest_us")? < 6_000_000);
    }
    guest.shutdown()
}
