// SPDX-License-Identifier: GPL-2.0

//! Disks and networks that dom0 drives itself, by drivers for real hardware: what they are, and how to use them in dom0.
//!
//! | device | reaches | interrupts |
//! |---|---|---|
//! | AHCI disk, NVMe disk, virtio disk | all memory | MSI, MSI-X, MSI-X |
//! | disk on an LSI 53C895A | the first 4 GiB | INTx |
//! | e1000e, virtio | all memory | MSI-X |
//! | e1000 | the first 4 GiB | INTx |
//!
//! With `pci=nomsi` on the kernel's command line all of them interrupt by INTx.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::disk::Disk;
use crate::guest::{Driver, Guest, Mode};
use crate::host::Host;
use crate::remote::Place;

/// Bytes of a disk; what is never written takes no room.
const DISK: u64 = 2 << 30;

/// A disk.
#[derive(Clone, Copy, Debug)]
pub struct RealDisk {
    /// The module that drives its controller, and the name of its image.
    pub module: &'static str,
    /// How it interrupts, if it may choose.
    pub interrupts: InterruptKind,
    /// QEMU's arguments after the drive, which is called like the module.
    device: &'static [&'static str],
}

/// A network interface. All of them are on one wire.
#[derive(Clone, Copy, Debug)]
pub struct RealNet {
    /// The module that drives it.
    pub module: &'static str,
    /// How it interrupts, if it may choose.
    pub interrupts: InterruptKind,
    /// QEMU's arguments.
    device: &'static str,
}

/// How a device interrupts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InterruptKind {
    /// By INTx, the line of a PCI device.
    Intx,
    /// By MSI, from its configuration space.
    Msi,
    /// By MSI-X, from a table of its own.
    Msix,
}

/// The interrupts of a device.
#[derive(Clone, Debug)]
pub struct Interrupts {
    /// What the device uses.
    pub kind: InterruptKind,
    /// How many came, on all processors.
    pub count: u64,
    /// The controllers they come by, as `/proc/interrupts` names them.
    pub controllers: BTreeSet<String>,
}

/// The module of the disk that bounces, and is slow.
pub const SLOW: &str = "sym53c8xx";

/// All disks. The last one is [`SLOW`].
pub const DISKS: [RealDisk; 4] = [
    RealDisk {
        module: "ahci",
        interrupts: InterruptKind::Msi,
        device: &["ide-hd,drive=ahci,bus=ide.0"],
    },
    RealDisk {
        module: "nvme",
        interrupts: InterruptKind::Msix,
        // With doorbells in memory QEMU may miss the one that a line waits for (it publishes where it wants to be told from before it
        // has looked how far the driver is): the line stays up, and interrupts without end.
        device: &["nvme,drive=nvme,serial=paravane,dbcs=off"],
    },
    RealDisk {
        module: "virtio_blk",
        interrupts: InterruptKind::Msix,
        device: &["virtio-blk-pci,drive=virtio_blk,iommu_platform=on,disable-legacy=on"],
    },
    RealDisk {
        module: SLOW,
        interrupts: InterruptKind::Intx,
        device: &[
            "lsi53c895a,id=lsi",
            "scsi-hd,drive=sym53c8xx,bus=lsi.0,scsi-id=0",
        ],
    },
];

/// All network interfaces.
pub const NETS: [RealNet; 3] = [
    RealNet {
        module: "e1000e",
        interrupts: InterruptKind::Msix,
        device: "e1000e",
    },
    RealNet {
        module: "e1000",
        interrupts: InterruptKind::Intx,
        device: "e1000",
    },
    RealNet {
        module: "virtio_net",
        interrupts: InterruptKind::Msix,
        device: "virtio-net-pci,iommu_platform=on,disable-legacy=on",
    },
];

/// Makes the disks' images in a machine's folder.
pub(crate) fn make_files(dir: &Path) -> Result<()> {
    for disk in DISKS {
        let path = dir.join(format!("{}.img", disk.module));
        let file =
            File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        file.set_len(DISK)?;
    }
    Ok(())
}

