// SPDX-License-Identifier: GPL-2.0

//! What others see on the wire, and what the guest does when others send too much.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::{GUEST, dom0_v4, start};
use crate::context::Ctx;
use crate::guest::Guest;
use crate::matrix::Cell;
use crate::nic::{Nic, ipv4, ipv6};
use crate::scenario::Scenario;
use crate::traffic::{self, Server, expect};

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[
    Scenario::new("netfront.checksums_are_right_on_the_wire", checksums).full(),
    Scenario::new("netfront.kernel_messages_leave_by_netconsole", netconsole).full(),
    Scenario::new(
        "netfront.floods_of_small_packets_do_not_stall_{guest}",
        floods,
    )
    .on_each(&[Cell::PV, Cell::PVH])
    .full(),
];

/// Frames whose checksum the stack made are right where they come out; left to the other side, they are not there
/// yet, which shows that the look is sharp enough.
fn checksums(ctx: &mut Ctx<'_>) -> Result<()> {
    let guest = start(ctx, Guest::pv("g1").vcpus(2).nic(Nic::new()), "")?;
    let dom0 = ctx.host.dom0();
    let _server = Server::start(dom0)?;
    let vif = guest.vif(0);
    let to = ipv6(0, 1);
    let own = ipv6(0, GUEST);
    for (who, device, from) in [(&*guest, "eth0", &own), (dom0, vif.as_str(), &to)] {
        for offload in ["off", "on"] {
            who.sh(&format!(
                "ethtool -K {device} tso {offload} tx {offload} sg {offload}"
            ))?;
            let seen = traffic::capture(
                dom0,
                &vif,
                60,
                &format!("-vv -s 0 'ip6 and src {from} and ip6[6] == 6'"),
            )?;
            for direction in ["", "--reverse"] {
                let args = format!("tcp {to} --bytes 3000000 {direction}");
                traffic::run(&guest, &args)?;
            }
            let text = seen.printed()?;
            let (right, wrong) = (
                text.matches("(correct)").count(),
                text.matches("(incorrect").count(),
            );
            ctx.note(format!(
                "checksums left to the other side {offload} at {device} in {}: {right} right, {wrong} not there",
                who.name()
            ));
            ensure!(
                match offload {
                    "off" => wrong == 0 && right > 50,
                    _ => wrong > 0,
                },
                "{right} checksums are right and {wrong} are not"
            );
        }
    }
    guest.shutdown()
}

/// The kernel sends messages without any of its network code, from whatever context it is in: the driver has to send
/// and to clean up by polling.
fn netconsole(ctx: &mut Ctx<'_>) -> Result<()> {
    let guest = start(ctx, Guest::pv("g1").vcpus(2).nic(Nic::new()), "")?;
    let dom0 = ctx.host.dom0();
    let _server = Server::start(dom0)?;
    let (own, to) = (ipv4(0, GUEST), dom0_v4());
    let mac = dom0.sh("cat /sys/class/net/xenbr0/address")?;
    let say = |count: u32, word: &str| {
        guest
            .sh(&format!(
                "for i in $(seq {count}); do echo \"<1>{word} $i of paravane\" > /dev/kmsg; done"
            ))
            .map(drop)
    };
    // A new console gets all messages since the boot first.
    let messages = "-A udp dst port 6666";
    let seen = traffic::capture(dom0, "xenbr0", 50, messages)?;
    guest.sh(&format!(
        "modprobe netconsole netconsole=6665@{own}/eth0,6666@{to}/{mac}"
    ))?;
    let text = seen.printed()?;
    ensure!(
        text.contains("Linux version"),
        "the messages of the boot are not there: {text}"
    );
    guest.pace().sleep(Duration::from_secs(5));
    let seen = traffic::capture(dom0, "xenbr0", 20, messages)?;
    say(20, "quiet")?;
    let text = seen.printed()?;
    let heard = (1..=20)
        .filter(|number| text.contains(&format!("quiet {number} of paravane")))
        .count();
    ensure!(heard == 20, "{heard} of 20 messages were heard: {text}");

    // The same while the queues are full both ways; no message may get stuck, nor anything else.
    let streams = traffic::spawn_both_ways(&guest, &to, 4, 6000)?;
    let seen = traffic::capture(dom0, "xenbr0", 100, messages)?;
    say(300, "busy")?;
    seen.printed()?;
    for stream in streams {
        let line = stream.result(Duration::from_secs(20))?;
        ensure!(line.get::<u64>("total")? > 100_000, "{line}");
    }
    guest.sh("rmmod netconsole")?;
    guest.shutdown()
}

/// More small packets than anybody can take, in, out, and both: commands go on running, and when it is over, nothing
/// has been lost but packets.
fn floods(ctx: &mut Ctx<'_>) -> Result<()> {
    let guest = start(
        ctx,
        Guest::new("g1", ctx.mode()).vcpus(4).nic(Nic::new()),
        "",
    )?;
    let _server = Server::start(ctx.host.dom0())?;
    let to = dom0_v4();
    let time = guest.lengthened(ctx.rounds(3000, 30_000));
    for directions in [&["--reverse"][..], &[""], &["", "--reverse"]] {
        let floods: Vec<_> = directions
            .iter()
            .map(|direction| {
                let args =
                    format!("udp {to} {direction} --streams 4 --size 18 --check all --time {time}");
                traffic::spawn(&guest, &args)
            })
            .collect::<Result<_>>()?;
        let started = Instant::now();
        let (mut slowest, mut count) = (Duration::ZERO, 0);
        while started.elapsed() < Duration::from_millis(time.into()) {
            let before = Instant::now();
            guest.sh("true")?;
            slowest = slowest.max(before.elapsed());
            count += 1;
        }
        for flood in floods {
            let line = flood.result(Duration::from_millis(u64::from(time) * 5))?;
            ensure!(
                line.get::<u64>("received")? > 1000,
                "hardly anything got through: {line}"
            );
            ctx.note(format!(
                "{directions:?}: {line}; {count} commands meanwhile, the slowest took {} ms",
                slowest.as_millis()
            ));
        }
        let line = traffic::run(&guest, &format!("ping {to} --sizes 0,56,1472,20000"))?;
        expect(&line, &[("answered", 4), ("lost", 0)])?;
        let line = traffic::run(&guest, &format!("tcp {to} --streams 4 --bytes 300000"))?;
        expect(&line, &[("total", 4 * 300_000)])?;
    }
    guest.shutdown()
}
