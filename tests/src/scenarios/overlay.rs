// SPDX-License-Identifier: GPL-2.0

//! A kernel with the overlay boots as dom0 and as guests, and holds the objects that it says.

use anyhow::{Result, ensure};

use crate::context::Ctx;
use crate::guest::{Guest, Mode};
use crate::matrix::Kernels;
use crate::overlay::check_objects;
use crate::scenario::Scenario;
use crate::topology::Topology;

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[
    Scenario::new("overlay.image_holds_what_it_says", image_holds_what_it_says)
        .only_on(Kernels::Overlays)
        .by_default(),
    Scenario::new(
        "overlay.guests_boot_in_every_mode",
        guests_boot_in_every_mode,
    )
    .only_on(Kernels::Overlays)
    .by_default(),
    Scenario::new("overlay.pvh_dom0_boots", image_holds_what_it_says)
        .on(Topology::PVH)
        .only_on(Kernels::Overlays),
];

fn image_holds_what_it_says(ctx: &mut Ctx<'_>) -> Result<()> {
    check_objects(ctx.host.dom0(), &ctx.host.kernel)
}

fn guests_boot_in_every_mode(ctx: &mut Ctx<'_>) -> Result<()> {
    for mode in [Mode::Pv, Mode::Pvh, Mode::Hvm] {
        let guest = ctx.host.create(Guest::new("g1", mode).vcpus(2))?;
        ensure!(guest.sh("uname -r")? == ctx.host.kernel);
        guest.shutdown()?;
    }
    Ok(())
}
