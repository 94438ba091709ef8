// SPDX-License-Identifier: GPL-2.0

//! Disks and networks that dom0 drives itself, by drivers for real hardware: what they are, and how to use them in dom0.
//!
//! | device | reaches | interrupts |
//! |---|---|---|
//! | AHCI disk, NVMe disk | all memory | MSI, MSI-X |
//! | disk on an LSI 53C895A | the first 4 GiB | INTx |
//! | e1000e, virtio | all memory | MSI-X |
//! | e1000 | the first 4 GiB | INTx |

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::remote::Place;

/// Bytes of a disk; what is never written takes no room.
const DISK: u64 = 2 << 30;

/// A disk.
#[derive(Clone, Copy, Debug)]
pub struct RealDisk {
    /// The module that drives its controller, and the name of its image.
    pub module: &'static str,
    /// What QEMU is told after the drive, which is called like the module.
    device: &'static [&'static str],
}

/// A network interface. All of them are on one wire.
#[derive(Clone, Copy, Debug)]
pub struct RealNet {
    /// The module that drives it.
    pub module: &'static str,
    /// What QEMU is told.
    device: &'static str,
}

/// All disks.
pub const DISKS: [RealDisk; 3] = [
    RealDisk {
        module: "ahci",
        device: &["ide-hd,drive=ahci,bus=ide.0"],
    },
    RealDisk {
        module: "nvme",
        device: &["nvme,drive=nvme,serial=paravane"],
    },
    RealDisk {
        module: "sym53c8xx",
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
        device: "e1000e",
    },
    RealNet {
        module: "e1000",
        device: "e1000",
    },
    RealNet {
        module: "virtio_net",
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

/// What QEMU is told.
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
    /// Loads its driver and returns its node, such as `/dev/sda`.
    pub fn start(&self, dom0: &Place) -> Result<String> {
        let module = self.module;
        let node = dom0.sh(&format!(
            "modprobe {module} && modprobe -q sd_mod; n=0; while [ $n -lt 100 ]; do \
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
        // The copy to compare with is never on the way that is tested.
        let script = format!(
            "set -e; dd if=/dev/urandom of=/disks/data bs=1M count={mib} 2>/dev/null; \
             dd if=/disks/data of={node} bs=1M oflag=direct conv=fsync 2>/dev/null; \
             blockdev --flushbufs {node} || true; echo 3 > /proc/sys/vm/drop_caches; \
             sha256sum < /disks/data; dd if={node} bs=1M count={mib} iflag=direct 2>/dev/null | sha256sum; \
             rm /disks/data"
        );
        let limit = Duration::from_secs(120 + u64::from(mib));
        let sums = dom0.run_for(limit, &script)?.ok()?.stdout;
        let mut sums = sums.lines();
        let (wrote, read) = (sums.next(), sums.next());
        ensure!(
            wrote.is_some() && wrote == read,
            "{}: {node} gives back {read:?} for {wrote:?}",
            self.module
        );
        Ok(())
    }
}

impl RealNet {
    /// Loads its driver and returns its interface, such as `eth0`.
    pub fn start(&self, dom0: &Place) -> Result<String> {
        let module = self.module;
        let interface = dom0.sh(&format!(
            "modprobe {module}; n=0; while [ $n -lt 100 ]; do for i in /sys/class/net/*; do \
               [ -e $i/device/driver/module ] && [ $(basename $(readlink $i/device/driver/module)) = {module} ] && \
               echo ${{i##*/}} && exit; done; sleep 0.1; n=$((n+1)); done; exit 1"
        ));
        interface.with_context(|| format!("{module} finds no network"))
    }
}

/// Sends `mib` of random data from one interface to another over the wire between them, and compares. Each is in a network
/// of its own meanwhile, so that nothing takes a shorter way. The receiver has a standard input that does not end, for nc would
/// take its end for the end of the connection.
pub fn check_wire(dom0: &Place, from: RealNet, to: RealNet, mib: u32) -> Result<()> {
    let (sender, receiver) = (from.start(dom0)?, to.start(dom0)?);
    let script = format!(
        "set -e; for n in a b; do ip netns add $n; done; trap 'ip netns del a; ip netns del b' EXIT; \
         ip link set {sender} netns a; ip link set {receiver} netns b; \
         ip -n a addr add 10.5.0.1/24 dev {sender}; ip -n a link set {sender} up; \
         ip -n b addr add 10.5.0.2/24 dev {receiver}; ip -n b link set {receiver} up; \
         dd if=/dev/urandom of=/disks/sent bs=1M count={mib} 2>/dev/null; \
         n=0; until ip netns exec a ping -c 1 -W 1 10.5.0.2 >/dev/null; do n=$((n+1)); [ $n -lt 30 ]; done; \
         rm -f /run/open; mkfifo /run/open; sleep 90 > /run/open & hold=$!; \
         ip netns exec b busybox nc -l -p 5000 < /run/open > /disks/got & server=$!; \
         sleep 1; ip netns exec a busybox nc 10.5.0.2 5000 < /disks/sent; wait $server; kill $hold; \
         stat -c %s /disks/sent /disks/got >&2; sha256sum < /disks/sent; sha256sum < /disks/got; rm /disks/sent /disks/got"
    );
    let limit = Duration::from_secs(120 + u64::from(mib));
    let output = dom0.run_for(limit, &script)?.ok()?;
    let mut sums = output.stdout.lines();
    let (sent, got) = (sums.next(), sums.next());
    ensure!(
        sent.is_some() && sent == got,
        "{} received {got:?}, {} sent {sent:?}; {}",
        to.module,
        from.module,
        output.stderr
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

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
