// SPDX-License-Identifier: GPL-2.0

//! `kernels.toml`: the Debian suites we make sandboxes of and the kernels we support.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::mirror::{self, Mirrors};
use crate::session::read_text;

/// The whole file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The target used when none is named.
    pub default: String,
    /// Debian suites by name.
    pub suite: BTreeMap<String, Suite>,
}

/// One Debian suite.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suite {
    /// The suite's name; the key in the file.
    #[serde(skip)]
    pub name: String,
    /// Further parts of the archive, such as `trixie-backports`; those that end in `-security` come from the
    /// security archive.
    #[serde(default)]
    pub pockets: Vec<String>,
    /// Apt patterns of packages preferred from backports, such as `src:qemu`.
    #[serde(default)]
    pub from_backports: Vec<String>,
    /// Packages of the build sandbox.
    pub sandbox: Vec<String>,
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
        Ok(config)
    }

    /// A suite by name.
    pub fn suite(&self, name: &str) -> Result<&Suite> {
        match self.suite.get(name) {
            Some(suite) => Ok(suite),
            None => {
                let known: Vec<_> = self.suite.keys().map(String::as_str).collect();
                bail!(
                    "kernels.toml describes no suite {name}; it has {}",
                    known.join(", ")
                )
            }
        }
    }
}

impl Suite {
    /// The suite's `sources.list` lines.
    pub fn sources(&self, mirrors: &Mirrors) -> Result<Vec<String>> {
        let keyring = mirror::keyring()?;
        let mut lines = vec![format!(
            "deb [signed-by={keyring}] {} {} main",
            mirrors.main, self.name
        )];
        for pocket in &self.pockets {
            let uri = if pocket.ends_with("-security") {
                mirrors.security.as_ref()
            } else {
                Some(&mirrors.main)
            };
            if let Some(uri) = uri {
                lines.push(format!("deb [signed-by={keyring}] {uri} {pocket} main"));
            }
        }
        Ok(lines)
    }

    /// The apt preferences that take [`Suite::from_backports`] from there.
    pub fn preferences(&self) -> String {
        if self.from_backports.is_empty() {
            return String::new();
        }
        let packages = self.from_backports.join(" ");
        format!(
            "Package: {packages}\nPin: release n={}-backports\nPin-Priority: 600\n",
            self.name
        )
    }
}
