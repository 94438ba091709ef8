// SPDX-License-Identifier: GPL-2.0

//! Disks of all kinds, as the toolstack can describe them.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::vbd::Vbd;
use super::{await_disk, start};
use crate::context::Ctx;
use crate::disk::Disk;
use crate::guest::{Domain, Guest};
use crate::scenario::Scenario;

/// The scenarios of this file. A PV guest, because only that one may have a CD-ROM through a block front end.
pub const SCENARIOS: &[Scenario] = &[
    Scenario::new("blkfront.disks_of_all_kinds", |ctx| {
        let guest = start(
            ctx,
            Guest::pv("g1")
                .vcpus(2)
                .disk(Disk::file("a.img", "xvda").mib(64)),
            "",
        )?;
        names_and_numbers(&guest)?;
        read_only_and_cdrom(&guest)?;
        block_sizes(ctx, &guest)?;
        no_discard(&guest)?;
        partitions(&guest)?;
        guest.shutdown()
    })
    .full(),
    Scenario::new("blkfront.disk_grows_while_mounted", |ctx| {
        let disk = Disk::file("a.img", "xvda").mib(64);
        let guest = start(ctx, Guest::pvh("g1").vcpus(2).disk(disk), "")?;
        grows(ctx, &guest)?;
        guest.shutdown()
    })
    .crosswise()
    .full(),
];

fn attach(guest: &Domain, disk: Disk, name: &str) -> Result<()> {
    guest.attach(&disk)?;
    await_disk(guest, name)
}

/// A file of `/sys/block/NAME`.
fn sys(guest: &Domain, name: &str, file: &str) -> Result<String> {
    guest.sh(&format!("cat /sys/block/{name}/{file}"))
}

/// Names follow the virtual device number, whatever kind of disk that stood for once
/// (xen-vbd-interface(7)): major 202, 16 minors a disk, 256 for numbers of the extended kind.
fn names_and_numbers(guest: &Domain) -> Result<()> {
    ensure!(sys(guest, "xvda", "dev")? == "202:0");
    for (vdev, name, number) in [
        ("hdd", "xvdd", "202:48"),
        ("sdc", "xvdc", "202:32"),
        ("xvdaa", "xvdaa", "202:6656"),
    ] {
        attach(guest, Disk::file(vdev, vdev).mib(8), name)?;
        let found = sys(guest, name, "dev")?;
        ensure!(
            found == number,
            "{vdev} is {name} with {found}, not {number}"
        );
        guest.detach(vdev, "")?.ok()?;
    }
    Ok(())
}

fn read_only_and_cdrom(guest: &Domain) -> Result<()> {
    attach(
        guest,
        Disk::file("ro.img", "xvdb").mib(8).read_only(),
        "xvdb",
    )?;
    ensure!(sys(guest, "xvdb", "ro")? == "1" && sys(guest, "xvda", "ro")? == "0");
    guest
        .run("dd if=/dev/zero of=/dev/xvdb bs=4k count=1 oflag=direct")?
        .fails()?;
    guest.sh("dd if=/dev/xvdb of=/dev/null bs=4k count=1 iflag=direct")?;
    guest.detach("xvdb", "")?.ok()?;

    let cdrom = Disk::file("cd.iso", "xvdb")
        .mib(8)
        .read_only()
        .option("devtype=cdrom");
    attach(guest, cdrom, "xvdb")?;
    ensure!(sys(guest, "xvdb", "ro")? == "1");
    guest.sh("dd if=/dev/xvdb of=/dev/null bs=2k count=4 iflag=direct")?;
    guest.detach("xvdb", "")?.ok()?;
    Ok(())
}

