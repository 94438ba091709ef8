// SPDX-License-Identifier: GPL-2.0

//! Booted machines that are kept: dom0 answers, the toolstack runs, and there is no guest. Another QEMU goes on from there in a
//! second or two, as often as one likes.
//!
//! A snapshot is a cache entry with two files: what QEMU's migration writes (processors, devices, and those pages of memory that
//! hold something), and what dom0 has written to its root disk, as an overlay of the image. Its key is everything that the
//! machine was made of; a machine of which anything is different boots.
//!
//! Not every machine can be kept: see [`is_possible`].

mod overlay;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use kbuild::accel::Accel;
use kbuild::{CacheEntry, Digest, Images};

pub use overlay::write as write_overlay;

use crate::machine::{Machine, Root, arguments};
use crate::topology::{Devices, Dom0, Hypervisor, Kernel, Loader, Topology};

/// What makes keys different when what is kept changes.
const RECIPE: u32 = 1;

/// Room that making one takes, in bytes: the pages in use, and what was written.
const ROOM: u64 = 2_000_000_000;

/// The files, in the entry, and before that in the machine's folder.
pub const STATE: &str = "machine.state";
/// The overlay of dom0's root disk.
pub const ROOT: &str = "root.qcow2";
/// What is known about the machine's speed when it was kept.
const SPEED: &str = "speed";

/// A machine that was kept.
pub struct Snapshot {
    entry: CacheEntry,
}

/// Whether machines like this can be kept. Not those whose loader, devices or debugger are part of what is tested, and none with an
/// IOMMU: QEMU cannot put down the state of its own. None with Paravane, under which dom0 is a guest of the processor's: QEMU was seen
/// to refuse what it had put down of a processor that was in one. None by KVM, which boots within seconds; how much of a hypervisor in it is put
/// down depends on the machine.
pub fn is_possible(topology: &Topology, accel: Accel) -> bool {
    // A guest's kernel is not a part of the machine: what is on that disk is read after the snapshot only.
    let devices = matches!(topology.devices, Devices::None | Devices::GuestKernel);
    let plain = devices && topology.kernel == Kernel::Unpacked && topology.loader == Loader::Qemu;
    let special = topology.misleading
        || topology.restarts
        || topology.debugged
        || topology.counted
        || !topology.misbehaving_guest.is_empty();
    // A PVH dom0 under Xen always has an IOMMU, and is a guest of the processor's too.
    let state =
        topology.iommu || topology.dom0 == Dom0::Pvh || topology.hypervisor == Hypervisor::Paravane;
    accel == Accel::Tcg && plain && !special && !state && topology.toolstack()
}

/// The kept machine, if there is one.
pub fn find(images: &Images, topology: &Topology) -> Result<Option<Snapshot>> {
    let accel = topology.accel(&images.acceleration)?;
    if !is_possible(topology, accel) {
        return Ok(None);
    }
    let entry = images.cache.find("snapshot", &key(images, topology)?)?;
    Ok(entry.map(|entry| Snapshot { entry }))
}

/// Keeps a machine that has just booted, which goes on then.
pub fn keep(images: &Images, topology: &Topology, machine: &mut Machine) -> Result<()> {
    let name = key(images, topology)?;
    images
        .cache
        .get_or_make_latest("snapshot", &name, ROOM, |dir| {
            machine.save()?;
            for file in [STATE, ROOT] {
                let from = machine.dir().join(format!("{file}.kept"));
                fs::rename(&from, dir.join(file))
                    .with_context(|| format!("cannot keep {}", from.display()))?;
            }
            Ok(fs::write(dir.join(SPEED), machine.pace().speed())?)
        })
        .context("the machine cannot be kept for later")
        .map(drop)
}

impl Snapshot {
    /// The folder with the files.
    pub fn dir(&self) -> &Path {
        self.entry.path()
    }

    /// What [`crate::pace::Pace::speed`] said then.
    pub fn speed(&self) -> String {
        fs::read_to_string(self.entry.join(SPEED)).unwrap_or_default()
    }

    /// Removes it from the cache, for it is of no use.
    pub fn forget(self, images: &Images) -> Result<()> {
        let path = self.entry.path().to_owned();
        drop(self);
        let listed = images.cache.list()?.into_iter();
        for entry in listed.filter(|entry| entry.path == path) {
            images.cache.remove(&entry)?;
        }
        Ok(())
    }
}

/// Everything that the machine is made of: the images are cache entries whose names say what they were made of.
fn key(images: &Images, topology: &Topology) -> Result<String> {
    let hypervisor: PathBuf = match topology.hypervisor {
        Hypervisor::Xen => images.userland.xen(),
        Hypervisor::Paravane => images.hypervisor()?.image(),
    };
    let [root, payload] = images.disks();
    let files = [hypervisor, images.payload.vmlinux(), root, payload];
    let key = Digest::new("snapshot", RECIPE)
        .with_all("file", files.iter().map(|file| file.display().to_string()))
        .with("qemu", images.qemu.key())
        .with("processor", processor())
        .with_all("argument", arguments(topology, Root::Temporary, Accel::Tcg));
    Ok(key.hex())
}

/// This computer's processor: QEMU's `-cpu max` may follow it.
fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let lines = text.lines().take_while(|line| !line.is_empty());
    let lines = lines.filter(|line| line.starts_with("model") || line.starts_with("flags"));
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_that_cannot_or_must_not_be_kept_are_not() {
        let is_possible = |topology: &Topology| is_possible(topology, Accel::Tcg);
        assert!(!super::is_possible(&Topology::PV, Accel::Kvm));
        assert!(is_possible(&Topology::PV));
        assert!(is_possible(&Topology::PV.with_our_device_files()));
        assert!(!is_possible(&Topology::PARAVANE));
        assert!(is_possible(&Topology {
            devices: Devices::GuestKernel,
            ..Topology::PV
        }));
        for topology in [
            Topology::PVH,
            Topology::PASSED,
            Topology {
                devices: Devices::Debian,
                ..Topology::PV
            },
            Topology::PV_REAL,
            Topology::PARAVANE_REAL,
            Topology::PARAVANE.on_xen(),
            Topology {
                restarts: true,
                ..Topology::PV
            },
            Topology {
                loader: Loader::Grub,
                ..Topology::PV
            },
        ] {
            assert!(!is_possible(&topology), "{topology}");
        }
    }

    #[test]
    fn the_processor_is_part_of_the_key() {
        assert!(processor().contains("flags"));
    }
}
