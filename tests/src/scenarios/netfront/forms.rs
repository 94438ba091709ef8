// SPDX-License-Identifier: GPL-2.0

//! The same data in every form that a frame can have: checksums and segments made by the stack or left to the other
//! side, frames as small and as large as they can be, in pieces, tagged.

use anyhow::{Context, Result, ensure};

use super::{dom0_v4, start};
use crate::context::Ctx;
use crate::guest::{Domain, Guest};
use crate::matrix::Cell;
use crate::nic::{Nic, ipv4, ipv6};
use crate::scenario::Scenario;
use crate::traffic::{self, Server, both_ways, datagrams, expect};
use crate::vif::Vif;

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[
    Scenario::new("netfront.offloads_can_be_switched_{guest}", offloads)
        .crosswise()
        .on_each(&[Cell::PV, Cell::PVH])
        .full(),
    Scenario::new("netfront.frames_up_to_65517_bytes", mtus)
        .crosswise()
        .full(),
    Scenario::new("netfront.vlans_pass", vlans).full(),
];

/// Features as ethtool names them; what is not mentioned is on. The first two are in the default run.
const OFF: [&str; 5] = [
    "tso off",
    "tx off sg off tso off gro off rx off",
    "gro off",
    "tx off",
    "sg off",
];

fn offloads(ctx: &mut Ctx<'_>) -> Result<()> {
    let guest = start(
        ctx,
        Guest::new("g1", ctx.mode()).vcpus(2).nic(Nic::new()),
        "",
    )?;
    let _dom0 = Server::start(ctx.host.dom0())?;
    let vif = Vif::of(ctx.host, &guest, 0).device();
    let dom0 = ctx.host.dom0();
    let kib = ctx.rounds(700, 10_000);
    // The guest's own, then what its peer makes of frames for it.
    for (place, device) in [(&*guest, "eth0"), (dom0, vif.as_str())] {
        for off in &OFF[..if ctx.full { OFF.len() } else { 2 }] {
            // Not every device can switch everything (receive checksums, for one), but what counts is checked below.
            place.run(&format!("ethtool -K {device} {off}"))?;
            let shown = place.sh(&format!("ethtool -k {device}"))?;
            for (word, feature) in [
                // IPv4's cannot be switched everywhere.
                ("tx off", "tx-checksum-ipv6: off"),
                ("tso off", "tcp-segmentation-offload: off"),
                ("sg off", "scatter-gather: off"),
            ] {
                ensure!(
                    !off.contains(word) || shown.contains(feature),
                    "{word} is not heeded by {device}, which has not \"{feature}\""
                );
            }
            let case = || format!("{off} at {device} in {}", place.name());
            let (out, inwards) = both_ways(&guest, &dom0_v4(), 2, kib).with_context(case)?;
            both_ways(&guest, &ipv6(0, 1), 1, kib).with_context(case)?;
            datagrams(&guest, &dom0_v4(), 3000, 100).with_context(case)?;
            ctx.note(format!("{}: {out:.0} and {inwards:.0} MB/s", case()));
            place.sh(&format!(
                "ethtool -K {device} tx on sg on tso on gro on; ethtool -k {device} | grep -q '^tcp-segmentation-offload: on'"
            ))?;
        }
    }
    guest.shutdown()
}

/// Sets the MTU of an interface and of its back end.
pub fn set_mtu(ctx: &Ctx<'_>, guest: &Domain, mtu: u32) -> Result<()> {
    guest.sh(&format!("ip link set eth0 mtu {mtu}"))?;
    let vif = guest.vif(0);
    ctx.host
        .dom0()
        .sh(&format!(
            "ip link set {vif} mtu {mtu} && ip link set xenbr0 mtu {mtu}"
        ))
        .map(drop)
}

/// 65517 is the most that fits the protocol: 65535 less Ethernet's header with a VLAN tag.
fn mtus(ctx: &mut Ctx<'_>) -> Result<()> {
    let guest = start(ctx, Guest::pvh("g1").vcpus(2).nic(Nic::new()), "")?;
    let _dom0 = Server::start(ctx.host.dom0())?;
    let to = dom0_v4();
    for mtu in [1500, 9000, 65517, 1280, 68] {
        set_mtu(ctx, &guest, mtu).with_context(|| format!("an MTU of {mtu}"))?;
        if mtu < 1280 {
            // IPv6 ends below that, and IPv4 goes on with a few bytes a packet.
            let line = traffic::run(&guest, &format!("ping {to} --sizes 0,40,41,100"))?;
            expect(&line, &[("answered", 4)])?;
            continue;
        }
        // Segments as large as the MTU, made here and made there.
        for segments in ["on", "off"] {
            guest.sh(&format!("ethtool -K eth0 tso {segments}"))?;
            let rates = both_ways(&guest, &to, 2, ctx.rounds(1000, 20_000))?;
            ctx.note(format!(
                "MTU {mtu}, segmentation {segments}: {:.0} MB/s out, {:.0} MB/s in",
                rates.0, rates.1
            ));
        }
        for size in [mtu - 28, mtu - 29, mtu / 2, 12] {
            datagrams(&guest, &to, size, 50)?;
        }
        let longest = (mtu - 28).min(65_507);
        let line = traffic::run(
            &guest,
            &format!("ping {to} --sizes 0,{longest},{}", longest - 1),
        )?;
        expect(&line, &[("answered", 3), ("lost", 0)])?;
    }
    ensure!(
        !guest.run("ip link set eth0 mtu 65518")?.succeeded(),
        "an MTU that cannot work is taken"
    );
    guest.shutdown()
}

/// A tag makes the frame longer than the MTU says.
fn vlans(ctx: &mut Ctx<'_>) -> Result<()> {
    let guest = start(ctx, Guest::pv("g1").vcpus(2).nic(Nic::new()), "")?;
    let _dom0 = Server::start(ctx.host.dom0())?;
    let (own, theirs) = (ipv4(9, 2), ipv4(9, 1));
    for (place, device, address) in [
        (&*guest, "eth0", &own),
        (ctx.host.dom0(), "xenbr0", &theirs),
    ] {
        place.sh(&format!(
            "modprobe 8021q && ip link add link {device} name tagged type vlan id 7 && \
             ip addr add {address}/24 dev tagged && ip link set tagged up"
        ))?;
    }
    for offload in ["on", "off"] {
        guest.sh(&format!("ethtool -K eth0 tx {offload} sg {offload}"))?;
        both_ways(&guest, &theirs, 2, ctx.rounds(1000, 20_000))?;
        datagrams(&guest, &theirs, 1472, 100)?;
    }
    // They were tagged on the way, and only they.
    let seen = traffic::capture(ctx.host.dom0(), &guest.vif(0), 6, "-e 'vlan 7 and icmp'")?;
    let line = traffic::run(&guest, &format!("ping {theirs} --sizes 1472,64,0"))?;
    expect(&line, &[("answered", 3)])?;
    let seen = seen.printed()?;
    ensure!(seen.matches("vlan 7").count() == 6, "{seen}");
    guest.shutdown()
}
