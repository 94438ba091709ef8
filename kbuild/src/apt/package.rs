// SPDX-License-Identifier: GPL-2.0

//! Packages as apt prints them: plans of `apt-get --simulate install`, records of `apt-cache show`.

use anyhow::{Context, Result};

use crate::version::Version;

/// A package as the archive offers it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Package {
    /// Its name, without architecture.
    pub name: String,
    /// Its version, with epoch and revision.
    pub version: Version,
    /// The file's name in the pool, without folders.
    pub file: String,
    /// The file's size in bytes.
    pub size: u64,
    /// The file's SHA-256.
    pub sha256: String,
    /// Names of the packages it depends on, alternatives and versions left out.
    pub depends: Vec<String>,
}

impl Package {
    /// The name of its file in our store: the same version from another build is another file.
    pub fn stored_name(&self) -> String {
        let hash = self.sha256.get(..12).unwrap_or(&self.sha256);
        format!("{hash}-{}", self.file)
    }
}

/// The packages, as `NAME=VERSION`, that `apt-get --simulate install` would unpack:
/// `Inst gcc (4:14.2.0-1 Debian:13.5/stable [amd64])`.
pub(super) fn planned(plan: &str) -> impl Iterator<Item = String> {
    plan.lines().filter_map(|line| {
        let (name, rest) = line.strip_prefix("Inst ")?.split_once(" (")?;
        // A version that is installed already stands between.
        let name = name.split(' ').next()?;
        let version = rest.split(' ').next()?;
        Some(format!("{name}={version}"))
    })
}

/// The record of each package of a plan, in its order, from what `apt-cache show` printed. A package whose record is
/// missing or cannot be read is an error: what is unpacked without it would not run.
pub(super) fn records_of(planned: &[String], text: &str) -> Result<Vec<Package>> {
    let records: Vec<_> = text.split("\n\n").filter_map(parse_record).collect();
    let record = |named: &String| {
        let is_it = |package: &&Package| format!("{}={}", package.name, package.version) == *named;
        records.iter().find(is_it).cloned().with_context(|| {
            format!(
                "the archive's record of {named} is missing, or lacks its version, file, size or SHA-256; mirrors in \
                 between updates do that for some minutes, `--refresh` asks again"
            )
        })
    };
    planned.iter().map(record).collect()
}

/// Reads one record of a `Packages` file.
pub(super) fn parse_record(text: &str) -> Option<Package> {
    let field = |name: &str| {
        text.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    };
    let depends = field("Depends")
        .unwrap_or_default()
        .split(',')
        .filter_map(|clause| {
            let first = clause.split('|').next()?;
            let name = first.split(['(', '[', ':']).next()?.trim();
            (!name.is_empty()).then(|| name.to_owned())
        });
    Some(Package {
        name: field("Package")?.to_owned(),
        version: Version::new(field("Version")?),
        file: field("Filename")?.rsplit('/').next()?.to_owned(),
        size: field("Size")?.parse().ok()?,
        sha256: field("SHA256")?.to_owned(),
        depends: depends.collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: &str = "Package: linux-headers-7.2.12+deb13-amd64\nSource: linux\nVersion: 7.2.12-1~bpo13+1\n\
        Depends: gcc-14-for-host, linux-base (>= 4.12~), pahole:native | dwarves\n\
        Description: Linux 7.2.12\n Version: not this one\n\
        Filename: pool/main/l/linux/linux-headers-7.2.12+deb13-amd64_7.2.12-1~bpo13+1_amd64.deb\nSize: 1776476\n\
        SHA256: f4a0369d09122cf77410d651d7a1ecba8a861970013d566aafd79cdb7d261dd8";

    #[test]
    fn what_would_be_unpacked_is_named_with_its_version() {
        let plan = "Inst gcc-14-base (14.2.0-19 Debian:13.5/stable [amd64])\n\
            Inst make [4.3-1] (4.4.1-2 Debian:13.5/stable [amd64]) []\n\
            Conf gcc-14-base (14.2.0-19 Debian:13.5/stable [amd64])\n";
        let named: Vec<_> = planned(plan).collect();
        assert_eq!(named, ["gcc-14-base=14.2.0-19", "make=4.4.1-2"]);
    }

    #[test]
    fn records_are_read() {
        let package = parse_record(RECORD).unwrap();
        assert_eq!(package.name, "linux-headers-7.2.12+deb13-amd64");
        assert_eq!(package.version, Version::new("7.2.12-1~bpo13+1"));
        assert_eq!(package.size, 1_776_476);
        assert_eq!(package.depends, ["gcc-14-for-host", "linux-base", "pahole"]);
        assert_eq!(
            package.stored_name(),
            "f4a0369d0912-linux-headers-7.2.12+deb13-amd64_7.2.12-1~bpo13+1_amd64.deb"
        );
    }

    #[test]
    fn incomplete_records_are_left_out() {
        assert_eq!(parse_record("Package: virtual"), None);
        assert_eq!(parse_record(""), None);
    }

    #[test]
    fn a_plan_has_a_record_for_each_package_or_an_error_names_it() {
        let record = |name: &str, size: &str| {
            RECORD
                .replace("linux-headers-7.2.12+deb13-amd64\n", &format!("{name}\n"))
                .replace("1776476", size)
        };
        let text = [record("b", "2"), record("a", "1"), record("c", "many")].join("\n\n");
        let planned = |names: &[&str]| {
            let named = names.iter().map(|name| format!("{name}=7.2.12-1~bpo13+1"));
            records_of(&named.collect::<Vec<_>>(), &text)
        };
        let sizes = planned(&["a", "b"]).unwrap().into_iter().map(|p| p.size);
        assert_eq!(sizes.collect::<Vec<_>>(), [1, 2]);
        for lacking in ["c", "d"] {
            let error = planned(&["a", lacking]).unwrap_err().to_string();
            assert!(
                error.contains(&format!("{lacking}=7.2.12-1~bpo13+1")),
                "{error}"
            );
        }
        assert!(records_of(&["a=1".into()], &text).is_err());
    }
}
