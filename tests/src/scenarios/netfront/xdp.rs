// SPDX-License-Identifier: GPL-2.0

//! Programs that decide about a frame before the kernel has made anything of it (XDP). They are in `tests/bpf`.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::{GUEST, dom0_v4, start};
use crate::context::Ctx;
use crate::error::Skip;
use crate::guest::{Domain, Guest};
use crate::matrix::Cell;
use crate::nic::{Nic, ipv4};
use crate::remote::Place;
use crate::scenario::Scenario;
use crate::traffic::{self, Server, expect};

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[
    Scenario::new("netfront.xdp_verdicts_{guest}", verdicts)
        .crosswise()
        .on_each(&[Cell::PV, Cell::PVH.full()]),
    Scenario::new("netfront.xdp_comes_and_goes_under_traffic", under_traffic)
        .crosswise()
        .full(),
];

/// Datagrams to decide about.
const COUNT: u64 = 20;

/// Attaches a program in the driver, not in the generic code above it, in the place of the one before; none detaches.
fn attach(guest: &Domain, program: Option<&str>) -> Result<()> {
    let what = match program {
        Some(name) => format!("object /lib/bpf/xdp.o program {name}"),
        None => "off".into(),
    };
    guest
        .sh(&format!("ip -force link set dev eth0 xdpdrv {what}"))
        .with_context(|| format!("XDP cannot be switched: {what}"))?;
    let shown = guest.sh("ip -o link show dev eth0")?;
    ensure!(
        shown.contains("prog/xdp") == program.is_some() && !shown.contains("xdpgeneric"),
        "after \"{what}\" ip shows {shown}"
    );
    Ok(())
}

/// Frames that a program can see: in one piece, with a checksum that the other side does not have to complete.
fn plain_frames(ctx: &Ctx<'_>, guest: &Domain) -> Result<()> {
    let vifs = ctx.host.dom0().sh(&format!(
        "cd /sys/class/net && for v in vif{}.*; do ethtool -K $v tx off sg off tso off gso off gro off; done",
        guest.domid()
    ));
    vifs.map(drop)
}

fn verdicts(ctx: &mut Ctx<'_>) -> Result<()> {
    let guest = Guest::new("g1", ctx.mode()).vcpus(2);
    let guest = guest.nic(Nic::new()).nic(Nic::new().bridge(1));
    let guest = start(ctx, guest, "")?;
    guest.bring_up("eth1", 1, GUEST)?;
    plain_frames(ctx, &guest)?;
    let dom0 = ctx.host.dom0();
    let _server = Server::start(dom0)?;
    let out = guest.sh("cat /sys/class/net/eth1/ifindex")?;
    let port = 20_000 + out.parse::<u16>()?;
    let send = |count: u64, size: u32| {
        let guest = ipv4(0, GUEST);
        let args = format!("reflect {guest} --count {count} --size {size} --from-port {port}");
        traffic::run(dom0, &args)
    };
    let reflect = |size| send(COUNT, size);
    // The kernel limits how many refusals it sends a second.
    let refused = || expect(&send(3, 1000)?, &[("refused", 3)]);

    // Nobody listens there, says the guest, unless a program prevents it.
    refused()?;
    attach(&guest, Some("pass"))?;
    refused()?;
    for direction in ["", "--reverse"] {
        let stream = format!("tcp {} --streams 2 --time 800 {direction}", dom0_v4());
        traffic::run_until(&guest, &stream, "total", 50_000)?;
    }
    attach(&guest, Some("drop"))?;
    expect(&reflect(1000)?, &[("lost", COUNT)])?;
    attach(&guest, Some("tx"))?;
    for size in [18, 1000, 1472] {
        expect(&reflect(size)?, &[("returned", COUNT)])
            .with_context(|| format!("{size} bytes to be sent back"))?;
    }
    attach(&guest, Some("onward"))?;
    redirected(dom0, || expect(&reflect(1000)?, &[("lost", COUNT)]))?;
    // Meanwhile everything else passes.
    let line = traffic::run(&guest, &format!("ping {} --sizes 0,100,1472", dom0_v4()))?;
    expect(&line, &[("answered", 3)])?;
    attach(&guest, None)?;
    refused()?;
    guest.shutdown()
}

/// Datagrams that go in at bridge 0 come out at bridge 1, whole, as their checksums tell.
fn redirected(dom0: &Place, send: impl FnOnce() -> Result<()>) -> Result<()> {
    let seen = traffic::capture(dom0, "xenbr1", COUNT, "-vv udp port 7")?;
    send()?;
    let seen = seen
        .printed()
        .context("the second interface did not send what it should")?;
    let good = seen.matches("udp sum ok").count();
    ensure!(good as u64 == COUNT, "{good} of {COUNT} are whole: {seen}");
    Ok(())
}

fn under_traffic(ctx: &mut Ctx<'_>) -> Result<()> {
    let guest = start(ctx, Guest::pvh("g1").vcpus(4).nic(Nic::new()), "")?;
    plain_frames(ctx, &guest)?;
    let switched = switch_under_traffic(ctx, &guest);
    if switched.is_err() && guest.sh("dmesg")?.contains(TOO_MANY_RESPONSES) {
        guest.destroy()?;
        let why = "the kernel's netback has answered more requests than there were: with XDP it counts no slot for the head \
                   room's extra (docs/design/net.md), and the interface was disabled, as it has to be";
        return Err(Skip(why.into()).into());
    }
    switched?;
    guest.shutdown()
}

/// What the module says of a backend that has answered what nobody asked.
const TOO_MANY_RESPONSES: &str = "illegal number of responses";

fn switch_under_traffic(ctx: &mut Ctx<'_>, guest: &Domain) -> Result<()> {
    let _server = Server::start(ctx.host.dom0())?;
    let rounds = ctx.rounds(5, 50);
    let time = rounds * 2500;
    let streams = traffic::spawn_both_ways(guest, &dom0_v4(), 4, time)?;
    for _ in 0..rounds {
        for program in [Some("pass"), Some("drop"), None] {
            attach(guest, program)?;
            guest.pace().sleep(Duration::from_millis(500));
        }
    }
    for stream in streams {
        let line = stream.result(Duration::from_millis(u64::from(time) * 3))?;
        ensure!(line.get::<u64>("total")? > 100_000, "{line}");
        ctx.note(line.to_string());
    }
    Ok(())
}
