// SPDX-License-Identifier: GPL-2.0

//! One Debian suite as `kernels.toml` describes it.

use anyhow::Result;
use serde::Deserialize;

use crate::mirror::{self, Mirrors};

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
