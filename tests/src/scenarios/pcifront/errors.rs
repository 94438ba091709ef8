// SPDX-License-Identifier: GPL-2.0

//! A passed device reports an error by PCI Express's advanced error reporting: its root port interrupts dom0, whose kernel asks
//! the back end, which asks the guest, whose driver of the device recovers.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::data::card_brings_content;
use super::{counter, start};
use crate::context::Ctx;
use crate::error::skip;
use crate::guest::{Driver, Guest};
use crate::passed::{self, CARD};
use crate::scenario::Scenario;
use crate::topology::Topology;

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] =
    &[
        Scenario::new("pcifront.errors_reach_the_devices_driver", errors)
            .on(Topology::PASSED)
            .full(),
    ];

/// A completion that did not come in time, which is uncorrectable, but not fatal (PCI Express 7.8.4.2).
const COMPLETION_TIMEOUT: u32 = 1 << 14;

fn errors(ctx: &mut Ctx<'_>) -> Result<()> {
    if !ctx.host.dom0().run("modprobe aer_inject")?.succeeded() {
        return skip("dom0's kernel has no aer_inject (CONFIG_PCIEAER_INJECT)");
    }
    let guest = start(ctx, Guest::pv("g1").vcpus(2), &[CARD])?;
    guest.start_card(2)?;
    card_brings_content(&guest)?;
    passed::keep_head(ctx.host)?;
    for count in 1..=u64::from(ctx.rounds(1, 3)) {
        passed::raise_error(ctx.host, COMPLETION_TIMEOUT)?;
        ctx.host
            .dom0()
            .wait_for(
                "dom0's end of the recovery",
                Duration::from_secs(30),
                "dmesg | grep -c 'AER: device recovery successful' || true",
                |said| said == count.to_string(),
            )
            .with_context(|| {
                let said = ctx
                    .host
                    .dom0()
                    .sh("dmesg | grep -i -e aer -e pciback || true");
                format!("dom0's kernel said: {}", said.unwrap_or_default())
            })?;
        if ctx.driver == Driver::Rust {
            for name in ["errors_detected", "errors_slot_reset", "errors_resume"] {
                let seen = counter(&guest, name)?;
                ensure!(seen == count, "{name}: {seen} of {count}");
            }
            ensure!(counter(&guest, "bad_reports")? == 0);
        }
        // Dom0 has reset the card's link, after which no guest can use a card without its help.
        guest.stop_card()?;
        passed::restore_head(ctx.host)?;
        guest.start_card(2)?;
        card_brings_content(&guest)?;
    }
    guest.shutdown()
}
