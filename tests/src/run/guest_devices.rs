// SPDX-License-Identifier: GPL-2.0

//! Disks, network and root of a guest whose kernel is tried.

use std::fmt;

use anyhow::{Context, Result};
use kbuild::Images;

use super::{Options, RootAt};
use crate::disk::Disk;
use crate::guest::Guest;
use crate::machine::{SHARED_TAG, guest_disks};
use crate::nic::{self, Nic};
use crate::remote::Place;

/// Where the root of the command is mounted in the guest.
const ROOT: &str = "/mnt";

/// The guest's address on its bridge: dom0 is host 1.
const HOST: u32 = 2;

/// Puts the interface of QEMU's network on the guests' bridge. It is the only one that dom0 has.
const BRIDGE: &str = "modprobe virtio_net && n=0 && \
    until [ -e /sys/class/net/eth0 ] || [ $n -gt $((100 * PACE)) ]; do sleep 0.1; n=$((n + 1)); done; \
    ip link set eth0 master xenbr0 up";

/// Where dom0 mounts the folder of this machine.
const SHARED: &str = "/run/shared";

/// Mounts that there. Nothing changes what dom0 has read: it is for one run.
const MOUNT_SHARED: &str = "modprobe 9pnet_virtio && modprobe 9p && mkdir -p /run/shared && \
    mount -t 9p -o ro,trans=virtio,version=9p2000.L,access=any,cache=loose,msize=262144 shared /run/shared";

/// Mounts the folder in the guest, once the device is connected, below what is written. The guest's root in memory has no
/// room for the latter beside it: a tmpfs may take half of the memory.
const MOUNT_OVERLAY: &str = "mkdir -p /run/shared /run/written && n=0 && \
    until mount -t 9p -o ro,trans=xen,version=9p2000.L,access=any,cache=loose shared /run/shared 2>/run/said; do \
        [ $((n += 1)) -lt $((200 * PACE)) ] || { cat /run/said >&2; exit 1; }; sleep 0.1; done && \
    mount -t tmpfs tmpfs /run/written && mkdir /run/written/upper /run/written/work && \
    mount -t overlay -o lowerdir=/run/shared,upperdir=/run/written/upper,workdir=/run/written/work root /mnt";

/// The modules for that, in a kernel that has them as such.
pub const SHARED_MODULES: [&str; 3] = ["9pnet_xen", "9p", "overlay"];

/// Mounts what programs expect in a root besides: the kernel's file systems, empty folders for what is temporary, and the
/// kernel's modules unless they are there.
const MOUNT_REST: &str = "for d in dev proc sys; do [ ! -d /mnt/$d ] || mount --rbind /$d /mnt/$d; done; \
    for d in tmp run; do [ ! -d /mnt/$d ] || mount -t tmpfs tmpfs /mnt/$d; done; \
    for d in /mnt/usr/lib/modules /mnt/lib/modules; do \
        [ ! -d $d ] || [ -d $d/$(uname -r) ] || mount --bind /usr/lib/modules $d; done";

/// The error that means: the guest's kernel does not bring up what the options ask for.
#[derive(Debug)]
pub struct NotBroughtUp(String);

impl fmt::Display for NotBroughtUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotBroughtUp {}

/// Runs a script in the guest, whose failure is its kernel's.
fn bring_up(place: &Place, script: &str, what: &str) -> Result<()> {
    let output = place.run(script)?;
    match output.succeeded() {
        true => Ok(()),
        false => {
            let said = output.stderr.trim().to_owned();
            let said = if said.is_empty() {
                said
            } else {
                format!(": {said}")
            };
            Err(NotBroughtUp(format!("it does not bring up {what}{said}")).into())
        }
    }
}

/// Adds to the guest what the options ask for, and prepares dom0 for it.
pub fn add(dom0: &Place, mut guest: Guest, images: &Images, options: &Options) -> Result<Guest> {
    for (disk, letter) in guest_disks::in_dom0(images.guest_disks())?
        .iter()
        .zip('a'..)
    {
        dom0.sh(&disk.make)
            .context("dom0 cannot make a disk of the file")?;
        guest = guest.disk(Disk::device(&disk.device, &format!("xvd{letter}")));
    }
    if options.root == RootAt::Shared {
        dom0.sh(MOUNT_SHARED)
            .context("dom0 cannot mount the folder that --root names")?;
        guest = guest.line(&shared_device(&images.userland.xen_series));
    }
    if options.network {
        let nic = Nic::new();
        dom0.sh(&format!("{} && {BRIDGE}", nic.make()))
            .context("dom0 cannot reach the network")?;
        guest = guest.nic(nic);
    }
    Ok(guest)
}

