// SPDX-License-Identifier: GPL-2.0

//! The overlay: a kernel built from source with `linux-pv` laid into it, in which objects of ours take the place of
//! the kernel's C objects, each by a switch of its own.
//!
//! What lives here: the list of switches. How the lines get into the source is in [`lines`], the source itself in
//! [`tree`], the configuration in [`config`], building in [`build`], what the image really holds in [`objects`], the
//! Debian package in [`package`].

pub mod build;
pub mod config;
pub mod lines;
pub mod objects;
pub mod package;
pub mod tree;

use anyhow::{Result, bail};

/// Where `linux-pv` lies in a kernel's source.
pub const PLACE: &str = "drivers/xen/rust";

/// A C object of the kernel and the object of ours that takes its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Switch {
    /// What the user calls it, as in `--c swiotlb`.
    pub name: &'static str,
    /// The option, without `CONFIG_`; on means ours.
    pub option: &'static str,
    /// The kernel's objects, below the top of the source.
    pub theirs: &'static [&'static str],
    /// Our object, below [`PLACE`].
    pub ours: &'static str,
}

/// All switches there are.
pub const SWITCHES: &[Switch] = &[
    Switch {
        name: "swiotlb",
        option: "XEN_RUST_SWIOTLB",
        theirs: &["drivers/xen/swiotlb-xen.o"],
        ours: "swiotlb/xen_swiotlb.o",
    },
    Switch {
        name: "pci",
        option: "XEN_RUST_PCI",
        theirs: &["arch/x86/pci/xen.o", "drivers/xen/pci.o"],
        ours: "core/pci/xen_pci.o",
    },
    Switch {
        name: "acpi",
        option: "XEN_RUST_ACPI",
        theirs: &["drivers/xen/acpi.o"],
        ours: "core/acpi/xen_acpi.o",
    },
];

/// The switches that are on when the named ones are left to C; `all` names every one.
pub fn switched_on(left_to_c: &[String]) -> Result<Vec<Switch>> {
    for name in left_to_c {
        if name != "all" && !SWITCHES.iter().any(|switch| switch.name == name) {
            let known: Vec<_> = SWITCHES.iter().map(|switch| switch.name).collect();
            bail!(
                "no object of ours is called {name}; there are {}, and all",
                known.join(", ")
            );
        }
    }
    let in_c = |switch: &Switch| {
        left_to_c
            .iter()
            .any(|name| name == "all" || name == switch.name)
    };
    Ok(SWITCHES
        .iter()
        .copied()
        .filter(|switch| !in_c(switch))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_left_to_c_by_name() {
        assert_eq!(switched_on(&[]).unwrap(), SWITCHES);
        assert!(switched_on(&["all".into()]).unwrap().is_empty());
        let rest = switched_on(&["swiotlb".into()]).unwrap();
        assert!(!rest.iter().any(|switch| switch.name == "swiotlb"));
        let error = switched_on(&["sweet".into()]).unwrap_err().to_string();
        assert!(error.contains("swiotlb"), "{error}");
    }

    #[test]
    fn every_switch_has_an_entry_with_help() {
        let kconfig = include_str!("../../linux-pv/core/Kconfig");
        for switch in SWITCHES {
            let entry = kconfig
                .split("\nconfig ")
                .find(|entry| entry.lines().next() == Some(switch.option));
            let entry = entry.unwrap_or_else(|| panic!("{} has no entry", switch.option));
            assert!(entry.contains("\thelp\n"), "{}", switch.option);
        }
    }
}
