// SPDX-License-Identifier: GPL-2.0

//! `kernels.toml`: the Debian suites we make sandboxes of and the kernels we support.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::session::read_text;
use crate::suite::Suite;

/// The whole file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The target used when none is named.
    pub default: String,
    /// Debian suites by name.
    pub suite: BTreeMap<String, Suite>,
    /// Kernels by name.
    pub target: BTreeMap<String, Target>,
    /// The hypervisor.
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
pub struct Target {
    /// The target's name; the key in the file.
    #[serde(skip)]
    pub name: String,
    /// Whether the distribution's binary is used or a kernel is built from its source.
    pub kind: Kind,
    /// The Debian suite it comes from, whose sandbox also builds for it.
    pub suite: String,
    /// The oldest series that has what we need, as `7.2`.
    pub min_series: String,
    /// The end of the package's name: `amd64`, not `rt-amd64` or `cloud-amd64`.
    pub flavour: String,
    /// For `source` and `overlay`: the configuration fragments, files in the work tree, put together in this order.
    #[serde(default)]
    pub fragments: Vec<String>,
    /// For `overlay`: objects that stay C, as `cargo xtask kernel --c` takes them.
    #[serde(default)]
    pub c: Vec<String>,
    /// Further arguments for make, here and when modules are built, such as `CC=clang`.
    #[serde(default)]
    pub make: Vec<String>,
}

/// How a target's kernel comes to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Taken from the archive as it is; Rust metadata is made for it.
    Binary,
    /// Built from the archive's source package with our configuration.
    Source,
    /// The same, with objects of ours in place of C objects.
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
        for (name, target) in &mut config.target {
            target.name.clone_from(name);
            if !config.suite.contains_key(&target.suite) {
                bail!(
                    "target {name} is of suite {}, which is not described",
                    target.suite
                );
            }
            if (target.kind == Kind::Binary) != target.fragments.is_empty() {
                bail!(
                    "target {name}: fragments belong to kernels that are built here, and those need some"
                );
            }
            if target.kind != Kind::Overlay && !target.c.is_empty() {
                bail!("target {name}: only an overlay kernel has objects to leave to C");
            }
        }
        if !config.target.contains_key(&config.default) {
            bail!("the default target {} is not described", config.default);
        }
        Ok(config)
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

    /// A target by name, the default one if none is named.
    pub fn target(&self, name: Option<&str>) -> Result<&Target> {
        let name = name.unwrap_or(&self.default);
        self.target.get(name).with_context(|| {
            let known: Vec<_> = self.target.keys().map(String::as_str).collect();
            let known = known.join(", ");
            // Only `build` takes paths, and those with a slash do not get here.
            match name.contains('/') {
                true => format!(
                    "a kernel's folder cannot be named here: only kernels of kernels.toml ({known}) are booted. `cargo xtask \
                     build --kernel {name}` builds the modules for a kernel of this machine"
                ),
                false => format!(
                    "there is no kernel target {name}; kernels.toml has {known}. `cargo xtask build --kernel` also takes a \
                     kernel's build folder, with a slash in its path"
                ),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_file_is_valid() {
        let config = Config::parse(include_str!("../../kernels.toml")).unwrap();
        assert_eq!(config.target(None).unwrap().kind, Kind::Binary);
        assert_eq!(config.target(Some("debian-sid")).unwrap().suite, "sid");
    }

    #[test]
    fn unknown_names_list_the_known_ones() {
        let config = Config::parse(include_str!("../../kernels.toml")).unwrap();
        let error = config
            .target(Some("debian-potato"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("debian-stock"), "{error}");
    }

    #[test]
    fn a_folder_is_refused_with_what_takes_one() {
        let config = Config::parse(include_str!("../../kernels.toml")).unwrap();
        let error = config.target(Some("./linux")).unwrap_err().to_string();
        assert!(error.contains("xtask build --kernel ./linux"), "{error}");
        assert!(error.contains("debian-stock"), "{error}");
    }

    #[test]
    fn mistakes_are_refused() {
        let text = "default = 'a'\n[xen]\nmin_version = '4.17'\n[suite.s]\nsandbox = []\n";
        let target =
            |rest: &str| format!("{text}[target.a]\nmin_series = '7.2'\nflavour = 'amd64'\n{rest}");
        assert!(Config::parse(&target("kind = 'binary'\nsuite = 's'\n")).is_ok());
        assert!(Config::parse(&target("kind = 'binary'\nsuite = 't'\n")).is_err());
        assert!(Config::parse(&target("kind = 'source'\nsuite = 's'\n")).is_err());
        assert!(Config::parse(&target("kind = 'binary'\nsuite = 's'\nsweet = 1\n")).is_err());
        assert!(Config::parse(&target("kind = 'binary'\nsuite = 's'\nc = ['all']\n")).is_err());
        let overlay = "kind = 'overlay'\nsuite = 's'\nfragments = ['f']\nc = ['all']\n";
        assert!(Config::parse(&target(overlay)).is_ok());
    }
}
