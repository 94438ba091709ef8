// SPDX-License-Identifier: GPL-2.0

//! The Debian packages of `cargo xtask package` on a Debian with a kernel that can load our modules: what they bring, what the
//! initramfs has of it, and that nothing is left of it. No machine boots here: a root folder is entered.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kbuild::packaging::DebianPackages;

use crate::fresh::{Fresh, Root, System, User};
use crate::scenario::Scenario;

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[
    Scenario::on_host("package.modules_come_and_go", modules_come_and_go).full(),
    Scenario::on_host("package.dkms_builds_the_modules", dkms_builds_the_modules).full(),
    Scenario::on_host(
        "package.the_source_package_makes_the_same_packages",
        the_source_package_makes_the_same_packages,
    )
    .full(),
];

/// Where the packages are on the machine.
const PLACE: &str = "/srv/packages";

/// Makes apt know the packages, and with them alone: the archive is not asked.
const OFFER: &str = "list=/etc/apt/sources.list.d/packages.list
echo 'deb [trusted=yes] file:/srv/packages ./' >$list
apt-get update -o Dir::Etc::sourcelist=$list -o Dir::Etc::sourceparts=- -o APT::Get::List-Cleanup=0";

/// Prints all that may be left of a package.
const FILES: &str = "find /boot /etc /usr/lib/dracut /usr/lib/modprobe.d /usr/lib/modules /usr/share/initramfs-tools \
     /usr/src /var/lib/dkms 2>/dev/null | sort; sha256sum /usr/lib/modules/*/modules.dep";

/// A compiler's work, on a slow machine with a slow network.
const LONG: Duration = Duration::from_secs(3600);

/// A machine to which the packages are offered.
struct Machine {
    root: Root,
    packages: DebianPackages,
    release: String,
}

impl Machine {
    fn new(fresh: &mut Fresh<'_>) -> Result<Self> {
        let session = fresh.session;
        let profile = session.config.profile(None)?;
        let packages = DebianPackages::make(session, profile)?;
        let machine = Self {
            root: fresh.root(System::WithKernel)?,
            release: packages.release().to_owned(),
            packages,
        };
        machine.alone(OFFER)?;
        Ok(machine)
    }

    /// Runs a script without the network.
    fn alone(&self, script: &str) -> Result<String> {
        self.run(script, false)
    }

    /// Runs a script with the network.
    fn online(&self, script: &str) -> Result<String> {
        self.run(script, true)
    }

    fn run(&self, script: &str, network: bool) -> Result<String> {
        let words = ["sh", "-euc", script, "script", &self.release];
        let mut call = self.root.call(User::Root, words);
        call = call.bind(self.packages.folder(), PLACE).limit(LONG);
        call = call.env("DEBIAN_FRONTEND", "noninteractive");
        if !network {
            call = call.without_network();
        }
        let ended = call.run()?;
        ended.ends_well()?;
        Ok(ended.stdout)
    }

    /// The files in the initramfs that are ours.
    fn in_initramfs(&self) -> Result<BTreeSet<String>> {
        let list = self.alone("lsinitramfs /boot/initrd.img-$1")?;
        let names = list.lines().filter_map(|line| line.rsplit('/').next());
        let ours = |name: &&str| {
            name.ends_with("xen-rs.conf") || name.starts_with("xen_") && name.contains("rs.ko")
        };
        Ok(names
            .filter(ours)
            .map(|name| name.split(".ko").next().unwrap_or(name).to_owned())
            .collect())
    }

    /// Expects the root disk's and the network's drivers in the initramfs, and the settings with which they are loaded.
    fn initramfs_has_ours(&self) -> Result<()> {
        let found = self.in_initramfs()?;
        for name in [
            "xen-rs.conf",
            "xen_blkfront_rs",
            "xen_netfront_rs",
            "xen_rs",
        ] {
            ensure!(
                found.contains(name),
                "the initramfs lacks {name}: {found:?}"
            );
        }
        Ok(())
    }

    /// Our modules that are installed, by the folder below the kernel's.
    fn installed(&self, folder: &str) -> BTreeSet<String> {
        let dir = format!("/usr/lib/modules/{}/updates/{folder}", self.release);
        let files = kbuild::fsutil::read_dir_sorted(&self.root.path(&dir)).unwrap_or_default();
        let name = |file: &PathBuf| {
            let name = kbuild::fsutil::name(file);
            name.split(".ko").next().unwrap_or_default().to_owned()
        };
        files.iter().map(name).collect()
    }

    /// The modules that the packages are to have.
    fn expected(&self) -> BTreeSet<String> {
        self.packages.modules().iter().cloned().collect()
    }
}

