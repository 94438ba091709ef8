// SPDX-License-Identifier: GPL-2.0

//! What is sent is what arrives.

use anyhow::{Result, ensure};

use super::{GUEST, dom0_v4, start, start_down};
use crate::context::Ctx;
use crate::guest::Guest;
use crate::matrix::Cell;
use crate::nic::{Nic, ipv4, ipv6};
use crate::scenario::Scenario;
use crate::traffic::{self, Server, both_ways, datagrams};
use crate::vif::Vif;

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[
    Scenario::new("netfront.data_{guest}_{vcpus}", data)
        .crosswise()
        .on_each(&[
            Cell::PV.vcpus(1),
            Cell::PVH.vcpus(1),
            Cell::PV.vcpus(4).core(),
            Cell::PVH.vcpus(4),
        ])
        .full(),
    Scenario::new("netfront.guests_talk_over_the_bridge", guest_to_guest).full(),
];

fn data(ctx: &mut Ctx<'_>) -> Result<()> {
    let vcpus = ctx.vcpus();
    let kib = ctx.rounds(1000, 30_000);
    let guest = start(
        ctx,
        Guest::new("g1", ctx.mode())
            .vcpus(vcpus)
            .nic(Nic::new().queues(4)),
        "",
    )?;
    let _dom0 = Server::start(ctx.host.dom0())?;
    let (v4, v6) = (dom0_v4(), ipv6(0, 1));
    let (out, inwards) = both_ways(&guest, &v4, 2 * vcpus, kib)?;
    ctx.note(format!("TCP {out:.0} MB/s out, {inwards:.0} MB/s in"));
    both_ways(&guest, &v6, 2 * vcpus, kib)?;
    for to in [&v4, &v6] {
        datagrams(&guest, to, 1400, 500)?;
    }
    // Datagrams of several packets.
    datagrams(&guest, &v4, 20_000, 50)?;
    let exchange = format!("exchange {v4} --size 300 --time 500");
    traffic::run_until(&guest, &exchange, "total", 20)?;

    // As many queues as the guest has processors, all of them in use both ways.
    let vif = Vif::of(ctx.host, &guest, 0);
    let queues = vif.queues()?;
    ensure!(
        queues == vcpus.min(4),
        "{queues} queues for {vcpus} processors"
    );
    // Connections choose queues by hash: enough of them reach every one.
    traffic::run(&guest, &format!("tcp {v4} --streams 32 --bytes 20000"))?;
    traffic::run(
        &guest,
        &format!("tcp {v4} --streams 32 --bytes 20000 --reverse"),
    )?;
    for queue in 0..queues {
        let positions = vif.positions(queue)?;
        ensure!(
            positions.sent > 0 && positions.received > 0,
            "queue {queue} is not in use: {positions:?}"
        );
    }
    guest.shutdown()
}

/// Two guests on one bridge: what one front end sends, another one receives, with all offloads that both have.
fn guest_to_guest(ctx: &mut Ctx<'_>) -> Result<()> {
    let first = start(ctx, Guest::pv("g1").vcpus(2).nic(Nic::new()), "")?;
    let second = start_down(ctx, Guest::pvh("g2").vcpus(2).nic(Nic::new()), "")?;
    second.bring_up("eth0", 0, GUEST + 1)?;
    let _serves = Server::start(&second)?;
    let (v4, v6) = (ipv4(0, GUEST + 1), ipv6(0, GUEST + 1));
    let kib = ctx.rounds(2000, 50_000);
    for to in [&v4, &v6] {
        let (out, back) = both_ways(&first, to, 4, kib)?;
        ctx.note(format!("{to}: {out:.0} MB/s there, {back:.0} MB/s back"));
        datagrams(&first, to, 1400, 300)?;
    }
    let line = traffic::run(
        &first,
        &format!("ping {v4} --sizes 0,56,1472,1473,30000,65507"),
    )?;
    traffic::expect(&line, &[("lost", 0), ("answered", 6)])?;
    first.shutdown()?;
    second.shutdown()
}
