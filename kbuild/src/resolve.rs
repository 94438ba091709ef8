// SPDX-License-Identifier: GPL-2.0

//! From a rule in `kernels.toml` to the packages the archive has today.
//!
//! The answer is remembered for a day, so that a run right after another uses no network; `--refresh` asks
//! again. A remembered answer whose packages are in the cache stays usable when the archive has moved on.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::apt::{Apt, Package};
use crate::config::Profile;
use crate::session::Session;
use crate::suite::Suite;
use crate::version::Version;

/// How long an answer is taken for current.
const FRESH: Duration = Duration::from_secs(24 * 3600);

/// The packages of one kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelPackages {
    /// What `uname -r` says, as `7.2.12+deb13-amd64`.
    pub release: String,
    /// The version of the packages.
    pub version: Version,
    /// Kernel image, modules, and the files that go with them.
    pub runtime: Vec<Package>,
    /// Headers: configuration and exported symbols.
    pub headers: Package,
    /// The source the kernel was built from.
    pub source: Package,
    /// Programs that the kernel's build has made and modules' builds need, objtool among them.
    #[serde(default)]
    pub tools: Option<Package>,
}

/// The packages of one hypervisor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct XenPackages {
    /// The series, as `4.20`; names the tools' packages too (`xen-utils-4.20`).
    pub series: String,
    /// The package with the hypervisor's image.
    pub hypervisor: Package,
}

/// Finds the packages of a profile.
pub fn kernel(session: &Session, profile: &Profile) -> Result<KernelPackages> {
    remembered(session, &answer(profile), || {
        let suite = session.config.suite(&profile.suite)?;
        let apt = Apt::new(session, suite)?;
        apt.update()?;
        let offered = apt.offered("linux-binary-")?;
        let release = newest_release(&offered, profile)?;
        let need = |prefix: &str| apt.package(&format!("{prefix}{release}"), None);
        let binary = need("linux-binary-")?;
        let headers = need("linux-headers-")?;
        let series = series_of(&release);
        let tools = headers
            .depends
            .iter()
            .find(|name| name.starts_with("linux-kbuild-"));
        let found = KernelPackages {
            version: headers.version.clone(),
            runtime: vec![binary, need("linux-modules-")?, need("linux-base-")?],
            source: apt.package(&format!("linux-source-{series}"), Some(&headers.version))?,
            tools: tools
                .map(|name| apt.package(name, Some(&headers.version)))
                .transpose()?,
            headers,
            release,
        };
        Ok(found)
    })
    .with_context(|| format!("no kernel for profile {}", profile.name))
}

/// The name of the answer for a profile. Its number changes when answers have more in them.
fn answer(profile: &Profile) -> String {
    format!("kernel-2-{}", profile.name)
}

/// What the archive answered last for a profile, if it was ever asked. No network.
pub fn known_kernel(session: &Session, profile: &Profile) -> Option<KernelPackages> {
    let path = session
        .cache
        .root()
        .join("resolved")
        .join(format!("{}.toml", answer(profile)));
    read_remembered(&path)
}

/// Finds a hypervisor: the newest, or the one `wanted` names (`4.20`, or a package's name).
pub fn xen(session: &Session, suite: &str, wanted: Option<&str>) -> Result<XenPackages> {
    let key = format!(
        "xen-{suite}-{}",
        wanted.unwrap_or("newest").replace('/', "_")
    );
    remembered(session, &key, || {
        let apt = Apt::new(session, session.config.suite(suite)?)?;
        apt.update()?;
        let offered = apt.offered("xen-hypervisor-")?;
        let min = Version::new(&session.config.xen.min_version);
        let mut found: Vec<_> = offered
            .iter()
            .filter_map(|package| Some((hypervisor_series(&package.name)?, package)))
            .filter(|(series, package)| match wanted {
                Some(wanted) => *series == wanted || package.name == wanted,
                None => Version::new(*series) >= min,
            })
            .collect();
        found.sort_by_key(|(series, package)| (Version::new(*series), package.version.clone()));
        match found.pop() {
            Some((series, package)) => Ok(XenPackages {
                series: series.to_owned(),
                hypervisor: package.clone(),
            }),
            None => {
                let mut names: Vec<_> = offered
                    .iter()
                    .filter_map(|p| hypervisor_series(&p.name))
                    .collect();
                names.dedup();
                bail!(
                    "suite {suite} has no Xen {}; it has {}",
                    wanted.map_or(format!("{min} or newer"), str::to_owned),
                    names.join(", ")
                )
            }
        }
    })
}

