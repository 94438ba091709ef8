// SPDX-License-Identifier: GPL-2.0

//! What reaches the back end: it counts requests, and the file behind the disk shows what became of them.

use anyhow::{Result, ensure};

use super::vbd::{Vbd, own_counter, own_word};
use super::{await_disk, start};
use crate::context::Ctx;
use crate::disk::Disk;
use crate::guest::{Domain, Driver, Guest};
use crate::scenario::Scenario;

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[
    Scenario::new(
        "blkfront.backend_gets_what_was_asked_for",
        kinds_of_requests,
    )
    .crosswise(),
    Scenario::new("blkfront.persistent_grants_are_bounded", persistent_grants)
        .crosswise()
        .full(),
];

/// Most segments of a direct request, in sectors: 11 pages (io/blkif.h).
const DIRECT_SECTORS: u64 = 11 * 8;

fn kinds_of_requests(ctx: &mut Ctx<'_>) -> Result<()> {
    let guest = start(ctx, Guest::pvh("g1").vcpus(2), "max_indirect_segments=256")?;
    guest.attach(&Disk::file("a.img", "xvda").mib(64))?;
    await_disk(&guest, "xvda")?;
    let vbd = Vbd::of(ctx.host, &guest, "xvda")?;

    large_requests(ctx, &guest, &vbd)?;
    flushes(&guest, &vbd)?;
    discards(ctx, &guest, &vbd)?;
    write_zeroes(ctx, &guest)?;
    guest.detach("xvda", "")?.ok()?;

    // With the default, a request carries 32 pages; so many more requests, each still larger than a direct one.
    guest.sh(&format!(
        "rmmod {0} && modprobe {0}",
        ctx.driver.block_module()
    ))?;
    guest.attach(&Disk::file("a.img", "xvda"))?;
    await_disk(&guest, "xvda")?;
    let vbd = Vbd::of(ctx.host, &guest, "xvda")?;
    let before = vbd.counted()?;
    guest.sh("dd if=/dev/xvda of=/dev/null bs=1M count=4 iflag=direct")?;
    let counted = vbd.counted()?.since(&before);
    ensure!(
        counted.reads == 32 && counted.sectors_read == 4 * 2048,
        "4 MiB should be 32 requests of 256 sectors: {counted:?}"
    );
    guest.shutdown()
}

/// 1 MiB is one request; only indirect segments can describe that much.
fn large_requests(ctx: &Ctx<'_>, guest: &Domain, vbd: &Vbd) -> Result<()> {
    let before = vbd.counted()?;
    guest.sh("dd if=/dev/urandom of=/tmp/1M bs=1M count=1 2>/dev/null && dd if=/tmp/1M of=/dev/xvda bs=1M oflag=direct")?;
    let counted = vbd.counted()?.since(&before);
    ensure!(
        counted.writes == 1 && counted.sectors_written == 2048 && 2048 > DIRECT_SECTORS,
        "a write of 1 MiB arrived as {counted:?}"
    );
    let before = vbd.counted()?;
    guest.sh("dd if=/dev/xvda of=/tmp/back bs=1M count=1 iflag=direct && cmp /tmp/1M /tmp/back")?;
    let counted = vbd.counted()?.since(&before);
    ensure!(
        counted.reads == 1 && counted.sectors_read == 2048,
        "a read of 1 MiB arrived as {counted:?}"
    );
    let found = ctx.host.dom0().sh("head -c 1M /disks/a.img | sha256sum")?;
    let wrote = guest.sh("sha256sum < /tmp/1M")?;
    ensure!(found == wrote, "1 MiB was written wrongly");
    if ctx.driver == Driver::Rust {
        ensure!(
            own_counter(guest, "xvda", "indirect")? >= 2,
            "our driver counts no indirect request"
        );
    }
    Ok(())
}

fn flushes(guest: &Domain, vbd: &Vbd) -> Result<()> {
    ensure!(vbd.back("feature-flush-cache")? == "1");
    ensure!(guest.sh("cat /sys/block/xvda/queue/write_cache")? == "write back");
    let before = vbd.counted()?;
    guest.sh("dd if=/tmp/1M of=/dev/xvda bs=4k count=1 conv=fsync && sync /dev/xvda")?;
    let counted = vbd.counted()?.since(&before);
    ensure!(
        counted.flushes >= 1,
        "fsync reached the back end as {counted:?}"
    );
    Ok(())
}

