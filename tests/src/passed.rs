// SPDX-License-Identifier: GPL-2.0

//! Devices of the emulated machine that dom0 passes to guests: a network card, behind which QEMU serves a file, and a
//! disk, whose content is a file of the host. So what a guest reads and writes can be compared with what is there.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::devices::interrupt;
use crate::guest::{Domain, Driver, Guest};
use crate::host::Host;

/// Where the network card (e1000e: MSI-X, MSI and INTx) is in dom0: behind a port of PCI Express.
pub const CARD: &str = "01:00.0";

/// Where the disk (NVMe: MSI-X and INTx) is in dom0.
pub const DISK: &str = "00:11.0";

/// Bytes of the disk.
pub const DISK_SIZE: u64 = 64 << 20;

/// The address of the network card's other end, which answers pings and serves [`served`] by TFTP.
pub const GATEWAY: &str = "10.0.2.2";

const IMAGE: &str = "passed-disk.img";
const FOLDER: &str = "passed-net";

/// The name of the file that is served.
pub const FILE: &str = "file";

/// What is in the file: a megabyte in which no two words are alike.
pub fn served() -> Vec<u8> {
    content(1 << 20, 0x9e37_79b9)
}

/// Bytes that look random; another `seed`, other bytes.
pub fn content(len: usize, seed: u32) -> Vec<u8> {
    let words = (0..len as u32 / 4).map(|n| (n ^ seed).wrapping_mul(2_654_435_761).rotate_left(9));
    words.flat_map(u32::to_le_bytes).collect()
}

/// Makes the files behind the devices, in the machine's folder.
pub(crate) fn prepare(dir: &Path) -> Result<()> {
    File::create(dir.join(IMAGE))?.set_len(DISK_SIZE)?;
    let folder = dir.join(FOLDER);
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(FILE), served())?;
    Ok(())
}

/// Words for QEMU's command line.
pub(crate) fn arguments() -> [&'static str; 10] {
    [
        "-device",
        // Of a faster link a kernel wants to read that it is up again after a reset, which QEMU says only where it plugs
        // devices in without ACPI.
        "pcie-root-port,id=passed-port,chassis=1,addr=0x10,x-speed=2_5",
        "-netdev",
        "user,id=passed,tftp=/vm/run/passed-net",
        "-device",
        "e1000e,id=passed-card,netdev=passed,bus=passed-port",
        "-drive",
        "if=none,id=passed-disk,file=/vm/run/passed-disk.img,format=raw,cache=writeback",
        "-device",
        // Without doorbells in memory, as crate::devices says.
        "nvme,drive=passed-disk,serial=passed,addr=0x11,dbcs=off",
    ]
}

/// What is on the disk at `offset`, as the host has it.
pub fn on_disk(host: &Host, offset: u64, len: usize) -> Result<Vec<u8>> {
    let mut bytes = vec![0; len];
    File::open(host.dir().join(IMAGE))?.read_exact_at(&mut bytes, offset)?;
    Ok(bytes)
}

/// Has the network card report uncorrectable errors, the bits of the register of that name (PCI Express 7.8.4.2). The
/// kernel's own `aer_inject` does it: it puts the error over the registers that dom0 reads and calls the root port's interrupt
/// handler. QEMU's monitor can raise an error on a card too (`pcie_aer_inject_error`), but it ends before dom0 sees it.
pub fn raise_error(host: &Host, uncorrectable: u32) -> Result<()> {
    // `struct aer_error_inj`: where (bus, device, function, padding), then uncorrectable and correctable errors, four words of
    // the packet's head, the domain.
    let place = CARD
        .split([':', '.'])
        .map(|part| u8::from_str_radix(part, 16));
    let mut request = place.collect::<Result<Vec<_>, _>>()?;
    request.push(0);
    for word in [uncorrectable, 0, 0, 0, 0, 0, 0] {
        request.extend(u32::to_le_bytes(word));
    }
    let dom0 = host.dom0();
    dom0.put("/tmp/aer", 0o600, &request)?;
    // In one piece, or it is refused.
    dom0.sh(&format!(
        "dd if=/tmp/aer of=/dev/aer_inject bs={} count=1 2>/dev/null",
        request.len()
    ))
    .context("dom0's kernel raises no error")
    .map(drop)
}

/// Bytes of the head of a device's configuration space, in which its command register and base addresses are.
const HEAD: usize = 64;

/// Keeps the head of the network card's configuration space, in a file of dom0's.
pub fn keep_head(host: &Host) -> Result<()> {
    host.dom0()
        .sh(&format!(
            "dd if=/sys/bus/pci/devices/0000:{CARD}/config of=/tmp/head bs={HEAD} count=1 2>/dev/null"
        ))
        .map(drop)
}