/// Finds GRUB for machines with a BIOS and with UEFI, the tool that makes its images, that tool's library that no sandbox has,
/// and UEFI's firmware.
pub fn grub(session: &Session, suite: &Suite) -> Result<Vec<Package>> {
    remembered(
        session,
        &format!("grub-and-firmware-{}", suite.name),
        || {
            let apt = Apt::new(session, suite)?;
            apt.update()?;
            let candidate = |name: &str| apt.package(name, Some(&apt.candidate(name)?));
            let tools = candidate("grub-common")?;
            let library = tools
                .depends
                .iter()
                .find(|name| name.starts_with("libdevmapper"));
            let library = library.map(|name| candidate(name)).transpose()?;
            let mut packages = vec![tools];
            for name in ["grub-pc-bin", "grub-efi-amd64-bin", "ovmf"] {
                packages.push(candidate(name)?);
            }
            packages.extend(library);
            Ok(packages)
        },
    )
    .with_context(|| format!("no GRUB in suite {}", suite.name))
}

/// The packages whose versions make one sandbox differ from another.
const TOOLS: [&str; 5] = ["bindgen", "gcc", "libxen-dev", "qemu-system-x86", "rustc"];

/// The versions of a suite's main tools: when the archive gets newer ones, a new sandbox is made.
pub fn tools(session: &Session, suite: &Suite) -> Result<BTreeMap<String, Version>> {
    remembered(session, &format!("tools-{}", suite.name), || {
        let apt = Apt::new(session, suite)?;
        apt.update()?;
        let version = |name: &str| Ok((name.to_owned(), apt.candidate(name)?));
        TOOLS.into_iter().map(version).collect()
    })
    .with_context(|| format!("no toolchain for suite {}", suite.name))
}

/// The series of a package `xen-hypervisor-4.20-amd64`.
fn hypervisor_series(name: &str) -> Option<&str> {
    let series = name
        .strip_prefix("xen-hypervisor-")?
        .strip_suffix("-amd64")?;
    series
        .starts_with(|c: char| c.is_ascii_digit())
        .then_some(series)
}

/// `7.2` of `7.2.12+deb13-amd64`, also of `7.3~rc1-amd64`.
pub fn series_of(release: &str) -> String {
    let numbers: Vec<_> = base_version(release)
        .split('.')
        .take(2)
        .map(str::to_owned)
        .collect();
    numbers.join(".")
}

/// The leading numbers of a release: `7.2.12` of `7.2.12+deb13-amd64`.
pub fn base_version(release: &str) -> &str {
    let end = release
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(release.len());
    &release[..end]
}

/// What follows [`base_version`]: kbuild's `LOCALVERSION`.
pub fn local_version(release: &str) -> &str {
    &release[base_version(release).len()..]
}

fn newest_release(offered: &[Package], profile: &Profile) -> Result<String> {
    let min = Version::new(&profile.min_series);
    let max = profile.max_series.as_deref().map(Version::new);
    let suffix = format!("-{}", profile.flavour);
    let mut releases: Vec<(&Version, &str)> = offered
        .iter()
        .filter_map(|package| {
            let release = package.name.strip_prefix("linux-binary-")?;
            let abi = release.strip_suffix(&suffix)?;
            // `7.2.12+deb13` stays; `7.2.12+deb13-rt` and `unsigned-7.2.12+deb13` go.
            let plain = abi.starts_with(|c: char| c.is_ascii_digit()) && !abi.contains('-');
            let above = |max: &Version| Version::new(series_of(release)) > *max;
            (plain && !max.as_ref().is_some_and(above)).then_some((&package.version, release))
        })
        .collect();
    releases.sort();
    match releases.pop() {
        Some((_, newest)) if Version::new(series_of(newest)) >= min => Ok(newest.to_owned()),
        Some((_, newest)) => bail!(
            "the newest kernel of suite {} that fits is {newest}, but {} or newer is needed. A mirror that stands still (a \
             snapshot, for example) may be the reason: name another with --mirror URI",
            profile.suite,
            profile.min_series
        ),
        None => bail!(
            "suite {} has no package linux-binary-*{suffix}{}",
            profile.suite,
            max.map_or(String::new(), |max| format!(" of series {max} or older"))
        ),
    }
}

#[derive(Serialize, Deserialize)]
struct Remembered<T> {
    answer: T,
}

