// SPDX-License-Identifier: GPL-2.0

//! Saving, restoring and migrating a guest in the middle of connections: they go on, and not a byte is wrong.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::{GUEST, dom0_v4, start};
use crate::context::Ctx;
use crate::error::skip;
use crate::guest::{Domain, Guest, Mode};
use crate::matrix::Cell;
use crate::nic::{Nic, ipv4};
use crate::scenario::Scenario;
use crate::traffic::{self, Server, expect};
use crate::vif::Vif;

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[
    Scenario::new("netfront.streams_survive_save_and_restore_{guest}", |ctx| {
        survives(ctx, save_and_restore)
    })
    .crosswise()
    .on_each(&[Cell::PVH, Cell::PV])
    .full(),
    Scenario::new("netfront.streams_survive_migration_{guest}", |ctx| {
        survives(ctx, migrate)
    })
    .crosswise()
    .on_each(&[Cell::PVH, Cell::PV])
    .full(),
];

/// Xen needs shadow page tables to see what a running PV guest writes, and Debian builds it without.
fn migrate(guest: &Domain) -> Result<()> {
    guest.migrate().or_else(|error| {
        if guest.mode() == Mode::Pv && format!("{error:#}").contains("Failed to enable logdirty") {
            return skip("this Xen, built without shadow paging, cannot migrate PV guests alive");
        }
        Err(error)
    })
}

fn save_and_restore(guest: &Domain) -> Result<()> {
    guest.save("/disks/saved")?;
    guest.restore("/disks/saved")
}

fn survives(ctx: &mut Ctx<'_>, go: fn(&Domain) -> Result<()>) -> Result<()> {
    let rounds = ctx.rounds(1, 5);
    let guest = start(
        ctx,
        Guest::new("g1", ctx.mode()).vcpus(2).nic(Nic::new()),
        "",
    )?;
    let dom0 = ctx.host.dom0();
    let _server = Server::start(dom0)?;
    // The clock of the streams stands still while the guest does.
    let time = 8_000 * (rounds + 1);
    let streams = traffic::spawn_both_ways(&guest, &dom0_v4(), 2, time)?;
    let before = Vif::of(ctx.host, &guest, 0).agreed()?;
    for _ in 0..rounds {
        guest.pace().sleep(Duration::from_secs(4));
        // The bridge and its ports have to learn where the guest is now.
        let own = ipv4(0, GUEST);
        let arp = format!("'arp and src host {own} and dst host {own}'");
        let announced = traffic::capture(dom0, "xenbr0", 1, &arp)?;
        go(&guest)?;
        announced
            .printed()
            .context("the guest did not announce itself by ARP")?;
        guest.await_carrier("eth0")?;
    }
    for stream in streams {
        let line = stream
            .result(Duration::from_millis(u64::from(time) * 4))
            .context("a stream did not survive")?;
        ensure!(line.get::<u64>("total")? > 1_000_000, "{line}");
        ctx.note(line.to_string());
    }
    let after = Vif::of(ctx.host, &guest, 0).agreed()?;
    ensure!(before == after, "{before:?} became {after:?}");
    let line = traffic::run(&guest, &format!("ping {} --sizes 0,1472,65507", dom0_v4()))?;
    expect(&line, &[("answered", 3)])?;
    guest.shutdown()
}
