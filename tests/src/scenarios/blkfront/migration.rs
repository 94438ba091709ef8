// SPDX-License-Identifier: GPL-2.0

//! Saving and restoring a guest in the middle of I/O: what the old back end had not answered is asked of the
//! new one, and nothing is lost, repeated out of order, or failed.

use std::time::Duration;

use anyhow::Result;

use super::loss::expect;
use super::start;
use crate::context::Ctx;
use crate::disk::Disk;
use crate::guest::Guest;
use crate::matrix::Cell;
use crate::scenario::Scenario;

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] =
    &[
        Scenario::new("blkfront.save_and_restore_{guest}", save_and_restore)
            .crosswise()
            .on_each(&[Cell::PVH, Cell::PV.full()]),
    ];

fn save_and_restore(ctx: &mut Ctx<'_>) -> Result<()> {
    let rounds = ctx.rounds(1, 6);
    // Little memory, because all of it is saved to a disk in memory; fio's initramfs needs most of it.
    let guest = start(
        ctx,
        Guest::new("g1", ctx.mode())
            .vcpus(2)
            .memory(256)
            .fio()
            .disk(Disk::file("ledger.img", "xvda").mib(16))
            .disk(Disk::file("fio.img", "xvdb").mib(64)),
        "",
    )?;
    let seconds = guest.lengthened(12 * rounds);
    let ledger = guest.spawn(&format!(
        "agent probe ledger write /dev/xvda {seconds} /tmp/books"
    ))?;
    let fio = guest.spawn(&format!(
        "fio --name=verify --filename=/dev/xvdb --direct=1 --ioengine=libaio --iodepth=32 --rw=randwrite \
         --bs=4k --size=24M --numjobs=2 --offset_increment=32M --time_based --runtime={seconds} --verify=crc32c \
         --verify_backlog=256 --verify_fatal=1 --group_reporting"
    ))?;
    for round in 0..rounds {
        ctx.host.pace().sleep(Duration::from_secs(4));
        guest.save("/disks/saved")?;
        guest.restore("/disks/saved")?;
        ctx.note(format!("restored {} times", round + 1));
    }
    let limit = Duration::from_secs(u64::from(seconds) + 90);
    let books = ledger.wait_for(limit)?.ok()?.stdout;
    expect(
        &books,
        &[("failed", 0), ("lost", 0), ("torn", 0), ("unreadable", 0)],
    )?;
    fio.wait_for(limit)?.ok()?;
    ctx.note(books.replace('\n', " "));

    // The ledger is checked again from dom0's side, when the guest is gone.
    let table = guest.get("/tmp/books")?;
    guest.shutdown()?;
    let dom0 = ctx.host.dom0();
    dom0.put("/disks/books", 0o600, &table)?;
    let books = dom0.sh("/payload/bin/agent probe ledger check /disks/ledger.img /disks/books")?;
    expect(&books, &[("lost", 0), ("torn", 0), ("unreadable", 0)])
}