fn remembered<T: Serialize + DeserializeOwned>(
    session: &Session,
    key: &str,
    ask: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let path = session
        .cache
        .state_dir("resolved")?
        .join(format!("{key}.toml"));
    let old = read_remembered::<T>(&path);
    let age = fs::metadata(&path)
        .and_then(|meta| meta.modified())
        .ok()
        .and_then(|time| SystemTime::now().duration_since(time).ok());
    let fresh = age.is_some_and(|age| age < FRESH) && !session.options.refresh;
    match old {
        Some(old) if fresh => Ok(old),
        old => match (ask(), old) {
            (Ok(answer), _) => {
                fs::write(
                    &path,
                    toml::to_string_pretty(&Remembered { answer: &answer })?,
                )?;
                Ok(answer)
            }
            (Err(error), Some(old)) if !session.options.refresh => {
                session.ui.line(&format!(
                    "    note: the last known answer is used: {error:#}"
                ));
                Ok(old)
            }
            (Err(error), _) => Err(error),
        },
    }
}

fn read_remembered<T: DeserializeOwned>(path: &PathBuf) -> Option<T> {
    let text = fs::read_to_string(path).ok()?;
    toml::from_str::<Remembered<T>>(&text)
        .ok()
        .map(|r| r.answer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::KernelKind;

    fn package(name: &str, version: &str) -> Package {
        Package {
            name: name.into(),
            version: Version::new(version),
            file: String::new(),
            size: 0,
            sha256: String::new(),
            depends: vec![],
        }
    }

    fn profile() -> Profile {
        Profile {
            name: "t".into(),
            kind: KernelKind::Binary,
            suite: "trixie".into(),
            min_series: "7.2".into(),
            max_series: None,
            flavour: "amd64".into(),
            fragments: vec![],
            without_rust: vec![],
            make: vec![],
        }
    }

    #[test]
    fn the_newest_plain_kernel_is_chosen() {
        let offered = [
            package("linux-binary-7.2.9+deb13-amd64", "7.2.9-1~bpo13+1"),
            package("linux-binary-7.2.12+deb13-amd64", "7.2.12-1~bpo13+1"),
            package("linux-binary-7.2.13+deb13-rt-amd64", "7.2.13-1~bpo13+1"),
            package("linux-binary-7.2.13+deb13-cloud-amd64", "7.2.13-1~bpo13+1"),
            package(
                "linux-binary-unsigned-7.2.13+deb13-amd64",
                "7.2.13-1~bpo13+1",
            ),
        ];
        assert_eq!(
            newest_release(&offered, &profile()).unwrap(),
            "7.2.12+deb13-amd64"
        );
    }

    #[test]
    fn a_profile_of_an_older_series_takes_no_newer_one() {
        let offered = [
            package("linux-binary-7.2.12+deb13-amd64", "7.2.12-1~bpo13+1"),
            package("linux-binary-7.3.4+deb13-amd64", "7.3.4-1~bpo13+1"),
        ];
        let with = |max: &str| Profile {
            max_series: Some(max.into()),
            ..profile()
        };
        assert_eq!(
            newest_release(&offered, &profile()).unwrap(),
            "7.3.4+deb13-amd64"
        );
        assert_eq!(
            newest_release(&offered, &with("7.2")).unwrap(),
            "7.2.12+deb13-amd64"
        );
        let error = newest_release(&offered[1..], &with("7.2")).unwrap_err();
        assert!(
            error.to_string().contains("of series 7.2 or older"),
            "{error}"
        );
    }

    #[test]
    fn an_old_archive_is_refused_with_its_newest_kernel() {
        let offered = [package("linux-binary-7.1.3+deb13-amd64", "7.1.3-1~bpo13+1")];
        let error = newest_release(&offered, &profile())
            .unwrap_err()
            .to_string();
        assert!(error.contains("7.1.3+deb13-amd64"), "{error}");
        assert!(newest_release(&[], &profile()).is_err());
    }

    #[test]
    fn releases_are_taken_apart() {
        assert_eq!(series_of("7.2.12+deb13-amd64"), "7.2");
        assert_eq!(local_version("7.2.12+deb13-amd64"), "+deb13-amd64");
        assert_eq!(series_of("7.3-amd64"), "7.3");
        assert_eq!(local_version("7.2.13"), "");
    }

    #[test]
    fn only_hypervisors_are_hypervisors() {
        assert_eq!(hypervisor_series("xen-hypervisor-4.20-amd64"), Some("4.20"));
        assert_eq!(hypervisor_series("xen-hypervisor-common"), None);
        assert_eq!(hypervisor_series("xen-hypervisor-4.20-amd64-dbg"), None);
    }
}