/// Removes them again: logs are kept, disks are not.
pub(crate) fn remove_files(dir: &Path) {
    for disk in DISKS {
        let _ = std::fs::remove_file(dir.join(format!("{}.img", disk.module)));
    }
}

/// QEMU's arguments.
pub(crate) fn arguments() -> Vec<String> {
    let mut args = Vec::new();
    for disk in DISKS {
        let name = disk.module;
        args.push("-drive".into());
        args.push(format!(
            "if=none,id={name},file=/vm/run/{name}.img,format=raw,cache=unsafe"
        ));
        for device in disk.device {
            args.extend(["-device".into(), (*device).into()]);
        }
    }
    for (number, net) in NETS.iter().enumerate() {
        args.push("-netdev".into());
        args.push(format!("hubport,id=net{number},hubid=0"));
        args.push("-device".into());
        args.push(format!(
            "{},netdev=net{number},mac=52:54:00:00:05:{number:02x}",
            net.device
        ));
    }
    args
}

impl RealDisk {
    /// Loads its driver and returns its block device, such as `/dev/sda`.
    pub fn start(&self, dom0: &Place) -> Result<String> {
        let module = self.module;
        let node = dom0.sh(&format!(
            "modprobe {module} && modprobe -q sd_mod; n=0; while [ $n -lt $((100 * PACE)) ]; do \
             for b in /sys/block/*; do \
               d=$(readlink -f $b/device); while [ \"$d\" != / ]; do \
                 [ -e $d/driver ] && [ $(basename $(readlink $d/driver)) = {module} ] && \
                   [ $(cat $b/size) = {} ] && echo /dev/${{b##*/}} && exit; d=$(dirname $d); done; \
             done; sleep 0.1; n=$((n+1)); done; exit 1",
            DISK / 512
        ));
        node.with_context(|| format!("{module} finds no disk"))
    }

    /// Writes `mib` of random data, reads it back from the disk, and compares.
    pub fn check(&self, dom0: &Place, mib: u32) -> Result<()> {
        let node = self.start(dom0)?;
        // The copy to compare with does not pass the device that is tested.
        let wrote = write_random(dom0, "/disks", &node, mib)?;
        dom0.sh(&format!(
            "blockdev --flushbufs {node} || true; echo 3 > /proc/sys/vm/drop_caches"
        ))?;
        let read = checksum(dom0, &node, mib)?;
        ensure!(
            wrote == read,
            "{}: {node} gives back {read:?} for {wrote:?}",
            self.module
        );
        Ok(())
    }

    /// Its interrupts, once its driver is loaded.
    pub fn interrupts(&self, dom0: &Place) -> Result<Interrupts> {
        let node = self.start(dom0)?;
        let name = node.trim_start_matches("/dev/");
        let text = dom0.sh(&format!(
            "{INTERRUPTS}; interrupts $(readlink -f /sys/block/{name}/device)"
        ))?;
        read_interrupts(&text).with_context(|| format!("{node} has strange interrupts:\n{text}"))
    }
}

/// Writes random data to a disk past the page cache, from a copy in a folder; its checksum.
pub fn write_random(place: &Place, folder: &str, node: &str, mib: u32) -> Result<String> {
    let copy = format!("{folder}/data");
    let script = format!(
        "set -e; dd if=/dev/urandom of={copy} bs=1M count={mib} 2>/dev/null; \
         dd if={copy} of={node} bs=1M oflag=direct conv=fsync 2>/dev/null; sha256sum < {copy}; rm {copy}"
    );
    Ok(place.run_for(limit(mib), &script)?.ok()?.stdout)
}

/// The checksum of the first `mib` MiB of a disk, read past the page cache.
pub fn checksum(place: &Place, node: &str, mib: u32) -> Result<String> {
    let script = format!(
        "set -o pipefail; dd if={node} bs=1M count={mib} iflag=direct 2>/dev/null | sha256sum"
    );
    Ok(place.run_for(limit(mib), &script)?.ok()?.stdout)
}