/// apt installs the modules from the folder that the command has made, and removes them.
fn modules_come_and_go(fresh: &mut Fresh<'_>) -> Result<()> {
    let machine = Machine::new(fresh)?;
    let before = machine.alone(FILES)?;
    ensure!(machine.in_initramfs()?.is_empty(), "there is something");
    machine.alone("apt-get install -y xen-rs-modules-$1")?;
    let installed = machine.installed("xen-rs");
    ensure!(installed == machine.expected(), "{installed:?}");
    // What modprobe would do for a device that comes.
    machine.alone("modprobe -S $1 -n xen_blkfront_rs && modprobe -S $1 -n xen_privcmd_rs")?;
    let asked = machine.alone("modprobe -S $1 -n -v xen_blkfront")?;
    ensure!(asked.contains("xen_blkfront_rs"), "{asked}");
    machine.initramfs_has_ours()?;
    let dracut = "dracut --no-hostonly --force --kver $1 /run/image >&2; lsinitrd /run/image";
    let image = machine.alone(dracut)?;
    for name in ["xen_blkfront_rs.ko", "xen_netfront_rs.ko", "/xen-rs.conf"] {
        ensure!(image.contains(name), "dracut's initramfs lacks {name}");
    }

    machine.alone("apt-get remove -y xen-rs-modules-$1")?;
    ensure!(machine.installed("xen-rs").is_empty(), "modules are left");
    let left = machine.in_initramfs()?;
    let settings: BTreeSet<_> = ["xen-rs.conf".to_owned()].into();
    ensure!(left == settings, "left in the initramfs: {left:?}");
    let c = machine.alone(
        "modprobe -S $1 -n -q xen_blkfront_rs && exit 1; modprobe -S $1 -n -v --ignore-install xen_blkfront",
    )?;
    ensure!(c.contains("xen-blkfront.ko"), "{c}");
    // Without our modules dracut has to make its image all the same.
    let image = machine.alone(dracut)?;
    ensure!(!image.contains("_rs.ko"), "dracut still has our modules");

    machine.alone("apt-get purge -y xen-rs-modules-$1 xen-rs-common")?;
    let after = machine.alone(FILES)?;
    same(&before, &after)?;
    let left = machine.in_initramfs()?;
    ensure!(left.is_empty(), "left in the initramfs: {left:?}");
    Ok(())
}

/// Both texts have the same lines.
fn same(before: &str, after: &str) -> Result<()> {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<BTreeSet<_>>();
    let (before, after) = (lines(before), lines(after));
    let differ: Vec<_> = before.symmetric_difference(&after).collect();
    ensure!(differ.is_empty(), "these differ:\n{differ:#?}");
    Ok(())
}

/// DKMS makes the Rust metadata that Debian does not ship, builds and signs the modules, and takes them away.
fn dkms_builds_the_modules(fresh: &mut Fresh<'_>) -> Result<()> {
    let machine = Machine::new(fresh)?;
    let began = std::time::Instant::now();
    machine.online("apt-get update && apt-get install -y xen-rs-dkms")?;
    fresh.note(format!(
        "apt has installed xen-rs-dkms with all that it needs in {:.0} s",
        began.elapsed().as_secs_f32()
    ));
    let status = machine.alone("dkms status -m xen-rs -k $1")?;
    ensure!(status.contains(": installed"), "{status}");
    let installed = machine.installed("dkms");
    ensure!(installed == machine.expected(), "{installed:?}");
    let magic = "modinfo -k $1 -F vermagic";
    for name in &installed {
        let said = machine.alone(&format!(
            "[ \"$({magic} {name})\" = \"$({magic} xen_blkfront)\" ] && modinfo -k $1 -F sig_key {name}"
        ))?;
        ensure!(!said.trim().is_empty(), "{name} is not signed");
    }
    machine.initramfs_has_ours()?;

    // A kernel that cannot load Rust modules is passed over, and so is one that is too old.
    let other = "mkdir -p /usr/lib/modules/7.3.0-norust/build/include
        echo CONFIG_XEN=y >/usr/lib/modules/7.3.0-norust/build/.config
        status=0; dkms build -m xen-rs -v $(dkms status -m xen-rs | sed 's|xen-rs/\\([^,]*\\),.*|\\1|') \
            -k 7.3.0-norust >&2 || status=$?
        rm -r /usr/lib/modules/7.3.0-norust; echo $status";
    let passed_over = machine.alone(other)?;
    ensure!(passed_over.trim() == "77", "{passed_over}");

    machine.alone("apt-get purge -y xen-rs-dkms xen-rs-common")?;
    ensure!(machine.installed("dkms").is_empty(), "modules are left");
    let left = machine.in_initramfs()?;
    ensure!(left.is_empty(), "left in the initramfs: {left:?}");
    let files = machine.alone("find /usr/src /var/lib/dkms -name 'xen-rs*'")?;
    ensure!(files.is_empty(), "left behind:\n{files}");
    Ok(())
}

/// Anybody can build the packages from the source package, with what it says that it needs.
fn the_source_package_makes_the_same_packages(fresh: &mut Fresh<'_>) -> Result<()> {
    let machine = Machine::new(fresh)?;
    machine.online(
        "apt-get update && apt-get install -y --no-install-recommends dpkg-dev
        cd /srv && dpkg-source -x packages/*.dsc source && cd source && apt-get build-dep -y .",
    )?;
    machine.alone("cd /srv/source && dpkg-buildpackage -b -uc")?;
    let lists = "cd /srv; for deb in packages/*.deb; do
            for dir in packages .; do
                dpkg-deb -c $dir/${deb#*/} | awk '{ print $1, $2, $6 }' | sort >/run/list-$dir
            done
            echo ${deb#*/} $(wc -l </run/list-packages)
            diff /run/list-packages /run/list-. >&2
        done";
    let found = machine.alone(lists)?;
    let count = found.lines().count();
    ensure!(count == 3, "there are {count} packages:\n{found}");
    let modules = found.lines().find(|line| line.contains("-modules-"));
    fresh.note(modules.context("no package of modules")?);
    Ok(())
}
