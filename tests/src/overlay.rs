// SPDX-License-Identifier: GPL-2.0

//! The two kernels with the overlay, and which objects a running one has in fact.

use anyhow::{Result, ensure};

use crate::host::Host;
use crate::remote::Place;

/// The target of kernels.toml with our objects.
pub const OURS: &str = "overlay";
/// The same with every object in C.
pub const IN_C: &str = "overlay-c";
/// Both, for scenarios that are to pass on either.
pub const BOTH: &[&str] = &[OURS, IN_C];

/// A function of the C object that no other has, for each switch.
const C_ONLY: &[(&str, &str)] = &[
    ("swiotlb", "xen_swiotlb_map_phys"),
    ("pci", "xen_initdom_setup_msi_irqs"),
    ("pci", "xen_pci_notifier"),
    ("acpi", "xen_acpi_notify_hypervisor_state"),
];

/// Crates that are in the image only if they are ours.
const CRATES: &[&str] = &["11xen_swiotlb", "7xen_pci", "8xen_acpi"];

/// Whether dom0's kernel is the one with our objects.
pub fn is_ours(host: &Host) -> bool {
    !host.kernel.ends_with("-c")
}

/// An error unless the running kernel has our objects and not those of C, or the other way round.
pub fn check_objects(place: &Place, ours: bool) -> Result<()> {
    for (name, function) in C_ONLY {
        let found = place.sh(&format!(
            "grep -c ' [tT] {function}$' /proc/kallsyms || true"
        ))?;
        ensure!(
            found.trim() == if ours { "0" } else { "1" },
            "{name}: the running kernel has {found} functions {function}"
        );
    }
    for name in CRATES {
        // A Rust name, in version 0 mangling.
        let found = place.sh(&format!("grep -c '_R.*{name}' /proc/kallsyms || true"))?;
        ensure!(
            (found.trim() != "0") == ours,
            "{found} functions of crate {name}"
        );
    }
    Ok(())
}
