// SPDX-License-Identifier: GPL-2.0

//! An error of a passed device: the emulator raises it, dom0's kernel finds it, and the driver in the guest has its say
//! in each step of the recovery.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::data::card_brings_content;
use super::{counter, start};
use crate::guest::{Driver, Guest};
use crate::passed::{self, CARD, CARD_ID};
use crate::scenario::{Ctx, Scenario};
use crate::topology::Topology;

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] =
    &[Scenario::new("pcifront.driver_recovers_from_an_error", recovers).on(Topology::PASSED)];

fn recovers(ctx: &mut Ctx<'_>) -> Result<()> {
    let guest = start(ctx, Guest::pv("g1").vcpus(2), &[CARD])?;
    guest.start_card(2)?;
    card_brings_content(&guest)?;
    for round in 1..=ctx.rounds(1, 5) {
        // Not a fatal one: the link works, the device has to be reset.
        passed::monitor(
            ctx.host,
            &format!("pcie_aer_inject_error {CARD_ID} COMP_TIME"),
        )?;
        if ctx.driver == Driver::Rust {
            guest.wait_for(
                "the recovery",
                Duration::from_secs(30),
                "awk '$1 == \"errors_resume\" { print $2 }' /sys/kernel/debug/xen_pcifront_rs-pci-0/accesses",
                |resumed| resumed == round.to_string(),
            )?;
            for step in ["errors_detected", "errors_slot_reset"] {
                ensure!(counter(&guest, step)? == round.into(), "no {step}");
            }
        } else {
            std::thread::sleep(Duration::from_secs(5));
        }
        guest.wait_for(
            "the network card's link",
            Duration::from_secs(30),
            "cat /sys/class/net/eth0/carrier 2>/dev/null || echo none",
            |carrier| carrier == "1",
        )?;
        card_brings_content(&guest)?;
    }
    let said = ctx
        .host
        .dom0()
        .sh("dmesg | grep -iE 'aer|error' | tail -5")?;
    ctx.note(said.replace('\n', "; "));
    guest.shutdown()
}
