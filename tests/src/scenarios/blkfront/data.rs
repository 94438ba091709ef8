// SPDX-License-Identifier: GPL-2.0

//! What is written is what is read, by the guest and by dom0.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::vbd::Vbd;
use super::{MANIFEST, start};
use crate::context::Ctx;
use crate::disk::Disk;
use crate::guest::Guest;
use crate::matrix::Cell;
use crate::scenario::Scenario;

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[Scenario::new("blkfront.data_{guest}_{vcpus}", data)
    .crosswise()
    .on_each(&[
        Cell::PV.vcpus(1).full(),
        Cell::PVH.vcpus(1).core(),
        Cell::PV.vcpus(4),
        Cell::PVH.vcpus(4).full(),
    ])];

/// Makes a file system with all kinds of files in it, removes some again, and unmounts it.
const TREE: &str = "modprobe ext4 && mkfs.ext4 -q /dev/xvda && mount /dev/xvda /mnt && cd /mnt && \
     cp -a /bin /sbin . && mkdir -p deep/er/and/deeper many && \
     for i in $(seq 150); do echo $i $i > many/$i; done && rm many/1?? && \
     dd if=/dev/urandom of=deep/er/random bs=1M count=16 2>/dev/null && \
     dd if=/dev/urandom of=deep/er/and/sparse bs=3333 count=7 seek=1000 2>/dev/null && \
     ln deep/er/random linked && ln -s deep/er symbolic && chmod 4711 linked && chown 7:9 many/5 && sync";

fn data(ctx: &mut Ctx<'_>) -> Result<()> {
    let vcpus = ctx.vcpus();
    let each = ctx.rounds(4, 48);
    let guest = start(
        ctx,
        Guest::new("g1", ctx.mode())
            .vcpus(vcpus)
            .fio()
            .disk(Disk::file("files.img", "xvda").mib(192))
            .disk(Disk::file("blocks.img", "xvdb").mib(256)),
        "",
    )?;
    let blocks = Vbd::of(ctx.host, &guest, "xvdb")?;

    // A file system.
    let limit = Duration::from_secs(120);
    guest.run_for(limit, TREE)?.ok()?;
    let wrote = guest.sh(&format!("cd /mnt && {MANIFEST}; cd / && umount /mnt"))?;
    guest.run_for(limit, "e2fsck -fn /dev/xvda")?.ok()?;

    // Random blocks of all sizes, every job on its own part of the disk, read back and compared.
    let before = blocks.counted()?;
    let fio = format!(
        "fio --name=verify --filename=/dev/xvdb --direct=1 --ioengine=libaio --iodepth=32 --rw=randwrite \
         --bsrange=4k-128k --size={each}M --offset_increment=50M --numjobs={vcpus} --group_reporting \
         --cpus_allowed=0-{} --cpus_allowed_policy=split --verify=crc32c --do_verify=1 --verify_fatal=1 \
         --output-format=terse --output=/tmp/fio && grep '^3;' /tmp/fio | cut -d ';' -f 6,47; cat /tmp/fio >&2",
        vcpus - 1
    );
    let done = guest
        .run_for(Duration::from_secs(60 + u64::from(each) * 6), &fio)?
        .ok()?;
    let counted = blocks.counted()?.since(&before);
    // Fields 6 and 47 of its terse output are KiB read and written. With blocks of several sizes the last gaps
    // between them may stay empty.
    let moved: Vec<u64> = done
        .stdout
        .trim()
        .split(';')
        .map(str::parse)
        .collect::<Result<_, _>>()
        .with_context(|| format!("fio reported {:?} {}", done.stdout, done.stderr))?;
    ensure!(
        moved.len() == 2 && moved[0] == moved[1] && moved[1] > u64::from(each * vcpus) * 1024 / 2,
        "fio read and wrote {moved:?} KiB"
    );
    ensure!(
        counted.sectors_read == 2 * moved[0] && counted.sectors_written == 2 * moved[1],
        "fio read and wrote {moved:?} KiB, the back end counted {counted:?}"
    );
    ctx.note(format!(
        "fio wrote and verified {} KiB in {:.0} s",
        moved[1],
        done.took.as_secs_f32()
    ));

    // As many queues as both sides have processors, all of them in use.
    let queues = vcpus.min(blocks.back("multi-queue-max-queues")?.parse()?);
    let offered = blocks.front("multi-queue-num-queues")?;
    ensure!(
        offered == queues.to_string() || queues == 1 && offered.is_empty(),
        "{offered} queues"
    );
    let used = guest.sh(
        "awk '/blkif/ { n = 0; for (i = 2; i <= NF && $i ~ /^[0-9]+$/; i++) n += $i; if (n) used++ } \
         END { print used+0 }' /proc/interrupts",
    )?;
    ensure!(
        used == (2 * queues).to_string(),
        "{used} of {} queues of both disks were used",
        2 * queues
    );

    // Dom0 sees the same files.
    guest.shutdown()?;
    let found = ctx.host.dom0().sh(&format!(
        "mkdir -p /mnt && mount -o loop,ro,noload /disks/files.img /mnt && cd /mnt && {MANIFEST}; cd / && umount /mnt"
    ))?;
    ensure!(
        wrote.lines().count() > 300,
        "the tree is too small: {wrote}"
    );
    ensure!(
        wrote == found,
        "dom0 finds other files than the guest wrote: {}",
        first_difference(&wrote, &found)
    );
    Ok(())
}

fn first_difference(wrote: &str, found: &str) -> String {
    let mut pairs = wrote.lines().zip(found.lines());
    match pairs.find(|(wrote, found)| wrote != found) {
        Some((wrote, found)) => format!("{wrote:?} became {found:?}"),
        None => format!(
            "{} lines became {}",
            wrote.lines().count(),
            found.lines().count()
        ),
    }
}
