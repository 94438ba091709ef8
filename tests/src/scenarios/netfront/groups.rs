// SPDX-License-Identifier: GPL-2.0

//! Packets to groups: the back end passes on those that the guest has asked for.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::{GUEST, start, start_down};
use crate::context::Ctx;
use crate::error::skip;
use crate::guest::{Domain, Driver, Guest};
use crate::nic::{Nic, ipv6};
use crate::scenario::Scenario;
use crate::traffic::{self, Server, both_ways};
use crate::vif::Vif;

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] =
    &[Scenario::new("netfront.only_packets_to_wanted_groups_come", wanted).full()];

/// A group that the guest joins, and one that it does not.
const JOINED: &str = "03:00:00:00:00:01";
const OTHER: &str = "03:00:00:00:00:02";

/// Frames of each length up to this are sent.
const MAX_LENGTH: u64 = 60;

fn wanted(ctx: &mut Ctx<'_>) -> Result<()> {
    if ctx.driver == Driver::C {
        return skip("the C driver does not say which groups it wants");
    }
    // What comes from dom0 itself is not filtered, so another guest sends.
    let sender = start(ctx, Guest::pv("g1").nic(Nic::new()), "")?;
    let guest = start_down(ctx, Guest::pvh("g2").vcpus(2).nic(Nic::new()), "")?;
    guest.bring_up("eth0", 0, GUEST + 1)?;
    let vif = Vif::of(ctx.host, &guest, 0);
    let filters = |on: bool| -> Result<()> {
        let node = format!("{}/request-multicast-control", vif.front_path());
        ctx.host.dom0().wait_for(
            "the front end to say whether it wants a filter",
            Duration::from_secs(10),
            &format!("xenstore-read {node}"),
            |says| says == if on { "1" } else { "0" },
        )?;
        // The back end learns of it as we did.
        guest.pace().sleep(Duration::from_millis(500));
        Ok(())
    };
    let come = |group: &str| come(&sender, &guest, group);

    filters(true)?;
    ensure!(come(OTHER)? == 0, "packets come that nobody wants");
    guest.sh(&format!("ip maddr add {JOINED} dev eth0"))?;
    let all = MAX_LENGTH - 1;
    ensure!(come(JOINED)? == all, "packets do not come");
    ensure!(come(OTHER)? == 0, "packets come that nobody wants");
    guest.sh(&format!("ip maddr del {JOINED} dev eth0"))?;
    ensure!(
        come(JOINED)? == 0,
        "packets come that nobody wants any more"
    );

    for (on, off) in [
        (
            "ip link set eth0 allmulticast on",
            "ip link set eth0 allmulticast off",
        ),
        (
            "ip link set eth0 promisc on",
            "ip link set eth0 promisc off",
        ),
        // More groups than the back end can be told of.
        (
            "for i in $(seq 10 79); do ip maddr add 03:00:00:00:01:$i dev eth0; done",
            "for i in $(seq 10 79); do ip maddr del 03:00:00:00:01:$i dev eth0; done",
        ),
    ] {
        guest.sh(on)?;
        filters(false)?;
        settles(all, || come(OTHER)).with_context(|| format!("after: {on}"))?;
        guest.sh(off)?;
        filters(true)?;
        settles(0, || come(OTHER)).with_context(|| format!("after: {off}"))?;
    }

    // Neighbours are found by groups.
    let _serves = Server::start(&guest)?;
    guest.sh("ip -6 neigh flush dev eth0")?;
    sender.sh("ip -6 neigh flush dev eth0")?;
    both_ways(&sender, &ipv6(0, GUEST + 1), 2, 256)?;

    // The next connection asks for the groups again.
    guest.sh(&format!(
        "ip maddr add {JOINED} dev eth0 && ethtool -L eth0 combined 1"
    ))?;
    guest.await_carrier("eth0")?;
    filters(true)?;
    ensure!(come(JOINED)? == all, "packets do not come any more");
    ensure!(come(OTHER)? == 0, "packets come that nobody wants");
    sender.shutdown()?;
    guest.shutdown()
}

/// Waits until as many frames come as should. When the back end has read what it is asked for cannot be seen.
fn settles(expected: u64, come: impl Fn() -> Result<u64>) -> Result<()> {
    let mut came = 0;
    for _ in 0..MAX_TRIES {
        came = come()?;
        if came == expected {
            return Ok(());
        }
    }
    bail!("{came} frames come, not {expected}")
}

/// How often it is looked whether the back end does what it was asked for.
const MAX_TRIES: u32 = 6;

/// How many frames to a group come.
fn come(sender: &Domain, guest: &Domain, group: &str) -> Result<u64> {
    let upto = format!("--device eth0 --upto {MAX_LENGTH}");
    let receives = traffic::spawn(guest, &format!("raw-receive {upto} --patience 1000"))?;
    guest.pace().sleep(Duration::from_millis(500));
    traffic::run(sender, &format!("raw-send {upto} --to {group}"))?;
    let line = receives.result(Duration::from_secs(20))?;
    ensure!(line.get::<u64>("corrupt")? == 0, "{line}");
    Ok(line.get("received")?)
}
