// SPDX-License-Identifier: GPL-2.0

//! Interfaces and the module come and go, under traffic too, and leave nothing behind.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::{GUEST, dom0_v4, start, start_down};
use crate::context::Ctx;
use crate::guest::{Domain, Driver, Guest};
use crate::matrix::Cell;
use crate::nic::{Nic, ipv4};
use crate::scenario::Scenario;
use crate::scenarios::resources::{Resources, leave_nothing};
use crate::traffic::{self, Server, expect};

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[
    Scenario::new("netfront.hotplug_leaks_nothing_{guest}", leaks_nothing)
        .crosswise()
        .on_each(&[Cell::PVH.full(), Cell::PV]),
    Scenario::new("netfront.module_can_be_reloaded_under_traffic", reload).full(),
    Scenario::new("netfront.unload_leaves_nothing", unload)
        .crosswise()
        .full(),
];

/// What may come and go in the caches of a guest's allocators over a whole run, in KiB.
const NOISE_KIB: i64 = 2048;

fn leaks_nothing(ctx: &mut Ctx<'_>) -> Result<()> {
    let rounds = ctx.rounds(2, 100);
    let guest = start_down(
        ctx,
        Guest::new("g1", ctx.mode()).vcpus(2).nic(Nic::new()),
        "",
    )?;
    let _dom0 = Server::start(ctx.host.dom0())?;
    leave_nothing(ctx, &guest, rounds, NOISE_KIB, || attach_use_detach(&guest))?;
    guest.shutdown()
}

/// A second interface, on a bridge of its own.
fn attach_use_detach(guest: &Domain) -> Result<()> {
    guest.attach_nic(&Nic::new().bridge(1))?;
    guest.wait_for(
        "the interface",
        Duration::from_secs(20),
        "ls /sys/class/net",
        |devices| devices.lines().any(|device| device == "eth1"),
    )?;
    guest.bring_up("eth1", 1, GUEST)?;
    let to = ipv4(1, 1);
    for direction in ["", "--reverse"] {
        traffic::run(
            guest,
            &format!("tcp {to} --streams 4 --bytes 1000000 {direction}"),
        )?;
    }
    guest.detach_nic(1)?;
    guest.wait_for(
        "the interface to go",
        Duration::from_secs(20),
        "ls /sys/class/net",
        |devices| !devices.lines().any(|device| device == "eth1"),
    )?;
    Ok(())
}

/// The module goes while both ends send as much as they can, and comes back, and the connection of before goes on.
fn reload(ctx: &mut Ctx<'_>) -> Result<()> {
    let module = ctx.driver.net_module();
    let guest = start(ctx, Guest::pv("g1").vcpus(4).nic(Nic::new()), "")?;
    let _dom0 = Server::start(ctx.host.dom0())?;
    let (rounds, pause) = (ctx.rounds(3, 20), 2);
    let time = rounds * (pause + 6) * 1000;
    let streams = traffic::spawn_both_ways(&guest, &dom0_v4(), 2, time)?;
    for _ in 0..rounds {
        guest.pace().sleep(Duration::from_secs(pause.into()));
        guest.run(&format!("rmmod {module}"))?.fails()?;
        guest.unload_netfront(ctx.driver)?;
        guest.load_netfront(ctx.driver, "")?;
        guest.bring_up("eth0", 0, GUEST)?;
    }
    for stream in streams {
        let line = stream
            .result(Duration::from_millis(u64::from(time) * 2))
            .context("the connection of before did not go on")?;
        ensure!(line.get::<u64>("total")? > 1_000_000, "{line}");
        ctx.note(line.to_string());
    }
    guest.shutdown()
}

/// All grants, interrupts and pages return when the module goes, whatever was in flight.
fn unload(ctx: &mut Ctx<'_>) -> Result<()> {
    let guest = start_down(ctx, Guest::pvh("g1").vcpus(4).nic(Nic::new()), "")?;
    let _dom0 = Server::start(ctx.host.dom0())?;
    let round = |guest: &Domain| -> Result<Resources> {
        guest.load_netfront(ctx.driver, "")?;
        guest.bring_up("eth0", 0, GUEST)?;
        let flood = traffic::spawn(
            guest,
            &format!(
                "udp {} --reverse --streams 4 --size 1400 --time 3000",
                dom0_v4()
            ),
        )?;
        guest.pace().sleep(Duration::from_secs(1));
        guest.unload_netfront(ctx.driver)?;
        // It would wait for the end of what can no longer come.
        drop(flood);
        Resources::of(ctx.host, guest)
    };
    guest.unload_netfront(ctx.driver)?;
    round(&guest)?;
    let before = round(&guest)?;
    for _ in 0..ctx.rounds(2, 20) {
        let after = round(&guest)?;
        after.leaks_nothing_since(&before, NOISE_KIB)?;
        ensure!(
            after.interrupts == 0,
            "{} interrupts without a driver",
            after.interrupts
        );
        if ctx.driver == Driver::Rust {
            let alive: i64 = after.owned.iter().map(|(_, count)| count).sum();
            ensure!(alive == 0, "our modules still own {:?}", after.owned);
        }
    }
    // It is as good as new, once the last flood is over: its sender in dom0 does not know that the receiver is gone.
    std::thread::sleep(Duration::from_secs(3));
    guest.load_netfront(ctx.driver, "")?;
    guest.bring_up("eth0", 0, GUEST)?;
    let line = traffic::run(&guest, &format!("ping {} --sizes 0,1472,65507", dom0_v4()))?;
    expect(&line, &[("answered", 3)])?;
    guest.shutdown()
}
