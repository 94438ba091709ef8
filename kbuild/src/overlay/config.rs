// SPDX-License-Identifier: GPL-2.0

//! The configuration of an overlay kernel: a base (our small one, Debian's, or a file), the options that turn ours
//! on, and a check that kconfig took what was asked for.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::switch::{self, SWITCHES, Switch};
use crate::config::Profile;
use crate::deb;
use crate::fsutil::read_text;
use crate::kconfig::KConfig;
use crate::kernel_packages;
use crate::process;
use crate::resolve;
use crate::sandbox::SandboxCommand;
use crate::session::Session;
use crate::ui::Step;

/// On top of every base.
const OURS: &str = "kbuild/fragments/overlay.config";
/// On top of a distribution's.
const DISTRIBUTION: &str = "kbuild/fragments/overlay-distribution.config";

/// What the options that the overlay adds depend on besides those of the switches, for the message about a configuration that
/// lacks it.
const NEEDS: &str = "All of ours need CONFIG_XEN, CONFIG_RUST and CONFIG_MODULES; CONFIG_XEN_PRIVCMD_RS needs CONFIG_XEN_PRIVCMD=m \
    or off. CONFIG_RUST goes off if the sandbox's Rust tools do not fit the kernel, or by an option that Rust excludes";

/// Options whose value is a file that the kernel's build reads.
const KEYS: [&str; 3] = [
    "SYSTEM_TRUSTED_KEYS",
    "SYSTEM_REVOCATION_KEYS",
    "MODULE_SIG_KEY",
];

/// The key that the build makes itself.
const MADE: &str = "certs/signing_key.pem";

/// What a configuration starts from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Base {
    /// Nothing but what the profile's fragments ask for.
    Small,
    /// That of the distribution's kernel of the same version.
    Debian,
    /// A file in the form of a kernel's `.config`.
    File(PathBuf),
}

impl Base {
    /// What the user wrote: `small`, `debian`, or a file.
    pub fn parse(text: &str) -> Self {
        match text {
            "small" => Self::Small,
            "debian" => Self::Debian,
            file => Self::File(file.into()),
        }
    }

    /// A short name for folders and releases.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Debian => "debian",
            Self::File(_) => "file",
        }
    }
}

/// A configuration before kconfig has seen it.
pub struct KernelConfig {
    /// Whether every option that is not named is off (else: as its default says).
    all_others_off: bool,
    /// What is wanted, in the form of a fragment.
    text: String,
    /// The part of it that kconfig has to take as it is.
    firm: String,
}

impl KernelConfig {
    /// Puts a configuration together.
    pub fn new(session: &Session, profile: &Profile, base: &Base, on: &[Switch]) -> Result<Self> {
        let read = |file: &str| read_text(&session.workspace().join(file));
        let ours = read(OURS)? + &switches(on);
        let (base_text, firm, all_others_off) = match base {
            Base::Small => {
                let fragments: Result<Vec<_>> =
                    profile.fragments.iter().map(|file| read(file)).collect();
                let text = fragments?.concat();
                (text.clone(), text + &ours, true)
            }
            Base::Debian => {
                let text = debian(session, profile)? + &read(DISTRIBUTION)?;
                (text, ours.clone(), false)
            }
            Base::File(file) => (read_text(file)?, ours.clone(), false),
        };
        Ok(Self {
            all_others_off,
            text: base_text + &ours,
            firm,
        })
    }

