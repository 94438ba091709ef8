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
/// And those with one object in C each.
pub const ALL: &[&str] = &[
    OURS,
    IN_C,
    "overlay-c-swiotlb",
    "overlay-c-pci",
    "overlay-c-acpi",
];

/// A function of the C object that no other has, for each switch.
const C_ONLY: &[(&str, &str)] = &[
    ("swiotlb", "xen_swiotlb_map_phys"),
    ("pci", "xen_initdom_setup_msi_irqs"),
    ("pci", "xen_pci_notifier"),
    ("acpi", "xen_acpi_notify_hypervisor_state"),
];

/// Crates that are in the image only if they are ours, for each switch.
const CRATES: &[(&str, &str)] = &[
    ("swiotlb", "11xen_swiotlb"),
    ("pci", "7xen_pci"),
    ("acpi", "8xen_acpi"),
];

/// Whether dom0's kernel is the one with our objects; for those in [`BOTH`].
pub fn is_ours(host: &Host) -> bool {
    !host.kernel.ends_with("-c")
}

/// Whether a kernel of this release was built with our object of a switch.
fn has_ours(release: &str, switch: &str) -> bool {
    match release.rsplit_once("-c") {
        Some((_, "")) => false,
        Some((_, object)) => object.strip_prefix('-') != Some(switch),
        None => true,
    }
}

/// An error unless the running kernel, of this release, has our objects and those of C as its target says.
pub fn check_objects(place: &Place, release: &str) -> Result<()> {
    for (switch, function) in C_ONLY {
        let found = place.sh(&format!(
            "grep -c ' [tT] {function}$' /proc/kallsyms || true"
        ))?;
        let wanted = if has_ours(release, switch) { "0" } else { "1" };
        ensure!(
            found.trim() == wanted,
            "{switch}: the running kernel has {found} functions {function}, not {wanted}"
        );
    }
    for (switch, name) in CRATES {
        // A Rust name, in version 0 mangling.
        let found = place.sh(&format!("grep -c '_R.*{name}' /proc/kallsyms || true"))?;
        ensure!(
            (found.trim() != "0") == has_ours(release, switch),
            "{switch}: {found} functions of crate {name}"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_say_which_objects_are_ours() {
        let ours = |release| ["swiotlb", "pci", "acpi"].map(|switch| has_ours(release, switch));
        assert_eq!(ours("7.3.4-overlay"), [true; 3]);
        assert_eq!(ours("7.3.4-overlay-c"), [false; 3]);
        assert_eq!(ours("7.3.4-overlay-c-pci"), [true, false, true]);
    }
}
