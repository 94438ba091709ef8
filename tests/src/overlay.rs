// SPDX-License-Identifier: GPL-2.0

//! The kernels with the overlay, and which objects a running one has in fact.

use anyhow::{Context, Result, ensure};
use kbuild::overlay;

use crate::host::Host;
use crate::remote::Place;

/// The kernel profile with our objects.
pub const OURS: &str = "overlay";

/// The one with every object in C.
pub const IN_C: &str = "overlay-c";

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

/// Whether dom0's kernel is [`OURS`]; for scenarios that run on that one and on [`IN_C`].
pub fn is_ours(host: &Host) -> bool {
    !host.kernel.ends_with(&format!("-{IN_C}"))
}

/// Whether a kernel profile is [`OURS`] or made from it.
pub fn is_overlay(profile: &str) -> bool {
    let mut variants = overlay::variants(OURS).into_iter();
    profile == OURS || variants.any(|variant| variant.name == profile)
}

/// Whether a kernel of this release was built with our object of a switch.
fn has_ours(release: &str, switch: &str) -> Result<bool> {
    let profile = release
        .split_once('-')
        .map(|(_, profile)| profile)
        .filter(|profile| is_overlay(profile))
        .with_context(|| format!("{release} is no overlay kernel"))?;
    let mut variants = overlay::variants(OURS).into_iter();
    let variant = variants.find(|variant| variant.name == profile);
    let without_rust = variant.map_or(vec![], |variant| variant.without_rust);
    let on = overlay::switched_on(&without_rust)?;
    Ok(on.iter().any(|is| is.name == switch))
}

/// An error unless the running kernel, of this release, has our objects and those of C as its profile says.
pub fn check_objects(place: &Place, release: &str) -> Result<()> {
    for (switch, function) in C_ONLY {
        let found = place.sh(&format!(
            "grep -c ' [tT] {function}$' /proc/kallsyms || true"
        ))?;
        let wanted = if has_ours(release, switch)? { "0" } else { "1" };
        ensure!(
            found.trim() == wanted,
            "{switch}: the running kernel has {found} functions {function}, not {wanted}"
        );
    }
    for (switch, name) in CRATES {
        // A Rust name, in version 0 mangling.
        let found = place.sh(&format!("grep -c '_R.*{name}' /proc/kallsyms || true"))?;
        ensure!(
            (found.trim() != "0") == has_ours(release, switch)?,
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
        let ours =
            |release| ["swiotlb", "pci", "acpi"].map(|switch| has_ours(release, switch).unwrap());
        assert_eq!(ours("7.3.4-overlay"), [true; 3]);
        assert_eq!(ours("7.3.4-overlay-c"), [false; 3]);
        assert_eq!(ours("7.3.4-overlay-no-pci"), [true, false, true]);
        assert!(has_ours("7.3.4-amd64", "pci").is_err());
    }

    #[test]
    fn every_switch_is_looked_at() {
        for switch in overlay::SWITCHES {
            let is = |(of, _): &&(&str, &str)| *of == switch.name;
            assert!(C_ONLY.iter().any(|entry| is(&entry)), "{}", switch.name);
            assert!(CRATES.iter().any(|entry| is(&entry)), "{}", switch.name);
        }
    }
}
