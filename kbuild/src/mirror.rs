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
        let from_apt = apt_targets()
            .ok()
            .and_then(|targets| from_targets(&targets));
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

fn apt_targets() -> Result<String> {
    let format = "$(REPO_URI) $(RELEASE) $(COMPONENT)";
    process::output(
        "reading apt's configuration",
        Command::new("apt-get").args(["indextargets", "--format", format, "Created-By: Packages"]),
    )
}

/// Picks the mirrors out of lines "URI release component".
fn from_targets(targets: &str) -> Option<Mirrors> {
    let mut main = None;
    let mut security = None;
    for line in targets.lines() {
        let mut words = line.split_whitespace();
        let (Some(uri), Some(release), Some("main")) = (words.next(), words.next(), words.next())
        else {
            continue;
        };
        let uri = uri.trim_end_matches('/');
        let codename = release.split(['-', '/']).next().unwrap_or_default();
        if !is_debian(codename) || !uri.contains("://") {
            continue;
        }
        if release.ends_with("-security") || release.ends_with("/updates") {
            security.get_or_insert_with(|| uri.to_owned());
        } else {
            main.get_or_insert_with(|| uri.to_owned());
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
        let targets = "https://vendor.example/apt cloud-sdk-bookworm main\n\
                       https://vendor.example/node nodistro main\n\
                       http://mirror.example/debian/ bookworm main\n\
                       http://mirror.example/debian/ bookworm-updates main\n\
                       http://sec.example/debian-security/ bookworm-security main\n";
        let expected = Mirrors {
            main: "http://mirror.example/debian".into(),
            security: Some("http://sec.example/debian-security".into()),
        };
        assert_eq!(from_targets(targets), Some(expected));
    }

    #[test]
    fn no_debian_no_mirror() {
        assert_eq!(
            from_targets("http://archive.example/ubuntu/ noble main\n"),
            None
        );
        assert_eq!(from_targets(""), None);
    }
}
