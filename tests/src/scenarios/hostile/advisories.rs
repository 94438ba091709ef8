// SPDX-License-Identifier: GPL-2.0

//! Backends that do what one of Xen's advisories was about, and nothing else, over and over.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::devices::{Class, Expected, Victim, field};
use super::harm::{guest_for, load_driver, under_load, works};
use crate::context::Ctx;
use crate::error::skip;
use crate::guest::{Driver, Mode};
use crate::scenario::Scenario;

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[
    Scenario::new(
        "hostile.xsa_155_slots_change_while_they_are_read",
        slots_change,
    )
    .crosswise()
    .full(),
    Scenario::new("hostile.xsa_391_events_come_without_responses", storms)
        .crosswise()
        .full(),
    Scenario::new("hostile.xsa_391_storms_are_held_back", held_back)
        .crosswise()
        .full(),
    Scenario::new("hostile.xsa_403_pages_show_nothing_else", nothing_else)
        .crosswise()
        .full(),
    Scenario::new("hostile.xsa_457_nothing_is_left_behind", nothing_left)
        .crosswise()
        .full(),
];

/// Devices of each class that do it.
const DEVICES: u64 = 4;

fn slots_change(ctx: &mut Ctx<'_>) -> Result<()> {
    over_and_over(ctx, "trusted tear")
}

fn storms(ctx: &mut Ctx<'_>) -> Result<()> {
    over_and_over(ctx, "trusted storm")
}

/// A backend sends events without work as fast as it can. The frontend says of each that there was none, and the kernel lets the
/// next one in later and later: few of them become interrupts.
fn held_back(ctx: &mut Ctx<'_>) -> Result<()> {
    /// How long the events come, and how long interrupts are counted meanwhile.
    const SECONDS: [u32; 2] = [8, 3];
    for class in [Class::Disk, Class::Interface] {
        let guest = guest_for(ctx, Mode::Pvh)?;
        load_driver(ctx, &guest, class)?;
        let victim = Victim::new(&guest, class)?;
        let storm = victim.start_storm(ctx, SECONDS[0])?;
        let row = "grep -E ' (blkif|vif|eth)' /proc/interrupts";
        guest.wait_for(
            "the device's interrupts",
            Duration::from_secs(20),
            &format!("{row} | wc -l"),
            |rows| rows != "0",
        )?;
        if class == Class::Interface {
            guest.sh("ip link set eth0 up")?;
        }
        // Both numbers are added up over processors and rings.
        let sum = "awk '{ for (i = 2; i <= 3; i++) n += $i } END { print n + 0 }'";
        let counted = guest.sh(&format!(
            "sleep 1; a=$({row} | {sum}); sleep {}; b=$({row} | {sum}); echo $((b - a))",
            SECONDS[1]
        ))?;
        let said = storm.wait_for(Duration::from_secs(60))?.ok()?.stdout;
        victim.is_well(Expected::Nothing)?;
        let interrupts = counted.parse::<u64>()? / u64::from(SECONDS[1]);
        let events = field(&said, "events")?;
        ctx.note(format!(
            "{class:?}: {events} events a second, {interrupts} interrupts"
        ));
        ensure!(
            events > 1_000,
            "{events} events a second are no storm: {said}"
        );
        ensure!(
            interrupts * 4 < events,
            "of {events} events a second {interrupts} became interrupts"
        );
        guest.shutdown()?;
    }
    Ok(())
}

/// The program looks at each page that it is granted, see `tests/hostile/src/secret.rs`.
fn nothing_else(ctx: &mut Ctx<'_>) -> Result<()> {
    over_and_over(ctx, "untrusted")
}

/// It never answers, or keeps what it has answered for.
fn nothing_left(ctx: &mut Ctx<'_>) -> Result<()> {
    over_and_over(ctx, "trusted withhold keep late")
}

fn over_and_over(ctx: &mut Ctx<'_>, how: &str) -> Result<()> {
    if ctx.driver == Driver::C {
        return skip("the C drivers wait for ever for some of these backends");
    }
    for class in [Class::Disk, Class::Interface] {
        let (guest, _load) = under_load(ctx, Mode::Pvh, class)?;
        let victim = Victim::new(&guest, class)?;
        let mut answered = 0;
        for seed in 0..DEVICES {
            answered += field(&victim.run_only(ctx, seed, how)?, "answered")?;
        }
        ensure!(answered > DEVICES, "there was nothing to answer");
        works(&guest, class)?;
        victim.is_well(Expected::Nothing)?;
        victim.has_all_grants()?;
        ctx.note(format!("{class:?}: {answered} responses"));
        guest.shutdown()?;
    }
    Ok(())
}
