// SPDX-License-Identifier: GPL-2.0

//! `kernels.toml`: the Debian suites we make sandboxes of and the kernels we support.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::fsutil::read_text;
use crate::overlay;
use crate::suite::Suite;
use crate::version::Version;

/// What `kernels.toml` says.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The kernel profile used when none is named.
    pub default: String,
    /// Debian suites by name.
    pub suite: BTreeMap<String, Suite>,
    /// Kernels by name, those that are made from an overlay's profile ([`overlay::variants`]) included.
    #[serde(rename = "profile", alias = "target")]
    pub profiles: BTreeMap<String, Profile>,
    /// Which versions of Xen will do.
    pub xen: Xen,
}

/// Which hypervisors are supported.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Xen {
    /// The oldest version we accept, as `4.17`.
    pub min_version: String,
}

/// A kernel we support. What is written here is a rule; `resolve` finds the version it stands for today.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Its name; the key in the file.
    #[serde(skip)]
    pub name: String,
    /// Whether the distribution's binary is used or a kernel is built from its source.
    pub kind: KernelKind,
    /// The Debian suite it comes from, whose sandbox also builds for it.
    pub suite: String,
    /// The oldest series that has what we need, as `7.2`.
    pub min_series: String,
    /// The newest series that is taken, as `7.2`: newer ones are left to other profiles.
    #[serde(default)]
    pub max_series: Option<String>,
    /// The end of the package's name: `amd64`, not `rt-amd64` or `cloud-amd64`.
    pub flavour: String,
    /// For `source` and `overlay`: the configuration fragments, files in the work tree, put together in this order.
    #[serde(default)]
    pub fragments: Vec<String>,
    /// For `overlay`: the switches that are off, as `cargo xtask kernel --without-rust` takes them. Not in the file.
    #[serde(skip)]
    pub without_rust: Vec<String>,
    /// Further arguments for make, here and when modules are built, such as `CC=clang`.
    #[serde(default)]
    pub make: Vec<String>,
}

/// How a profile's kernel is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KernelKind {
    /// Taken from the archive as it is; Rust metadata is made for it.
    Binary,
    /// Built from the archive's source package with our configuration.
    Source,
    /// The same, with Rust objects of ours in place of C objects.
    Overlay,
}

impl Config {
    /// Reads the file.
    pub fn read(path: &Path) -> Result<Self> {
        Self::parse(&read_text(path)?).with_context(|| format!("{} is not valid", path.display()))
    }

    fn parse(text: &str) -> Result<Self> {
        let mut config: Self = toml::from_str(text)?;
        for (name, suite) in &mut config.suite {
            suite.name.clone_from(name);
        }
        for (name, profile) in &mut config.profiles {
            profile.name.clone_from(name);
            if !config.suite.contains_key(&profile.suite) {
                bail!(
                    "profile {name} is of suite {}, which is not described",
                    profile.suite
                );
            }
            let max = profile.max_series.as_deref().map(Version::new);
            if max.is_some_and(|max| max < Version::new(&profile.min_series)) {
                bail!("profile {name}: no series is at least min_series and at most max_series");
            }
            if (profile.kind == KernelKind::Binary) != profile.fragments.is_empty() {
                bail!(
                    "profile {name}: fragments belong to kernels that are built here, and those need some"
                );
            }
        }
        config.add_variants()?;
        if !config.profiles.contains_key(&config.default) {
            bail!("the default profile {} is not described", config.default);
        }
        Ok(config)
    }

    /// Adds the profiles that are made from those of overlays.
    fn add_variants(&mut self) -> Result<()> {
        let of_overlay = |profile: &&Profile| profile.kind == KernelKind::Overlay;
        let overlays: Vec<_> = self.profiles.values().filter(of_overlay).cloned().collect();
        for overlay in overlays {
            for variant in overlay::variants(&overlay.name) {
                let profile = Profile {
                    name: variant.name.clone(),
                    without_rust: variant.without_rust,
                    ..overlay.clone()
                };
                if self
                    .profiles
                    .insert(variant.name.clone(), profile)
                    .is_some()
                {
                    bail!("profile {}: it is made from {}", variant.name, overlay.name);
                }
            }
        }
        Ok(())
    }

    /// A suite by name.
    pub fn suite(&self, name: &str) -> Result<&Suite> {
        self.suite.get(name).with_context(|| {
            let known: Vec<_> = self.suite.keys().map(String::as_str).collect();
            format!(
                "kernels.toml describes no suite {name}; it has {}",
                known.join(", ")
            )
        })
    }