/// Gives a guest whole disks of dom0 (their nodes there and in the guest), each with `mib` MiB of random data written by one
/// side and read by the other.
pub fn check_guest_disks(
    host: &Host,
    driver: Driver,
    mode: Mode,
    disks: &[(&str, &str)],
    mib: u32,
) -> Result<()> {
    let mut guest = Guest::new("g1", mode);
    for (node, vdev) in disks {
        guest = guest.disk(Disk::device(node, vdev));
    }
    let (dom0, guest) = (host.dom0(), host.create(guest)?);
    guest.load_blkfront(driver, "")?;
    for (node, vdev) in disks {
        let context = || format!("{node} as {vdev} of a {mode:?} guest");
        let disk = format!("/dev/{vdev}");
        let wrote = write_random(&guest, "/tmp", &disk, mib).with_context(context)?;
        let there = checksum(dom0, node, mib)?;
        ensure!(wrote == there, "{}: dom0 finds something else", context());
        let wrote = write_random(dom0, "/disks", node, mib).with_context(context)?;
        let came = checksum(&guest, &disk, mib)?;
        ensure!(
            wrote == came,
            "{}: the guest finds something else",
            context()
        );
    }
    guest.shutdown()
}

/// How long so much data may take on its way.
fn limit(mib: u32) -> Duration {
    Duration::from_secs(120 + u64::from(mib) * 2)
}

/// How many slots of the pool of bounce buffers were in use at a time, at most; an error if none was, for devices that do not
/// reach all memory cannot have done without.
pub fn bounced(dom0: &Place) -> Result<u64> {
    let most = dom0.sh("cat /sys/kernel/debug/swiotlb/io_tlb_used_hiwater")?;
    let most: u64 = most.trim().parse()?;
    ensure!(most > 0, "nothing went through the bounce buffers");
    Ok(most)
}

impl RealNet {
    /// Loads its driver and returns its interface, such as `eth0`.
    pub fn start(&self, dom0: &Place) -> Result<String> {
        let module = self.module;
        let interface = dom0.sh(&format!(
            "modprobe {module}; n=0; while [ $n -lt $((100 * PACE)) ]; do for i in /sys/class/net/*; do \
               [ -e $i/device/driver/module ] && [ $(basename $(readlink $i/device/driver/module)) = {module} ] && \
               echo ${{i##*/}} && exit; done; sleep 0.1; n=$((n+1)); done; exit 1"
        ));
        interface.with_context(|| format!("{module} finds no network"))
    }
}

/// Sends `mib` of random data from one interface to another over the wire between them, and compares. Each is in a network
/// of its own meanwhile, so that nothing takes a shorter way. The receiver has a standard input that does not end, for nc would
/// take its end for the end of the connection. Returns the interrupts of both so far, which are there only while they are used.
pub fn check_wire(dom0: &Place, from: RealNet, to: RealNet, mib: u32) -> Result<[Interrupts; 2]> {
    let (sender, receiver) = (from.start(dom0)?, to.start(dom0)?);
    let script = format!(
        "{INTERRUPTS}; set -e; for n in {sender} {receiver}; do \
           eval path_$n=$(readlink -f /sys/class/net/$n/device); done; \
         for n in a b; do ip netns add $n; done; trap 'ip netns del a; ip netns del b' EXIT; \
         ip link set {sender} netns a; ip link set {receiver} netns b; \
         ip -n a addr add 10.5.0.1/24 dev {sender}; ip -n a link set {sender} up; \
         ip -n b addr add 10.5.0.2/24 dev {receiver}; ip -n b link set {receiver} up; \
         dd if=/dev/urandom of=/disks/sent bs=1M count={mib} 2>/dev/null; \
         n=0; until ip netns exec a ping -c 1 -W 1 10.5.0.2 >/dev/null; do n=$((n+1)); [ $n -lt $((30 * PACE)) ]; done; \
         rm -f /run/open; mkfifo /run/open; sleep 1000 > /run/open & hold=$!; \
         ip netns exec b busybox nc -l -p 5000 < /run/open > /disks/got & server=$!; \
         sleep $PACE; ip netns exec a busybox nc 10.5.0.2 5000 < /disks/sent; wait $server; kill $hold; \
         stat -c %s /disks/sent /disks/got >&2; sha256sum < /disks/sent; sha256sum < /disks/got; rm /disks/sent /disks/got; \
         interrupts $path_{sender}; echo; interrupts $path_{receiver}"
    );
    let limit = Duration::from_secs(120 + u64::from(mib));
    let output = dom0.run_for(limit, &script)?.ok()?;
    let mut lines = output.stdout.lines();
    let (sent, got) = (lines.next(), lines.next());
    ensure!(
        sent.is_some() && sent == got,
        "{} received {got:?}, {} sent {sent:?}; {}",
        to.module,
        from.module,
        output.stderr
    );
    let rest = lines.collect::<Vec<_>>().join("\n");
    let both = rest.split_once("\n\n").and_then(|(from, to)| {
        let (from, to) = (read_interrupts(from)?, read_interrupts(to)?);
        Some([from, to])
    });
    both.with_context(|| format!("the interfaces have strange interrupts:\n{rest}"))
}