/// A back end whose device has blocks of 4 KiB.
fn block_sizes(ctx: &Ctx<'_>, guest: &Domain) -> Result<()> {
    let device = ctx.host.dom0().sh(
        "truncate -s 16M /disks/4k.img && losetup --sector-size 4096 --show -f /disks/4k.img",
    )?;
    attach(guest, Disk::device(&device, "xvdb"), "xvdb")?;
    for (file, expected) in [
        ("logical_block_size", "4096"),
        ("physical_block_size", "4096"),
    ] {
        let found = sys(guest, "xvdb", &format!("queue/{file}"))?;
        ensure!(found == expected, "{file} is {found}");
    }
    ensure!(
        sys(guest, "xvdb", "size")? == "32768",
        "the size is in sectors of 512 bytes"
    );
    guest.sh(
        "dd if=/dev/urandom of=/tmp/f bs=4k count=100 2>/dev/null && dd if=/tmp/f of=/dev/xvdb bs=4k oflag=direct && \
         dd if=/dev/xvdb of=/tmp/b bs=4k count=100 iflag=direct && cmp /tmp/f /tmp/b",
    )?;
    guest
        .run("dd if=/dev/zero of=/dev/xvdb bs=512 count=1 oflag=direct")?
        .fails()?;
    guest.detach("xvdb", "")?.ok()?;
    ctx.host
        .dom0()
        .sh(&format!("losetup -d {device}"))
        .map(drop)
}

fn no_discard(guest: &Domain) -> Result<()> {
    ensure!(sys(guest, "xvda", "queue/discard_max_bytes")? != "0");
    attach(
        guest,
        Disk::file("nd.img", "xvdb").mib(8).option("no-discard"),
        "xvdb",
    )?;
    ensure!(sys(guest, "xvdb", "queue/discard_max_bytes")? == "0");
    guest.run("blkdiscard /dev/xvdb")?.fails()?;
    guest.detach("xvdb", "")?.ok()?;
    Ok(())
}

/// More partitions than 16 minors hold, on a disk with a number of the old kind, so that some of them get
/// extended numbers. They are found again by the partition scan when the disk is attached anew.
fn partitions(guest: &Domain) -> Result<()> {
    attach(guest, Disk::file("parts.img", "xvde").mib(48), "xvde")?;
    guest.sh(
        "{ echo label: gpt; for i in $(seq 18); do echo size=2M; done; } | sfdisk -q /dev/xvde && \
         dd if=/dev/urandom of=/tmp/f bs=1M count=1 2>/dev/null",
    )?;
    let found = |guest: &Domain| -> Result<usize> {
        Ok(guest
            .sh("ls -d /sys/block/xvde/xvde* 2>/dev/null")?
            .lines()
            .count())
    };
    ensure!(found(guest)? == 18, "sfdisk made 18 partitions");
    for part in [1, 15, 18] {
        guest.sh(&format!(
            "dd if=/tmp/f of=/dev/xvde{part} bs=1M oflag=direct"
        ))?;
    }
    ensure!(sys(guest, "xvde/xvde1", "dev")? == "202:65");
    guest.detach("xvde", "")?.ok()?;

    attach(guest, Disk::file("parts.img", "xvde"), "xvde")?;
    guest.wait_for(
        "the partitions",
        Duration::from_secs(10),
        "ls -d /sys/block/xvde/xvde* | wc -l",
        |count| count == "18",
    )?;
    for part in [1, 15, 18] {
        guest.sh(&format!(
            "dd if=/dev/xvde{part} bs=1M count=1 iflag=direct 2>/dev/null | cmp - /tmp/f"
        ))?;
    }
    guest.detach("xvde", "")?.ok()?;
    Ok(())
}

/// The back end notices that its device has grown, and the file system can use the room at once.
fn grows(ctx: &Ctx<'_>, guest: &Domain) -> Result<()> {
    let vbd = Vbd::of(ctx.host, guest, "xvda")?;
    guest.sh(
        "modprobe ext4 && mkfs.ext4 -q /dev/xvda && mount /dev/xvda /mnt && echo kept > /mnt/kept",
    )?;
    for mib in [96, 200] {
        ctx.host.dom0().sh(&format!(
            "truncate -s {mib}M /disks/a.img && losetup -c $(losetup -n -O NAME -j /disks/a.img)"
        ))?;
        let sectors = (mib * 2048).to_string();
        guest.wait_for(
            "the disk to grow",
            Duration::from_secs(20),
            "cat /sys/block/xvda/size",
            |size| size == sectors,
        )?;
        ensure!(vbd.back("sectors")? == sectors);
    }
    guest.sh(
        "resize2fs /dev/xvda && dd if=/dev/urandom of=/mnt/big bs=1M count=120 && sync && \
         [ $(cat /mnt/kept) = kept ] && umount /mnt && e2fsck -fn /dev/xvda",
    )?;
    Ok(())
}
