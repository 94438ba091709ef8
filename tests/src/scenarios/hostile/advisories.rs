// SPDX-License-Identifier: GPL-2.0

//! Backends that do what one of Xen's advisories was about, and nothing else, over and over.

use anyhow::{Result, ensure};

use super::devices::{Class, Pages, Victim, field};
use super::harm::{under_load, works};
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
    .full(),
    Scenario::new("hostile.xsa_391_events_come_without_responses", storms).full(),
    Scenario::new("hostile.xsa_403_pages_show_nothing_else", nothing_else).full(),
    Scenario::new("hostile.xsa_457_nothing_is_left_behind", nothing_left).full(),
];

/// Devices of each class that do it.
const DEVICES: u64 = 4;

fn slots_change(ctx: &mut Ctx<'_>) -> Result<()> {
    over_and_over(ctx, "trusted tear")
}

fn storms(ctx: &mut Ctx<'_>) -> Result<()> {
    over_and_over(ctx, "trusted storm")
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
        victim.is_well(Pages::Unmapped)?;
        victim.has_all_grants()?;
        ctx.note(format!("{class:?}: {answered} responses"));
        guest.shutdown()?;
    }
    Ok(())
}
