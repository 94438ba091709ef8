// SPDX-License-Identifier: GPL-2.0

//! A guest whose kernel is on its own disk: Debian's `xl` loads GRUB, a program of 32 bits that never enters long mode and
//! has a xenstore client and a block frontend of its own. It makes its hypercalls in the ABI of 32-bit code.

use anyhow::{Result, ensure};

use crate::context::Ctx;
use crate::disk::Disk;
use crate::guest::Guest;
use crate::matrix::Cell;
use crate::scenario::Scenario;
use crate::topology::Topology;

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[Scenario::new(
    "hypervisor.grub_boots_a_guest_from_its_disk{on_xen}",
    boots_from_its_disk,
)
.on_each(&Cell::on_both_hypervisors(Topology::PARAVANE))
// GRUB reads 54 MiB, 4 KiB at a time.
.full()];

/// A word by which the guest knows its command line.
const WORD: &str = "paravane.loaded=by-grub";

/// GRUB's configuration on the guest's disk.
fn configuration(command_line: &str) -> String {
    format!(
        "echo 'GRUB loads the kernel'\nlinux /boot/vmlinuz {command_line}\n\
         echo 'GRUB loads the initramfs'\ninitrd /boot/guest.cpio\necho 'GRUB boots it'\nboot\n"
    )
}

fn boots_from_its_disk(ctx: &mut Ctx<'_>) -> Result<()> {
    let dom0 = ctx.host.dom0();
    let guest = Guest::pvh("g1")
        .disk(Disk::file("by-grub.img", "xvda"))
        .args(WORD)
        .by_grub();
    let text = configuration(&guest.command_line());
    dom0.put("/run/by-grub.cfg", 0o644, text.as_bytes())?;
    dom0.sh(
        "set -e; mkdir -p /run/by-grub/boot/grub; cp /run/by-grub.cfg /run/by-grub/boot/grub/grub.cfg; \
         cp /payload/boot/vmlinuz /payload/boot/guest.cpio /run/by-grub/boot; \
         mke2fs -q -t ext2 -d /run/by-grub /disks/by-grub.img 160M; rm -r /run/by-grub",
    )?;
    let guest = ctx.host.create(guest)?;
    let line = guest.sh("cat /proc/cmdline")?;
    ensure!(
        line.contains(WORD) && line.contains("BOOT_IMAGE=/boot/vmlinuz"),
        "the guest was told {line:?}"
    );
    let is = guest.sh("cat /sys/hypervisor/guest_type")?;
    ensure!(is == "PVH", "the guest runs as {is}");
    // GRUB has left the disk as it found it: the kernel's own frontend connects to it anew.
    guest.load_blkfront(ctx.driver, "")?;
    let sum = "sha256sum < ";
    let (in_guest, in_dom0) = (
        guest.sh(&format!("{sum} /dev/xvda"))?,
        dom0.sh(&format!("{sum} /disks/by-grub.img"))?,
    );
    ensure!(
        in_guest == in_dom0,
        "the guest reads another disk than dom0"
    );
    let up = guest.sh("cut -d ' ' -f 1 /proc/uptime")?;
    ctx.note(format!("the kernel was up for {up} s when it answered"));
    guest.shutdown()?;
    dom0.sh("rm /disks/by-grub.img /run/by-grub.cfg").map(drop)
}
