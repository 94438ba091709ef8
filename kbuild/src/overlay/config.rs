// SPDX-License-Identifier: GPL-2.0

//! The configuration of an overlay kernel: a base (our small one, Debian's, or a file), the options that turn ours
//! on, and a check that kconfig took what was asked for.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::{SWITCHES, Switch};
use crate::apt;
use crate::config::Target;
use crate::kconfig::KConfig;
use crate::kernel;
use crate::process;
use crate::resolve;
use crate::sandbox::SandboxCommand;
use crate::session::{Session, read_text};
use crate::ui::Step;

/// On top of every base.
const OURS: &str = "kbuild/fragments/overlay.config";
/// On top of a distribution's.
const DISTRIBUTION: &str = "kbuild/fragments/overlay-distribution.config";

/// What a configuration starts from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Base {
    /// Nothing but what the target's fragments ask for.
    Small,
    /// That of the distribution's kernel of the same version.
    Debian,
    /// A file.
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
pub struct Wanted {
    /// Whether every option that is not named is off (else: as its default says).
    all_others_off: bool,
    /// What is wanted, in the form of a fragment.
    text: String,
    /// The part of it that kconfig has to take as it is.
    firm: String,
}

impl Wanted {
    /// Puts a configuration together.
    pub fn new(session: &Session, target: &Target, base: &Base, on: &[Switch]) -> Result<Self> {
        let read = |file: &str| read_text(&session.workspace().join(file));
        let ours = read(OURS)? + &switches(on);
        let (base_text, firm, all_others_off) = match base {
            Base::Small => {
                let fragments: Result<Vec<_>> =
                    target.fragments.iter().map(|file| read(file)).collect();
                let text = fragments?.concat();
                (text.clone(), text + &ours, true)
            }
            Base::Debian => {
                let text = debian(session, target)? + &read(DISTRIBUTION)?;
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

    /// Writes `.config` in the build folder `dir`, which `make` has bound, unless it is there already for the same
    /// wish and the same Kconfig files (`menus`, a digest).
    pub fn apply(
        &self,
        session: &Session,
        step: &Step,
        make: &SandboxCommand,
        dir: &Path,
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
                "the kernel's configuration does not take these options (a dependency is missing, or the option is gone \
                 in this version):\n    {}",
                unmet.join("\n    ")
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

/// The configuration in the headers package.
fn debian(session: &Session, target: &Target) -> Result<String> {
    let packages = resolve::kernel(session, target)?;
    let fetched = kernel::fetch(session, target, &packages)?;
    let headers = fetched.get(1).context("the download gave no headers")?;
    let dir = tempfile::tempdir_in(session.cache.state_dir(".tmp")?)?;
    apt::unpack(std::slice::from_ref(headers), dir.path())?;
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
    fn every_switch_is_said_on_or_off() {
        let off = KConfig::parse(&switches(&[]));
        let on = KConfig::parse(&switches(SWITCHES));
        for switch in SWITCHES {
            assert_eq!(off.text(switch.option), Some("n"));
            assert_eq!(on.text(switch.option), Some("y"));
        }
    }
}
