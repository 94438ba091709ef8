// SPDX-License-Identifier: GPL-2.0

//! Few grants left: what is optional is done without, and what cannot be made says what is short.

use anyhow::{Context, Result, ensure};

use super::{GUEST, dom0_v4, start};
use crate::context::Ctx;
use crate::error::skip;
use crate::guest::{Driver, Guest};
use crate::nic::Nic;
use crate::scenario::Scenario;
use crate::traffic::{Server, both_ways};
use crate::vif::Vif;

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[
    Scenario::new("netfront.few_grants_make_fewer_queues", fewer_queues),
    Scenario::new("netfront.no_grants_do_not_pin_the_module", not_pinned),
];

/// A queue takes two pages for its rings and 512 references; a page of the grant table has 512. So there are enough for three
/// queues, and for one interface of one. (With one page Linux 7.3 does not boot: its grant table has no room for a free list.)
const FRAMES: [u32; 2] = [4, 2];

/// The rest of what such a guest's log has to say.
const RAISE: &str = "max_grant_frames";

fn guest(frames: u32) -> Guest {
    let limit = format!("max_grant_frames = {frames}");
    Guest::pv("g1").vcpus(4).nic(Nic::new()).line(&limit)
}

/// The interface has as many queues as there are grants for, and carries data.
fn fewer_queues(ctx: &mut Ctx<'_>) -> Result<()> {
    let guest = start(ctx, guest(FRAMES[0]), "")?;
    let _dom0 = Server::start(ctx.host.dom0())?;
    let vif = Vif::of(ctx.host, &guest, 0);
    let queues = vif.queues()?;
    ensure!(
        (1..4).contains(&queues),
        "there are {queues} queues, not fewer than four"
    );
    both_ways(&guest, &dom0_v4(), 2, 500)?;
    if ctx.driver == Driver::C {
        return guest.shutdown();
    }
    let said = guest.sh("dmesg | grep -i grant")?;
    ensure!(
        said.contains(RAISE),
        "the log does not say what to raise: {said}"
    );
    // Another number of them, more than there are grants for.
    guest.sh("ethtool -L eth0 combined 1")?;
    guest.await_carrier("eth0")?;
    guest.sh("ethtool -L eth0 combined 4")?;
    guest.await_carrier("eth0")?;
    both_ways(&guest, &dom0_v4(), 2, 500).context("after ethtool -L")?;
    // What was given back can be had again.
    guest.unload_netfront(ctx.driver)?;
    guest.load_netfront(ctx.driver, "")?;
    guest.bring_up("eth0", 0, GUEST)?;
    ensure!(vif.queues()? == queues, "there are not {queues} queues");
    ctx.note(format!("{queues} queues of 4 with {} pages", FRAMES[0]));
    guest.shutdown()
}

/// There is no second interface. The log says why, and it does not keep the module loaded.
fn not_pinned(ctx: &mut Ctx<'_>) -> Result<()> {
    if ctx.driver == Driver::C {
        return skip("the C driver keeps a device that it cannot use, and so its module");
    }
    let module = ctx.driver.net_module();
    let guest = ctx.host.create(guest(FRAMES[1]).nic(Nic::new()))?;
    guest.sh(&format!("modprobe {module}"))?;
    guest.wait_for(
        "the failure",
        std::time::Duration::from_secs(20),
        "dmesg | grep -c 'vif vif-1: ' || true",
        |count| count != "0",
    )?;
    let said = guest.sh("dmesg | grep 'vif-1'")?;
    ensure!(
        said.contains(RAISE),
        "the log does not say what to raise: {said}"
    );
    guest.sh("test -e /sys/class/net/eth0 && ! test -e /sys/class/net/eth1")?;
    guest.detach_nic(0)?;
    guest.wait_for(
        "the module to be unused",
        std::time::Duration::from_secs(30),
        &format!("rmmod {module} && echo gone || true"),
        |text| text == "gone",
    )?;
    guest.shutdown()
}