fn discards(ctx: &Ctx<'_>, guest: &Domain, vbd: &Vbd) -> Result<()> {
    let used = || -> Result<u32> {
        Ok(ctx
            .host
            .dom0()
            .sh("du -k /disks/a.img | cut -f1")?
            .parse()?)
    };
    guest
        .sh("for i in $(seq 8); do dd if=/tmp/1M of=/dev/xvda bs=1M seek=$i oflag=direct; done")?;
    let (full, before) = (used()?, vbd.counted()?);
    ensure!(
        full >= 8 << 10,
        "8 MiB were written, the file has {full} KiB"
    );
    guest.sh("blkdiscard -o 2M -l 6M /dev/xvda")?;
    let (left, counted) = (used()?, vbd.counted()?.since(&before));
    ensure!(
        counted.discards >= 1,
        "discarding reached the back end as {counted:?}"
    );
    ensure!(
        full - left == 6 << 10,
        "6 MiB were discarded, the file went from {full} to {left} KiB"
    );
    // The neighbours are still there.
    guest.sh(
        "for i in 1 8; do dd if=/dev/xvda bs=1M skip=$i count=1 iflag=direct 2>/dev/null | cmp - /tmp/1M || exit 1; done",
    )?;
    Ok(())
}

fn write_zeroes(ctx: &mut Ctx<'_>, guest: &Domain) -> Result<()> {
    guest
        .sh("for i in 20 21 22; do dd if=/tmp/1M of=/dev/xvda bs=1M seek=$i oflag=direct; done")?;
    // From the middle of a block of the loop device's file to the middle of another one.
    guest.sh("/sbin/blkdiscard -z -o $((20*1048576+512)) -l $((2*1048576)) /dev/xvda")?;
    let script =
        "h() { dd if=$1 bs=512 skip=$((20*2048)) count=$((3*2048)) 2>/dev/null | sha256sum; }; h";
    let found = ctx.host.dom0().sh(&format!("{script} /disks/a.img"))?;
    let expected = guest.sh(
        "(dd if=/tmp/1M bs=512 count=1; dd if=/dev/zero bs=1M count=2; \
         dd if=/tmp/1M bs=512 skip=1) 2>/dev/null | sha256sum",
    )?;
    ensure!(
        found == expected,
        "zeroes were written to other places than those asked for"
    );
    if ctx.driver == Driver::Rust {
        let count = own_counter(guest, "xvda", "write_zeroes")?;
        ensure!(count > 0, "our driver was not asked to write zeroes");
        ctx.note(format!("2 MiB of zeroes were {count} requests"));
    }
    Ok(())
}

/// Most grants the back end may keep for a queue in this scenario. Its own default is 1056.
const BOUND: u32 = 100;

fn persistent_grants(ctx: &mut Ctx<'_>) -> Result<()> {
    let dom0 = ctx.host.dom0();
    let parameter = "/sys/module/xen_blkback/parameters/max_persistent_grants";
    let usual = dom0.sh(&format!("cat {parameter}"))?;
    let guest = start(
        ctx,
        Guest::pvh("g1")
            .vcpus(2)
            .disk(Disk::file("a.img", "xvda").mib(64)),
        "",
    )?;
    let vbd = Vbd::of(ctx.host, &guest, "xvda")?;
    ensure!(vbd.back("feature-persistent")? == "1" && vbd.front("feature-persistent")? == "1");

    // The books of the ledger show that the data is right while grants come and go.
    guest.sh("agent probe ledger write /dev/xvda 2 /tmp/books")?;
    let mapped = vbd.persistent_grants()?;
    ensure!(
        !mapped.is_empty() && mapped.iter().any(|count| *count > 0),
        "the back end has no persistent grants: {mapped:?}"
    );
    dom0.sh(&format!("echo {BOUND} > {parameter}"))?;
    let bounded = guest
        .sh("agent probe ledger write /dev/xvda 2 /tmp/books; for i in 1 2 3 4; do dd if=/dev/xvda of=/dev/null bs=1M count=16 iflag=direct & done; wait; sleep 10")
        .and_then(|_| vbd.persistent_grants());
    dom0.sh(&format!("echo {usual} > {parameter}"))?;
    let bounded = bounded?;
    ensure!(
        !bounded.is_empty() && bounded.iter().all(|count| *count <= BOUND),
        "the back end keeps more than {BOUND} grants: {bounded:?}"
    );
    ctx.note(format!(
        "the back end had {mapped:?} grants mapped, with a bound of {BOUND} {bounded:?}"
    ));
    if ctx.driver == Driver::Rust {
        ensure!(own_word(&guest, "xvda", "copy_mode")? == "persistent");
        let (alive, bound) = (
            own_counter(&guest, "xvda", "persistent_grants")?,
            own_counter(&guest, "xvda", "persistent_grants_bound")?,
        );
        ensure!(
            alive <= bound,
            "our driver has {alive} persistent grants, and its bound is {bound}"
        );
        ctx.note(format!(
            "our driver has {alive} persistent grants of at most {bound}"
        ));
    }
    let books = guest.sh("agent probe ledger check /dev/xvda /tmp/books")?;
    super::loss::expect(&books, &[("lost", 0), ("torn", 0), ("unreadable", 0)])?;
    guest.shutdown()
}
