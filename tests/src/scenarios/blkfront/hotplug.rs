// SPDX-License-Identifier: GPL-2.0

//! Disks and the module come and go, and leave nothing behind.

use anyhow::{Result, ensure};

use super::vbd::Vbd;
use super::{await_disk, start};
use crate::context::Ctx;
use crate::disk::Disk;
use crate::guest::{Domain, Driver, Guest};
use crate::matrix::Cell;
use crate::scenario::Scenario;
use crate::scenarios::resources::leave_nothing;

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[
    Scenario::new("blkfront.hotplug_leaks_nothing_{guest}", leaks_nothing)
        .crosswise()
        .on_each(&[Cell::PVH, Cell::PV.full()]),
    Scenario::new("blkfront.module_can_be_reloaded", reload)
        .crosswise()
        .full(),
];

/// What may come and go in the caches of a guest's allocators over a whole run, in KiB; a page a round would be more.
const NOISE_KIB: i64 = 512;

fn leaks_nothing(ctx: &mut Ctx<'_>) -> Result<()> {
    let rounds = ctx.rounds(2, 100);
    let guest = start(ctx, Guest::new("g1", ctx.mode()).vcpus(2), "")?;
    leave_nothing(ctx, &guest, rounds, NOISE_KIB, || attach_use_detach(&guest))?;
    guest.shutdown()
}

fn attach_use_detach(guest: &Domain) -> Result<()> {
    guest.attach(&Disk::file("a.img", "xvda").mib(32))?;
    await_disk(guest, "xvda")?;
    guest.sh(
        "for i in 1 2 3 4; do dd if=/dev/zero of=/dev/xvda bs=512k count=4 seek=$((4*i)) oflag=direct & done; wait; \
         dd if=/dev/xvda of=/dev/null bs=64k count=64; blkdiscard /dev/xvda",
    )?;
    guest.detach("xvda", "")?.ok()?;
    ensure!(
        guest.sh("ls /sys/block | grep -c ^xvd || true")? == "0",
        "a detached disk is still there"
    );
    Ok(())
}

/// A module cannot go while it drives a disk, least of all a mounted one, and comes back when it can.
fn reload(ctx: &mut Ctx<'_>) -> Result<()> {
    let module = ctx.driver.block_module();
    let guest = start(ctx, Guest::pvh("g1").vcpus(2), "")?;
    guest.attach(&Disk::file("a.img", "xvda").mib(32))?;
    await_disk(&guest, "xvda")?;
    guest.sh(
        "modprobe ext4 && mkfs.ext4 -q /dev/xvda && mount /dev/xvda /mnt && echo kept > /mnt/kept",
    )?;
    guest.run(&format!("rmmod {module}"))?.fails()?;
    ensure!(
        guest
            .sh("cat /mnt/kept && echo more >> /mnt/kept && sync && cat /mnt/kept")?
            .contains("more")
    );
    guest.sh("umount /mnt")?;

    for _ in 0..ctx.rounds(3, 20) {
        guest.detach("xvda", "")?.ok()?;
        guest.sh(&format!(
            "rmmod {module} && ! grep -q 'xvd$' /proc/devices && modprobe {module}"
        ))?;
        guest.attach(&Disk::file("a.img", "xvda"))?;
        await_disk(&guest, "xvda")?;
        guest.sh("mount /dev/xvda /mnt && grep -q kept /mnt/kept && umount /mnt")?;
    }
    if ctx.driver == Driver::C {
        ctx.note("the C driver does not find a disk again that was unbound from it: not tried");
        return guest.shutdown();
    }

    // Taken from the disk by hand, as before an update of the module: the disk comes back with it.
    let vbd = Vbd::of(ctx.host, &guest, "xvda")?;
    for _ in 0..ctx.rounds(3, 20) {
        guest.sh(&format!(
            "for d in /sys/bus/xen/drivers/vbd/vbd-*; do echo ${{d##*/}} > /sys/bus/xen/drivers/vbd/unbind; done; \
             [ ! -e /sys/block/xvda ] && rmmod {module} && modprobe {module}"
        ))?;
        await_disk(&guest, "xvda")?;
        ensure!(vbd.back("state")? == "4", "the back end is connected again");
        guest.sh("mount /dev/xvda /mnt && grep -q kept /mnt/kept && umount /mnt")?;
    }
    guest.shutdown()
}
