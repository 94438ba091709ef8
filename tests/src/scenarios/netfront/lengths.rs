// SPDX-License-Identifier: GPL-2.0

//! Frames of every length and of every number of fragments.

use anyhow::{Context, Result, ensure};

use super::forms::set_mtu;
use super::{dom0_v4, start};
use crate::context::Ctx;
use crate::guest::{Domain, Driver, Guest};
use crate::matrix::Cell;
use crate::nic::{Nic, ipv6};
use crate::remote::Place;
use crate::scenario::Scenario;
use crate::traffic::{self, Server, expect};
use crate::vif::{Vif, own_counter};

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[
    Scenario::new("netfront.frames_of_every_fragment_count_{guest}", fragments)
        .crosswise()
        .on_each(&[Cell::PVH, Cell::PV])
        .full(),
    Scenario::new("netfront.pings_of_every_length_{guest}", pings)
        .crosswise()
        .on_each(&[Cell::PV, Cell::PVH])
        .full(),
    Scenario::new("netfront.raw_frames_of_every_length", raw_frames)
        .crosswise()
        .full(),
];

/// The most pieces of a datagram that the load generator makes; TCP goes on to the most there are.
const PIECES: u32 = 16;

/// A frame is its headers, in memory of their own, and pieces, each in a page of its own: one slot of the ring for
/// each. The back end's ring tells that it really was.
fn fragments(ctx: &mut Ctx<'_>) -> Result<()> {
    // One queue, so that there is one ring to look at.
    let guest = start(
        ctx,
        Guest::new("g1", ctx.mode()).nic(Nic::new().queues(1)),
        "",
    )?;
    let dom0 = ctx.host.dom0();
    let (_here, _there) = (Server::start(dom0)?, Server::start(&guest)?);
    // Room for all pieces in one frame, and no other sender.
    set_mtu(ctx, &guest, 65517)?;
    guest.sh("ip -6 addr flush dev eth0; echo 1 > /proc/sys/net/ipv6/conf/eth0/disable_ipv6")?;
    let vif = Vif::of(ctx.host, &guest, 0);
    let count = ctx.rounds(8, 100);
    for pieces in 1..=PIECES {
        let before = vif.positions(0)?;
        let line = fragments_to(&guest, &dom0_v4(), pieces, count)?;
        let slots = vif.positions(0)?.sent.wrapping_sub(before.sent);
        // Some frames of the connection that announces and reports come on top, of one or two slots each.
        let frames = pieces + 1;
        ensure!(
            slots >= frames * count && slots < frames * count + 40,
            "{count} frames of {frames} slots took {slots} slots: {line}"
        );
        // The other way round, the back end decides how a frame is put into pages.
        fragments_to(dom0, &guest_v4(), pieces, count)?;
    }
    if ctx.driver == Driver::Rust {
        let slots = own_counter(&guest, 0, "tx_slots")?;
        ensure!(slots > 0, "our driver has counted no slots");
    }
    // With segmentation left to the other side the kernel fills frames up to its limit, 17 pieces.
    let before = vif.positions(0)?;
    let line = traffic::run(
        &guest,
        &format!(
            "tcp {} --pages --time {}",
            dom0_v4(),
            ctx.rounds(1000, 10_000)
        ),
    )?;
    let slots = vif.positions(0)?.sent.wrapping_sub(before.sent);
    ctx.note(format!(
        "{} bytes of TCP in {slots} slots",
        line.get::<u64>("total")?
    ));
    // Without gathering, what is in pieces has to be put together first.
    guest.sh("ethtool -K eth0 sg off")?;
    fragments_to(&guest, &dom0_v4(), PIECES, 1)?;
    traffic::run(&guest, &format!("tcp {} --pages --time 500", dom0_v4()))?;
    guest.shutdown()
}

fn guest_v4() -> String {
    crate::nic::ipv4(0, super::GUEST)
}

fn fragments_to(place: &Place, to: &str, pieces: u32, count: u32) -> Result<traffic::Line> {
    let case = || format!("{pieces} pieces from {}", place.name());
    let line = traffic::run(
        place,
        &format!("fragments {to} --from {pieces} --upto {pieces} --count {count} --largest 65400"),
    )
    .with_context(case)?;
    expect(
        &line,
        &[
            ("sent", count.into()),
            ("lost", 0),
            ("repeated", 0),
            ("corrupt", 0),
        ],
    )
    .with_context(case)?;
    Ok(line)
}

