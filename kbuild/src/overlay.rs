// SPDX-License-Identifier: GPL-2.0

//! The overlay: a kernel built from source with `linux-pv` in it, in which Rust objects of ours take the place of the
//! kernel's C objects, each by a switch of its own.
//!
//! What lives here: the kernels that differ in their switches. The list of switches is in [`switch`], how the lines get into the
//! source in [`lines`], the source itself in [`tree`], the configuration in [`config`], building in [`build`], what the image
//! really holds in [`objects`], the Debian package in [`package`].

pub mod build;
pub mod config;
pub mod lines;
pub mod objects;
pub mod package;
pub mod switch;
pub mod tree;

use anyhow::{Result, bail};

pub use switch::{CObject, SWITCHES, Switch};

/// The folder of `linux-pv` in a kernel's source.
pub const PLACE: &str = "drivers/xen/rust";

/// The name that stands for every switch.
pub const ALL: &str = "all";

/// The names of all switches, and [`ALL`].
pub fn names() -> String {
    let names: Vec<_> = SWITCHES.iter().map(|switch| switch.name).collect();
    format!("{}, or {ALL}", names.join(", "))
}

/// The switches that are on when the named ones are off; [`ALL`] names every one.
pub fn switched_on(without_rust: &[String]) -> Result<Vec<Switch>> {
    for name in without_rust {
        if name != ALL && !SWITCHES.iter().any(|switch| switch.name == name) {
            let known: Vec<_> = SWITCHES.iter().map(|switch| switch.name).collect();
            bail!(
                "no Rust object of ours is called {name}; there are {}, and {ALL}",
                known.join(", ")
            );
        }
    }
    let is_off = |switch: &Switch| {
        without_rust
            .iter()
            .any(|name| name == ALL || name == switch.name)
    };
    Ok(SWITCHES
        .iter()
        .copied()
        .filter(|switch| !is_off(switch))
        .collect())
}

/// A kernel profile that is made from that of an overlay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OverlayVariant {
    /// Its name, which begins with that of the overlay's profile.
    pub name: String,
    /// The switches that are off.
    pub without_rust: Vec<String>,
}

/// The kernels that are built to compare with an overlay: one with every object in C, and for each switch one in which it
/// alone is off, which shows that each works without the others.
pub fn variants(profile: &str) -> Vec<OverlayVariant> {
    let one = |switch: &Switch| OverlayVariant {
        name: format!("{profile}-no-{}", switch.name),
        without_rust: vec![switch.name.to_owned()],
    };
    let all = OverlayVariant {
        name: format!("{profile}-c"),
        without_rust: vec![ALL.to_owned()],
    };
    std::iter::once(all)
        .chain(SWITCHES.iter().map(one))
        .collect()
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
}