/// A function of the shell that tells of the interrupts of the PCI device that is or is above a folder of sysfs.
const INTERRUPTS: &str = r#"interrupts() { d=$1; until [ -e $d/irq ]; do d=$(dirname $d); done; \
    if [ -n "$(ls $d/msi_irqs 2>/dev/null)" ]; then cat $d/msi_irqs/* | sort -u; numbers=$(ls $d/msi_irqs); \
    else echo line; numbers=$(cat $d/irq); fi; \
    for n in $numbers; do grep "^ *$n:" /proc/interrupts || true; done; }"#;

/// Reads a line with the kind, and lines of `/proc/interrupts`.
fn read_interrupts(text: &str) -> Option<Interrupts> {
    let mut lines = text.lines();
    let kind = match lines.next()? {
        "line" => InterruptKind::Intx,
        "msi" => InterruptKind::Msi,
        "msix" => InterruptKind::Msix,
        _ => return None,
    };
    let (mut count, mut controllers) = (0, BTreeSet::new());
    for line in lines {
        let (number, what) = interrupt(line)?;
        count += number;
        controllers.extend(what.split(' ').next().map(str::to_owned));
    }
    Some(Interrupts {
        kind,
        count,
        controllers,
    })
}

/// Reads a line of `/proc/interrupts`, such as ` 28:  5  7  xen-pirq    -msi-x     nvme0q0`: how many there were on all
/// processors, and the rest of the line.
pub(crate) fn interrupt(line: &str) -> Option<(u64, String)> {
    let (_, rest) = line.split_once(':')?;
    let mut count = 0;
    let mut words = rest.split_whitespace().peekable();
    while let Some(number) = words.peek().and_then(|word| word.parse::<u64>().ok()) {
        count += number;
        words.next();
    }
    Some((count, words.collect::<Vec<_>>().join(" ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interrupts_are_summed_over_processors() {
        let line = " 28:          5          7  xen-pirq    -msi-x     nvme0q0";
        assert_eq!(
            interrupt(line),
            Some((12, "xen-pirq -msi-x nvme0q0".to_owned()))
        );
        let text = "msix\n 24: 1 2 PCI-MSIX-0000:00:04.0 0-edge a\n 25: 3 0 PCI-MSIX-0000:00:04.0 1-edge b";
        let found = read_interrupts(text).unwrap();
        assert_eq!((found.kind, found.count), (InterruptKind::Msix, 6));
        assert_eq!(found.controllers.len(), 1);
        assert!(read_interrupts("msi\nmsix\n").is_none());
    }

    #[test]
    fn every_device_has_its_back_end() {
        let args = arguments();
        for disk in DISKS {
            let drive = format!("drive={}", disk.module);
            assert!(args.iter().any(|arg| arg.contains(&drive)));
        }
        let wires = args.iter().filter(|arg| arg.contains("hubid=0")).count();
        assert_eq!(wires, NETS.len());
    }
}