/// Lengths around the ends of pages, of frames and of their fragments; all of them with `--full`.
fn sample() -> String {
    let mut sizes: Vec<u32> = vec![0, 1, 2, 17, 18, 46, 56, 100];
    for middle in [
        1472,
        2 * 1480 - 8,
        3 * 1480 - 8,
        4096 - 28,
        4096,
        8192,
        16384,
        32768,
    ] {
        sizes.extend(middle - 2..=middle + 2);
    }
    sizes.extend(65_500..=65_507);
    let words: Vec<_> = sizes.iter().map(u32::to_string).collect();
    words.join(",")
}

fn pings(ctx: &mut Ctx<'_>) -> Result<()> {
    let guest = start(
        ctx,
        Guest::new("g1", ctx.mode()).vcpus(2).nic(Nic::new()),
        "",
    )?;
    for mtu in [1500, 9000, 65517] {
        set_mtu(ctx, &guest, mtu)?;
        for to in [dom0_v4(), ipv6(0, 1)] {
            // Every length once: with the usual MTU the long ones come in 45 fragments, with the largest in one piece.
            let lengths = if ctx.full && mtu != 9000 && !to.contains(':') {
                "--all 65507".to_owned()
            } else {
                format!("--sizes {}", sample())
            };
            ask(&guest, ctx, &format!("ping {to} {lengths}")).or_else(|error| {
                let (inside, outside) = (drops(&guest)?, drops(ctx.host.dom0())?);
                Err(error.context(format!(
                    "with an MTU of {mtu}; dropped in the guest: {inside}; in dom0: {outside}"
                )))
            })?;
        }
    }
    guest.shutdown()
}

/// Where packets were lost: what interfaces and the Internet's protocols count of that.
fn drops(place: &Place) -> Result<String> {
    let text = place.sh(
        "cd /sys/class/net; for f in */statistics/*_dropped */statistics/*_errors; do \
           n=$(cat $f); [ $n = 0 ] || echo ${f%%/*} ${f##*/} $n; done; \
         awk '/^(Ip|Icmp):/ { if ($1 != last) { split($0, name); last = $1; next } \
              for (i = 2; i <= NF; i++) if (name[i] ~ /Discards|Fails|Timeout|Errors|NoRoutes/ && $i > 0) \
                print $1 name[i], $i }' /proc/net/snmp; \
         awk '{ n += strtonum(\"0x\" $2) } END { if (n) print \"backlog\", n }' /proc/net/softnet_stat; \
         tc -s qdisc 2>/dev/null | grep -B1 'dropped [1-9]' || true",
    )?;
    Ok(text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Runs for up to an hour.
fn ask(guest: &Domain, ctx: &mut Ctx<'_>, args: &str) -> Result<()> {
    let line = traffic::spawn(guest, args)?.result(std::time::Duration::from_secs(3600))?;
    expect(&line, &[("lost", 0), ("corrupt", 0)])?;
    let (sent, answered): (u64, u64) = (line.get("sent")?, line.get("answered")?);
    ensure!(sent == answered && sent > 30, "{line}");
    ctx.note(format!(
        "{answered} pings: {}",
        args.split(' ').take(3).collect::<Vec<_>>().join(" ")
    ));
    Ok(())
}

/// Frames that no protocol made, as short as they can be and as long as the MTU allows.
fn raw_frames(ctx: &mut Ctx<'_>) -> Result<()> {
    let guest = start(ctx, Guest::pvh("g1").vcpus(2).nic(Nic::new()), "")?;
    let dom0 = ctx.host.dom0();
    for mtu in [1500, 9000] {
        set_mtu(ctx, &guest, mtu)?;
        for (sends, out, receives, inwards) in [
            (&*guest, "eth0", dom0, "xenbr0"),
            (dom0, "xenbr0", &*guest, "eth0"),
        ] {
            let receiver = traffic::spawn(
                receives,
                &format!("raw-receive --device {inwards} --upto {mtu}"),
            )?;
            // It says nothing until it ends; a second is plenty for opening a socket.
            dom0.pace().sleep(std::time::Duration::from_secs(1));
            let sent = traffic::run(sends, &format!("raw-send --device {out} --upto {mtu}"))?;
            let line = receiver.result(std::time::Duration::from_secs(30))?;
            expect(&line, &[("missing", 0), ("corrupt", 0)])
                .with_context(|| format!("from {}: {sent}", sends.name()))?;
        }
    }
    guest.shutdown()
}