/// Writes it back: a reset of its link has taken the card's addresses away, and Linux's back end neither restores them nor lets
/// a guest do it: to the guest it shows them as if they were still there.
pub fn restore_head(host: &Host) -> Result<()> {
    // The command register last, when the addresses are right.
    host.dom0()
        .sh(&format!(
            "cd /sys/bus/pci/devices/0000:{CARD} && \
             for word in 3 4 5 6 7 8 9 12 15 1; do \
             dd if=/tmp/head of=config bs=4 count=1 skip=$word seek=$word conv=notrunc 2>/dev/null || exit 1; done"
        ))
        .map(drop)
}

/// Has dom0 keep the devices for guests.
pub fn assign(host: &Host) -> Result<()> {
    let dom0 = host.dom0();
    dom0.sh("modprobe xen-pciback")?;
    for device in [CARD, DISK] {
        dom0.sh(&format!(
            "xl pci-assignable-list | grep -q {device} || xl pci-assignable-add {device}"
        ))
        .with_context(|| format!("dom0 does not give {device} away"))?;
    }
    Ok(())
}

impl Guest {
    /// Passes devices to the guest, which has to be a PV one.
    #[must_use]
    pub fn passed(self, devices: &[&str]) -> Self {
        let list: Vec<_> = devices.iter().map(|device| format!("'{device}'")).collect();
        // The devices take machine addresses, which only the kernel's own bounce buffers know how to make.
        self.line(&format!("pci = [{}]", list.join(", ")))
            .args("iommu=soft")
    }
}

impl Domain {
    /// Loads a PCI frontend and waits for `count` devices.
    pub fn load_pcifront(&self, driver: Driver, count: usize) -> Result<()> {
        let (module, other) = (driver.pci_module(), driver.other().pci_module());
        self.sh(&format!("modprobe {module}"))
            .with_context(|| format!("{module} cannot be loaded in {}", self.name()))?;
        let loaded = self.sh("lsmod")?;
        if loaded
            .lines()
            .any(|line| line.split(' ').next() == Some(other))
        {
            bail!("{other} is loaded, so nothing would be learnt about {module}");
        }
        self.await_passed(count)
    }

    /// Waits until the guest has so many PCI devices.
    pub fn await_passed(&self, count: usize) -> Result<()> {
        self.wait_for(
            "the passed devices",
            Duration::from_secs(30),
            "ls /sys/bus/pci/devices 2>/dev/null | wc -l",
            |text| text == count.to_string(),
        )
        .map(drop)
    }

    /// Attaches a device.
    pub fn attach_passed(&self, device: &str) -> Result<()> {
        self.dom0
            .sh(&format!("xl pci-attach {} {device}", self.name()))
            .map(drop)
    }

    /// Detaches a device.
    pub fn detach_passed(&self, device: &str) -> Result<()> {
        self.dom0
            .sh(&format!("xl pci-detach {} {device}", self.name()))
            .map(drop)
    }

    /// Loads the network card's driver with an interrupt mode (0 INTx, 1 MSI, 2 MSI-X) and brings the card up.
    pub fn start_card(&self, mode: u32) -> Result<()> {
        self.sh(&format!("modprobe e1000e IntMode={mode}"))?;
        self.wait_for(
            "the network card",
            Duration::from_secs(30),
            "ls /sys/class/net",
            |devices| devices.lines().any(|device| device == "eth0"),
        )?;
        self.sh("ip addr add 10.0.2.15/24 dev eth0 && ip link set eth0 up")?;
        self.wait_for(
            "the network card's link",
            Duration::from_secs(30),
            "cat /sys/class/net/eth0/carrier 2>/dev/null || echo none",
            |carrier| carrier == "1",
        )?;
        Ok(())
    }

    /// Brings the card down and unloads its driver.
    pub fn stop_card(&self) -> Result<()> {
        self.sh("rmmod e1000e").map(drop)
    }

    /// Loads the disk's driver and waits for the disk.
    pub fn start_disk(&self) -> Result<()> {
        self.sh("modprobe nvme")?;
        self.wait_for(
            "the disk",
            Duration::from_secs(30),
            "cat /sys/block/nvme0n1/size 2>/dev/null || echo none",
            |size| size == (DISK_SIZE / 512).to_string(),
        )
        .map(drop)
    }

    /// The interrupts of passed devices: a line each, its kind and name, and how many there were on all processors.
    pub fn passed_interrupts(&self) -> Result<Vec<(String, u64)>> {
        let text = self.sh("grep -E 'xen-pirq' /proc/interrupts || true")?;
        let lines = text.lines().filter_map(interrupt);
        Ok(lines.map(|(count, what)| (what, count)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_differ() {
        assert_eq!(content(4096, 1).len(), 4096);
        assert_ne!(content(4096, 1), content(4096, 2));
        assert_eq!(content(4096, 1), content(4096, 1));
    }
}