    /// A kernel profile by name, the default one if none is named.
    pub fn profile(&self, name: Option<&str>) -> Result<&Profile> {
        let name = name.unwrap_or(&self.default);
        self.profiles.get(&self.current_name(name)).with_context(|| {
            let known: Vec<_> = self.profiles.keys().map(String::as_str).collect();
            let known = known.join(", ");
            // Only `build` takes paths, and those with a slash do not get here.
            match name.contains('/') {
                true => format!(
                    "a kernel's folder cannot be named here: only kernels of kernels.toml ({known}) are booted. `cargo xtask \
                     build --kernel {name}` builds the modules for a kernel of this machine"
                ),
                false => format!(
                    "there is no kernel profile {name}; kernels.toml has {known}. `cargo xtask build --kernel` also takes a \
                     kernel's build folder, with a slash in its path"
                ),
            }
        })
    }

    /// What a profile is called now that may be named as it was before: `overlay-c-pci` is `overlay-no-pci`.
    pub fn current_name(&self, name: &str) -> String {
        let renamed = name.replacen("-c-", "-no-", 1);
        match self.profiles.contains_key(&renamed) {
            true => renamed,
            false => name.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_file_is_valid() {
        let config = Config::parse(include_str!("../../kernels.toml")).unwrap();
        assert_eq!(config.profile(None).unwrap().kind, KernelKind::Binary);
        assert_eq!(config.profile(Some("debian-sid")).unwrap().suite, "sid");
    }

    #[test]
    fn unknown_names_list_the_known_ones() {
        let config = Config::parse(include_str!("../../kernels.toml")).unwrap();
        let error = config
            .profile(Some("debian-potato"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("debian-stock"), "{error}");
    }

    #[test]
    fn a_folder_is_refused_with_what_takes_one() {
        let config = Config::parse(include_str!("../../kernels.toml")).unwrap();
        let error = config.profile(Some("./linux")).unwrap_err().to_string();
        assert!(error.contains("xtask build --kernel ./linux"), "{error}");
        assert!(error.contains("debian-stock"), "{error}");
    }

    #[test]
    fn an_overlay_has_a_profile_for_each_switch_and_one_without_any() {
        let config = Config::parse(include_str!("../../kernels.toml")).unwrap();
        let without = |name: &str| &config.profile(Some(name)).unwrap().without_rust;
        assert!(without("overlay").is_empty());
        assert_eq!(without("overlay-c")[..], ["all"]);
        for switch in overlay::SWITCHES {
            let name = format!("overlay-no-{}", switch.name);
            assert_eq!(without(&name)[..], [switch.name]);
            let old = format!("overlay-c-{}", switch.name);
            assert_eq!(config.profile(Some(&old)).unwrap().name, name);
        }
        assert!(config.profile(Some("overlay-c-nothing")).is_err());
    }

    #[test]
    fn mistakes_are_refused() {
        let text = "default = 'a'\n[xen]\nmin_version = '4.17'\n[suite.s]\nsandbox = []\n";
        let profile = |rest: &str| {
            format!("{text}[profile.a]\nmin_series = '7.2'\nflavour = 'amd64'\n{rest}")
        };
        assert!(Config::parse(&profile("kind = 'binary'\nsuite = 's'\n")).is_ok());
        assert!(Config::parse(&profile("kind = 'binary'\nsuite = 't'\n")).is_err());
        assert!(Config::parse(&profile("kind = 'source'\nsuite = 's'\n")).is_err());
        let range = |max: &str| format!("kind = 'binary'\nsuite = 's'\nmax_series = '{max}'\n");
        assert!(Config::parse(&profile(&range("7.2"))).is_ok());
        assert!(Config::parse(&profile(&range("7.1"))).is_err());
        assert!(Config::parse(&profile("kind = 'binary'\nsuite = 's'\nsweet = 1\n")).is_err());
        assert!(Config::parse(&profile("kind = 'binary'\nsuite = 's'\nc = ['all']\n")).is_err());
        let overlay = "kind = 'overlay'\nsuite = 's'\nfragments = ['f']\n";
        assert!(Config::parse(&profile(overlay)).is_ok());
        assert!(Config::parse(&profile(&format!("{overlay}c = ['all']\n"))).is_err());
        let twice =
            format!("{overlay}[profile.a-c]\nmin_series = '7.2'\nflavour = 'amd64'\n{overlay}");
        assert!(Config::parse(&profile(&twice)).is_err());
    }
}
