// SPDX-License-Identifier: GPL-2.0

//! Debian as a user has it in a guest: installed by apt, with systemd and udev, the kernel under test and all its modules, our
//! modules as docs/guides/distribution.md installs them, and an initramfs that Debian's own tool has made.
//!
//! Other images are made for tests; this one shows that the guide's recipes work on a system that was not made for the tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Result, ensure};

use super::disk;
use crate::bootstrap::Bootstrap;
use crate::cache::CacheEntry;
use crate::digest::Digest;
use crate::fsutil;
use crate::guide;
use crate::kernel::Kernel;
use crate::modules::Modules;
use crate::process;
use crate::sandbox::Sandbox;
use crate::session::Session;
use crate::suite::Suite;

/// Room for the folder and the disk, in bytes.
const ROOM: u64 = 3_000_000_000;

/// Free room on the disk, in bytes (sparse).
const FREE: u64 = 256 << 20;

/// What the system is made of, besides what every Debian has.
const PACKAGES: [&str; 6] = [
    // Beside the usual tool, which dracut's own package would take the place of.
    "dracut-core",
    "initramfs-tools",
    "kmod",
    "systemd-sysv",
    "udev",
    "zstd",
];

/// An initramfs without our drivers: what there is after the first half of the guide's recipe.
pub const HALF: &str = "boot/half.img";

/// Where dracut puts its initramfs here, since the usual place is the other tool's.
pub const DRACUTS: &str = "boot/dracut.img";

/// Starts the program through which tests run commands.
const AGENT: &str = "[Unit]\nDescription=Runs the tests' commands\n[Service]\nExecStart=/usr/local/sbin/agent guest\n\
    [Install]\nWantedBy=multi-user.target\n";

/// The system in the cache.
#[derive(Clone)]
pub struct Debian {
    entry: Arc<CacheEntry>,
}

impl Debian {
    /// Finds it in the cache or makes it.
    pub fn open(
        session: &Session,
        sandbox: &Sandbox,
        suite: &Suite,
        kernel: &Kernel,
        modules: &Modules,
        agent: &Path,
    ) -> Result<Self> {
        let recipe = recipe(&kernel.release)?;
        let key = Digest::new("debian", 1)
            .with("kernel", kernel.key())
            .with("modules", modules.key())
            .with("agent", fs::read(agent)?)
            .with("recipe", &recipe)
            .with("unit", AGENT)
            .with_all("package", PACKAGES)
            .hex();
        let name = format!("{}-{}-{key}", suite.name, kernel.release);
        let entry = session
            .cache
            .get_or_make_latest("debian", &name, ROOM, |dir| {
                let step = session
                    .ui
                    .step("Installing Debian, and our modules as the guide says");
                let given = dir.join("given");
                gather(&given, kernel, modules, agent, &recipe)?;
                let tree = dir.join("tree");
                fs::create_dir(&tree)?;
                bootstrap(suite, &given).make_dir(session, &step, &tree)?;
                for made in [
                    &format!("boot/initrd.img-{}", kernel.release),
                    HALF,
                    DRACUTS,
                ] {
                    ensure!(
                        tree.join(made).is_file(),
                        "the guide's recipe made no /{made}"
                    );
                }
                disk::make(session, &step, sandbox, &tree, &dir.join("disk.img"), FREE)?;
                fsutil::remove_all(&tree)?;
                fsutil::remove_all(&given)?;
                step.done("");
                Ok(())
            })?;
        Ok(Self {
            entry: Arc::new(entry),
        })
    }

    /// Its root disk: ext4 without partitions, to be used through a snapshot. The initramfs is in its `/boot`.
    pub fn disk(&self) -> PathBuf {
        self.entry.join("disk.img")
    }
}

/// What is done in the installed system: what the guide says, and between that what the kernel's package would do.
fn recipe(release: &str) -> Result<String> {
    let steps = [
        "set -eu".to_owned(),
        format!("rel={release}"),
        // For any machine: the one that it is made on is not the one that will run it.
        format!("dracut() {{ command dracut --no-hostonly \"$@\" /{DRACUTS}; }}"),
        guide::recipe("modprobe")?,
        "update-initramfs -c -k $rel".to_owned(),
        format!("cp /boot/initrd.img-$rel /{HALF}"),
        guide::recipe("initramfs-tools")?,
        guide::recipe("dracut")?,
    ];
    Ok(steps.join("\n"))
}

/// Collects in a folder what the system gets from us and from the kernel's package.
fn gather(
    given: &Path,
    kernel: &Kernel,
    modules: &Modules,
    agent: &Path,
    recipe: &str,
) -> Result<()> {
    let release = &kernel.release;
    let installed = given.join("usr/lib/modules").join(release);
    let updates = installed.join("updates/paravane");
    let programs = given.join("usr/local/sbin");
    let units = given.join("etc/systemd/system");
    for folder in [
        &updates,
        &programs,
        &units,
        &given.join("boot"),
        &given.join("root"),
    ] {
        fs::create_dir_all(folder)?;
    }
    let mut copy = process::tied("cp");
    copy.args(["-a", "--reflink=auto"])
        .arg(kernel.modules_dir().join("."))
        .arg(&installed);
    process::output("copying the kernel's modules", &mut copy)?;
    for file in modules.files() {
        fs::copy(&file, updates.join(fsutil::name(&file)))?;
    }
    // The initramfs' compression has to be one that the kernel knows.
    let config = kernel.modules_dir().join("config");
    fs::copy(config, given.join("boot").join(format!("config-{release}")))?;
    fs::copy(agent, programs.join("agent"))?;
    fs::write(units.join("agent.service"), AGENT)?;
    fs::write(given.join("root/recipe"), recipe)?;
    Ok(())
}

fn bootstrap(suite: &Suite, given: &Path) -> Bootstrap {
    Bootstrap::new(suite)
        .variant("minbase")
        .include(PACKAGES)
        // Before the packages are unpacked `/lib` would be a folder and not a link: at the end.
        .customize(format!("sync-in {} /", given.display()))
        .customize("chroot \"$1\" sh /root/recipe")
        .customize("chroot \"$1\" systemctl enable agent.service")
        .customize("rm -rf \"$1\"/var/cache/apt/* \"$1\"/var/lib/apt/lists/*")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recipe_is_the_guides() {
        let recipe = recipe("7.3.4").unwrap();
        assert!(recipe.contains("rel=7.3.4\n"));
        assert!(recipe.contains("/etc/modprobe.d/paravane.conf"));
        assert!(recipe.contains("/etc/initramfs-tools/modules"));
        assert!(recipe.contains("/etc/dracut.conf.d/"));
    }
}