    /// What is asked for; part of a build's key.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Writes `.config` in the build folder `dir` of the source `src`, which `make` has bound, unless it is there already for
    /// the same wish and the same Kconfig files (`menus`, a digest).
    pub fn apply(
        &self,
        session: &Session,
        step: &Step,
        make: &SandboxCommand,
        [src, dir]: [&Path; 2],
        menus: &str,
    ) -> Result<()> {
        let stamp = dir.join(".paravane-wanted");
        let wish = format!("{menus}\n{}", self.text);
        if dir.join(".config").is_file() && fs::read_to_string(&stamp).is_ok_and(|old| old == wish)
        {
            return Ok(());
        }
        let _ = fs::remove_file(&stamp);
        let log = session.log("kernel-config");
        fs::write(dir.join("fragment"), &self.text)?;
        let command = if self.all_others_off {
            make.clone()
                .arg("allnoconfig")
                .env("KCONFIG_ALLCONFIG", "/kernel/O/fragment")
        } else {
            fs::write(dir.join(".config"), &self.text)?;
            make.clone().arg("olddefconfig")
        };
        process::run(step, "configuring the kernel", &mut command.build()?, &log)?;
        let got = KConfig::parse(&read_text(&dir.join(".config"))?);
        let unmet = KConfig::parse(&self.firm).unmet(&got);
        if !unmet.is_empty() {
            bail!(
                "the kernel's configuration does not take these options:\n    {}\nA dependency is missing, or the option is gone in \
                 this version. {}; {NEEDS}",
                unmet.join("\n    "),
                switch::needs()
            );
        }
        let missing = missing_keys(&got, &[src, dir]);
        if !missing.is_empty() {
            bail!(
                "the configuration names files that are neither in the source nor in the build folder:\n    {}\nThey are the \
                 distribution's own. Put yours there, or set the options as {DISTRIBUTION} does",
                missing.join("\n    ")
            );
        }
        fs::write(stamp, wish)?;
        Ok(())
    }
}

/// Every switch, on or off.
fn switches(on: &[Switch]) -> String {
    let lines = SWITCHES.iter().map(|switch| match on.contains(switch) {
        true => format!("CONFIG_{}=y\n", switch.option),
        false => format!("# CONFIG_{} is not set\n", switch.option),
    });
    lines.collect()
}

/// Files with keys that a configuration names and that are in none of `folders`, one line each.
fn missing_keys(config: &KConfig, folders: &[&Path]) -> Vec<String> {
    let named = KEYS
        .iter()
        .filter_map(|option| Some((option, config.text(option)?)));
    named
        // A key may also be in a device, which has an address instead of a file.
        .filter(|(_, file)| !matches!(*file, "" | "n" | MADE) && !file.starts_with("pkcs11:"))
        .filter(|(_, file)| !folders.iter().any(|folder| folder.join(file).is_file()))
        .map(|(option, file)| format!("CONFIG_{option}=\"{file}\""))
        .collect()
}

/// The configuration in the headers package.
fn debian(session: &Session, profile: &Profile) -> Result<String> {
    let packages = resolve::kernel(session, profile)?;
    let fetched = kernel_packages::fetch(session, profile, &packages)?;
    let headers = fetched.get(1).context("the download gave no headers")?;
    let dir = tempfile::tempdir_in(session.cache.state_dir(".tmp")?)?;
    deb::unpack(std::slice::from_ref(headers), dir.path())?;
    let place = format!("usr/src/linux-headers-{}/.config", packages.release);
    read_text(&dir.path().join(place))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bases_have_names_and_everything_else_is_a_file() {
        assert_eq!(Base::parse("small"), Base::Small);
        assert_eq!(Base::parse("debian"), Base::Debian);
        assert_eq!(
            Base::parse("/boot/config-7.2"),
            Base::File("/boot/config-7.2".into())
        );
    }

    #[test]
    fn keys_that_only_the_distribution_has_are_named() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("mine.pem"), "").unwrap();
        let config = |text| KConfig::parse(text);
        let missing = |text| missing_keys(&config(text), &[dir.path()]);
        assert_eq!(
            missing(
                "CONFIG_SYSTEM_TRUSTED_KEYS=\"debian/certs/a.pem\"\nCONFIG_MODULE_SIG_KEY=\"mine.pem\"\n"
            ),
            ["CONFIG_SYSTEM_TRUSTED_KEYS=\"debian/certs/a.pem\""]
        );
        let ours = config(include_str!("../../fragments/overlay-distribution.config"));
        assert!(missing_keys(&ours, &[dir.path()]).is_empty());
        assert!(missing("CONFIG_MODULE_SIG_KEY=\"pkcs11:token=a\"\n").is_empty());
    }

    #[test]
    fn every_switch_is_said_on_or_off() {
        let off = KConfig::parse(&switches(&[]));
        let on = KConfig::parse(&switches(SWITCHES));
        for switch in SWITCHES {
            assert_eq!(off.text(switch.option), Some("n"));
            assert_eq!(on.text(switch.option), Some("y"));
        }
    }
}
