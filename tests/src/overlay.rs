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
    for switch in overlay::SWITCHES {
        let ours = has_ours(release, switch.name)?;
        for object in switch.theirs {
            // Without such a function the build's check has to do.
            let Some(function) = object.function else {
                continue;
            };
            let found = place.sh(&format!(
                "grep -c ' [tT] {function}$' /proc/kallsyms || true"
            ))?;
            let wanted = if ours { "0" } else { "1" };
            ensure!(
                found.trim() == wanted,
                "{}: the running kernel has {found} functions {function}, not {wanted}",
                switch.name
            );
        }
        // Functions of our crate are in the image only if the object is.
        let mark = switch.crate_mark();
        let found = place.sh(&format!("grep -c '_R.*{mark}' /proc/kallsyms || true"))?;
        ensure!(
            (found.trim() != "0") == ours,
            "{}: {found} functions of crate {mark}",
            switch.name
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
}