/// The line of xl's configuration for the folder. From Xen 4.19 on there are two backends, and the toolstack starts QEMU only if
/// that is named, although it is the default.
fn shared_device(xen_series: &str) -> String {
    let minor = xen_series.rsplit('.').next();
    let has_types = minor.is_some_and(|minor| minor.parse::<u32>().is_ok_and(|minor| minor >= 19));
    let backend = if has_types { ",type=qemu" } else { "" };
    format!("p9 = ['tag={SHARED_TAG},path={SHARED},security_model=none{backend}']")
}

/// Loads the drivers of the guest's devices, if they are modules and there, and waits for what was asked for.
pub fn load(place: &Place, options: &Options, disks: usize) -> Result<()> {
    let driver = options.driver;
    let modules = [driver.block_module(), driver.net_module()].join(" ");
    let script = format!("for m in {modules}; do modprobe -q $m 2>/dev/null; done; true");
    place.sh(&script)?;
    let disks = (0..disks)
        .zip('a'..)
        .map(|(_, letter)| format!("/sys/block/xvd{letter}/size"));
    let network = options
        .network
        .then(|| "/sys/class/net/eth0/address".to_owned());
    for file in disks.chain(network) {
        let script = format!(
            "n=0; until [ -e {file} ] || [ $n -gt $((200 * PACE)) ]; do sleep 0.1; n=$((n + 1)); done; [ -e {file} ]"
        );
        bring_up(place, &script, &file)?;
    }
    if options.network {
        let [guest, gateway, names] =
            [HOST, nic::GATEWAY, nic::NAMES].map(|host| nic::ipv4(0, host));
        let script = format!(
            "ip addr add {guest}/24 dev eth0 && ip link set eth0 up && ip route add default via {gateway} && \
             echo nameserver {names} > /etc/resolv.conf"
        );
        bring_up(place, &script, "eth0")?;
    }
    Ok(())
}

/// Mounts the command's root.
pub fn mount_root(place: &Place, root: RootAt) -> Result<()> {
    let (modules, mount) = match root {
        RootAt::Initramfs => return Ok(()),
        RootAt::Disk(module) => (module.to_owned(), format!("mount /dev/xvda {ROOT}")),
        RootAt::Shared => (SHARED_MODULES.join(" "), MOUNT_OVERLAY.to_owned()),
    };
    // What is built in is no module.
    let load = format!("for m in {modules}; do modprobe -q $m 2>/dev/null; done");
    let script = format!("{load}; {{ {mount}; }} || exit 1; {MOUNT_REST}");
    bring_up(place, &script, "what --root names")
}

/// The words that lead into the command's root, and a shell that is there.
pub fn enter(options: &Options) -> (Vec<String>, &'static str) {
    let mut words = match options.root {
        RootAt::Initramfs => return (vec![], "ash"),
        RootAt::Disk(_) | RootAt::Shared => vec!["chroot".to_owned(), ROOT.to_owned()],
    };
    if options.root == RootAt::Shared {
        let start = ["sh", "-c", "cd \"$0\" && exec \"$@\""].map(str::to_owned);
        words.extend(start);
        words.push(options.folder.to_string_lossy().into_owned());
    }
    (words, "sh")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn qemu_is_named_where_there_are_other_backends() {
        assert!(shared_device("4.20").ends_with("none,type=qemu']"));
        assert!(shared_device("4.17").ends_with("none']"));
    }

    #[test]
    fn the_folders_of_the_scripts_are_those_of_the_configuration() {
        for script in [MOUNT_SHARED, MOUNT_OVERLAY] {
            assert!(script.contains(SHARED) && script.contains(SHARED_TAG));
        }
        assert!(MOUNT_OVERLAY.contains(ROOT) && MOUNT_REST.contains(ROOT));
    }
}
