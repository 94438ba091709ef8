// SPDX-License-Identifier: GPL-2.0

//! Which Debian mirror to use: the one the user names, else the one this machine's apt is configured with.
//!
//! No mirror's name is written in the source: a machine behind a company mirror or a proxy keeps using it.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::process;

/// The archive's keys, under the names Debian has given the file.
const KEYRINGS: [&str; 2] = [
    "/usr/share/keyrings/debian-archive-keyring.gpg",
    "/usr/share/keyrings/debian-archive-keyring.pgp",
];

/// Where packages come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirrors {
    /// URI of the archive itself.
    pub main: String,
    /// URI of the security archive, if one is known; suites do without that pocket otherwise.
    pub security: Option<String>,
}

impl Mirrors {
    /// Finds the mirror: `chosen` (the option), `PARAVANE_MIRROR`, apt's configuration.
    pub fn detect(chosen: Option<&str>) -> Result<Self> {
        let from_apt = apt_sources()
            .ok()
            .and_then(|sources| from_sources(&sources));
        let named = chosen
            .map(str::to_owned)
            .or_else(|| std::env::var("PARAVANE_MIRROR").ok());
        match named.filter(|uri| !uri.is_empty()) {
            Some(main) => {
                let security = std::env::var("PARAVANE_SECURITY_MIRROR").ok();
                let security = security.or(from_apt.and_then(|m| m.security));
                Ok(Self { main, security })
            }
            None => from_apt.context(
                "apt on this machine names no Debian mirror: pass --mirror URI or set PARAVANE_MIRROR \
                 (such as http://your.mirror/debian)",
            ),
        }
    }
}

/// The key file that verifies the archive.
pub fn keyring() -> Result<&'static str> {
    KEYRINGS
        .into_iter()
        .find(|path| Path::new(path).is_file())
        .context("Debian's archive keys are missing: install the package debian-archive-keyring")
}

/// The sources that apt is configured with, whichever form they are written in. No network is used, and the
/// package lists need not have been downloaded.
fn apt_sources() -> Result<String> {
    process::output(
        "reading apt's configuration",
        Command::new("apt-get").args(["update", "--print-uris"]),
    )
}

/// Picks the mirrors out of lines such as `'http://mirror/debian/dists/trixie/InRelease' file size`.
fn from_sources(sources: &str) -> Option<Mirrors> {
    let mut main = None;
    let mut security = None;
    for line in sources.lines() {
        let Some((uri, rest)) = line.trim_start_matches('\'').split_once("/dists/") else {
            continue;
        };
        // Other lines name the files of each part of the archive.
        let Some((release, _)) = rest.split_once("/InRelease'") else {
            continue;
        };
        let codename = release.split(['-', '/']).next().unwrap_or_default();
        if !is_debian(codename) || !uri.contains("://") {
            continue;
        }
        let uri = uri.trim_end_matches('/').to_owned();
        if release.ends_with("-security") || release.ends_with("/updates") {
            security.get_or_insert(uri);
        } else {
            main.get_or_insert(uri);
        }
    }
    main.map(|main| Mirrors { main, security })
}

/// Whether a release name is one of Debian's, as opposed to a third party's in the same configuration.
fn is_debian(codename: &str) -> bool {
    const NAMES: [&str; 13] = [
        "buster",
        "bullseye",
        "bookworm",
        "trixie",
        "forky",
        "duke",
        "sid",
        "unstable",
        "testing",
        "stable",
        "oldstable",
        "oldoldstable",
        "experimental",
    ];
    NAMES.contains(&codename)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debian_is_told_from_third_parties() {
        let sources = "'http://sec.example/dists/trixie-security/main/Packages.xz' x 0 \n\
                       'https://vendor.example/apt/dists/cloud-sdk-bookworm/InRelease' a 0 \n\
                       'https://vendor.example/node/dists/nodistro/InRelease' b 0 \n\
                       'http://mirror.example/debian/dists/bookworm/InRelease' c 0 \n\
                       'http://mirror.example/debian/dists/bookworm-updates/InRelease' d 0 \n\
                       'http://sec.example/debian-security/dists/bookworm-security/InRelease' e 0 \n";
        let expected = Mirrors {
            main: "http://mirror.example/debian".into(),
            security: Some("http://sec.example/debian-security".into()),
        };
        assert_eq!(from_sources(sources), Some(expected));
    }

    #[test]
    fn no_debian_no_mirror() {
        assert_eq!(
            from_sources("'http://archive.example/ubuntu/dists/noble/InRelease' a 0\n"),
            None
        );
        assert_eq!(from_sources(""), None);
    }
}
