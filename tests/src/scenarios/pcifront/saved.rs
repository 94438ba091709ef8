// SPDX-License-Identifier: GPL-2.0

//! A guest is saved and restored with a passed device.

use anyhow::{Result, ensure};

use super::data::{card_brings_content, has_interrupts};
use super::start;
use crate::guest::{Driver, Guest};
use crate::passed::CARD;
use crate::scenario::{Ctx, Scenario, skip};
use crate::topology::Topology;

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] =
    &[
        Scenario::new("pcifront.device_is_there_after_save_and_restore", save)
            .on(Topology::PASSED)
            .full(),
    ];

/// The device's driver is unloaded meanwhile, as it is before a device is taken out: what it had told the device is lost with
/// the domain that had the device.
fn save(ctx: &mut Ctx<'_>) -> Result<()> {
    if ctx.driver == Driver::C {
        return skip("the kernel's own front end does not connect to another back end");
    }
    let guest = start(ctx, Guest::pv("g1").vcpus(2), &[CARD])?;
    for _ in 0..ctx.rounds(1, 3) {
        guest.start_card(2)?;
        card_brings_content(&guest)?;
        has_interrupts(ctx, &guest, "eth0", Some("msi-x"))?;
        guest.stop_card()?;
        guest.save("/disks/saved")?;
        guest.restore("/disks/saved")?;
        guest.await_passed(1)?;
    }
    guest.start_card(2)?;
    card_brings_content(&guest)?;
    has_interrupts(ctx, &guest, "eth0", Some("msi-x"))?;
    let lost = guest.sh("dmesg | grep -c 'not responding' || true")?;
    ensure!(lost == "0", "the back end was waited for {lost} times");
    guest.shutdown()
}
