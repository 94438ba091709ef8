// SPDX-License-Identifier: GPL-2.0

//! Spreading received packets over queues as the user says, by the control ring.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::{dom0_v4, start};
use crate::context::Ctx;
use crate::error::skip;
use crate::guest::{Domain, Driver, Guest};
use crate::nic::Nic;
use crate::scenario::Scenario;
use crate::traffic::{Server, both_ways, spawn_both_ways};
use crate::vif::Vif;

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[
    Scenario::new(
        "netfront.packets_go_to_the_queues_that_ethtool_names",
        named_queues,
    )
    .full(),
    Scenario::new(
        "netfront.queues_change_their_number_under_traffic",
        number_of_queues,
    )
    .full(),
];

fn named_queues(ctx: &mut Ctx<'_>) -> Result<()> {
    if ctx.driver == Driver::C {
        return skip("the C driver does not use the control ring");
    }
    let guest = start(ctx, Guest::pv("g1").vcpus(4).nic(Nic::new()), "")?;
    let _dom0 = Server::start(ctx.host.dom0())?;
    ensure!(
        guest.sh("ethtool -l eth0")?.matches("Combined:\t4").count() == 2,
        "ethtool -l does not show four queues"
    );
    // The stock kernel's back end offers to be told.
    guest.sh("ethtool -x eth0 | grep -q 'with 4 RX ring'")?;

    let only = |queues: &str, expected: [bool; 4]| -> Result<()> {
        guest.sh(&format!("ethtool -X eth0 weight {queues}"))?;
        let before = received(&guest)?;
        both_ways(&guest, &dom0_v4(), 16, 256)?;
        let after = received(&guest)?;
        for (queue, wanted) in expected.into_iter().enumerate() {
            let packets = after[queue] - before[queue];
            // Without a flow's hash, as ARP has none, a packet goes where the back end likes.
            ensure!(
                if wanted { packets > 20 } else { packets < 20 },
                "queue {queue} got {packets} packets with the weights {queues}"
            );
        }
        Ok(())
    };
    only("0 0 1 1", [false, false, true, true])?;
    only("1 0 0 0", [true, false, false, false])?;
    only("1 1 1 1", [true; 4])?;
    let key = "01:".repeat(39) + "01";
    guest.sh(&format!(
        "ethtool -X eth0 hkey {key} && ethtool -x eth0 | grep -q {key}"
    ))?;
    both_ways(&guest, &dom0_v4(), 16, 128)?;
    guest.shutdown()
}

/// The connection is made anew with as many queues as the user says; what is lost meanwhile is sent again.
fn number_of_queues(ctx: &mut Ctx<'_>) -> Result<()> {
    if ctx.driver == Driver::C {
        return skip("the C driver cannot change the number of queues");
    }
    let guest = start(ctx, Guest::pv("g1").vcpus(4).nic(Nic::new()), "")?;
    let _dom0 = Server::start(ctx.host.dom0())?;
    let vif = Vif::of(ctx.host, &guest, 0);
    let time = 20_000;
    let streams = spawn_both_ways(&guest, &dom0_v4(), 2, time)?;
    for queues in [2, 1, 4, 3] {
        guest.sh(&format!("ethtool -L eth0 combined {queues}"))?;
        guest.wait_for(
            "the new number of queues",
            Duration::from_secs(10),
            "ethtool -l eth0 | tail -n 1",
            |current| current == format!("Combined:\t{queues}"),
        )?;
        guest.await_carrier("eth0")?;
        let agreed = vif.queues()?;
        ensure!(agreed == queues, "{agreed} queues, not {queues}");
    }
    guest.sh("! ethtool -L eth0 combined 5 2>/dev/null")?;
    guest.sh("! ethtool -L eth0 combined 0 2>/dev/null")?;
    for stream in streams {
        let line = stream.result(Duration::from_millis(u64::from(time) * 3))?;
        ensure!(line.get::<u64>("total")? > 1_000_000, "{line}");
    }
    both_ways(&guest, &dom0_v4(), 8, 256)?;
    guest.shutdown()
}

/// Packets that each queue has received.
fn received(guest: &Domain) -> Result<[u64; 4]> {
    let text = guest.sh("ethtool -S eth0 | sed -n 's/.*queue_[0-9]*_rx_packets: //p'")?;
    let counts: Vec<u64> = text.lines().map(str::parse).collect::<Result<_, _>>()?;
    counts
        .try_into()
        .ok()
        .with_context(|| format!("there are not four queues in {text}"))
}
