// SPDX-License-Identifier: GPL-2.0

//! A kernel with the overlay boots as dom0 and as guests, and holds the objects that it says.

use anyhow::{Result, ensure};

use crate::guest::{Guest, Mode};
use crate::scenario::{Ctx, Scenario};
use crate::topology::Topology;

/// The kernel with our objects, and the one with the C objects.
const BOTH: &[&str] = &["overlay", "overlay-c"];

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[
    Scenario::new("overlay.image_holds_what_it_says", image_holds_what_it_says).only_on(BOTH),
    Scenario::new(
        "overlay.guests_boot_in_every_mode",
        guests_boot_in_every_mode,
    )
    .only_on(BOTH),
    Scenario::new("overlay.pvh_dom0_boots", image_holds_what_it_says)
        .on(Topology::PVH)
        .only_on(BOTH),
];

/// A function of the C object that no other has, for each switch.
const C_ONLY: &[(&str, &str)] = &[
    ("swiotlb", "xen_swiotlb_map_phys"),
    ("pci", "xen_initdom_setup_msi_irqs"),
    ("pci", "xen_pci_notifier"),
    ("acpi", "xen_acpi_notify_hypervisor_state"),
];

/// Crates that are in the image only if they are ours.
const OURS: &[&str] = &["11xen_swiotlb", "7xen_pci", "8xen_acpi"];

fn image_holds_what_it_says(ctx: &mut Ctx<'_>) -> Result<()> {
    let dom0 = ctx.host.dom0();
    let ours = !ctx.host.kernel.ends_with("-c");
    for (name, function) in C_ONLY {
        let found = dom0.sh(&format!(
            "grep -c ' [tT] {function}$' /proc/kallsyms || true"
        ))?;
        ensure!(
            found.trim() == if ours { "0" } else { "1" },
            "{name}: the running kernel has {found} functions {function}"
        );
    }
    for name in OURS {
        // A Rust name, in version 0 mangling.
        let found = dom0.sh(&format!("grep -c '_R.*{name}' /proc/kallsyms || true"))?;
        ensure!(
            (found.trim() != "0") == ours,
            "{found} functions of crate {name}"
        );
    }
    Ok(())
}

fn guests_boot_in_every_mode(ctx: &mut Ctx<'_>) -> Result<()> {
    for mode in [Mode::Pv, Mode::Pvh, Mode::Hvm] {
        let guest = ctx.host.create(Guest::new("g1", mode).vcpus(2))?;
        ensure!(guest.sh("uname -r")? == ctx.host.kernel);
        guest.shutdown()?;
    }
    Ok(())
}
