// SPDX-License-Identifier: GPL-2.0

//! The network front end under a real back end: the stock kernel's `xen-netback`, bridged in dom0.
//!
//! What each file shows:
//!
//! - [`data`]: TCP, UDP and IPv6 both ways, by all queues, with every byte checked;
//! - [`forms`]: offloads on and off, MTUs, VLANs: every form in which a frame can pass;
//! - [`lengths`]: every length and every number of fragments;
//! - [`grants`]: few grants, and none at all;
//! - [`groups`]: packets to groups that the guest has not joined do not come;
//! - [`hotplug`]: attaching and detaching without leaks, unloading and reloading the module, under traffic too;
//! - [`migration`]: saving, restoring and migrating in the middle of connections;
//! - [`spread`]: which queue received packets go to, and how many queues there are;
//! - [`xdp`]: programs that decide about frames, attached and detached under traffic;
//! - [`kernels_own`]: the tests of network devices from the source of the kernel;
//! - [`watched`]: checksums on the wire, messages by netconsole, floods.
//!
//! [`crate::traffic`] and [`crate::vif`] are the instruments: traffic whose content is checked, and what the back end
//! and the xenstore say about an interface. The driver under test is [`crate::Driver::Rust`] unless `--driver c` asks
//! for the kernel's own, which is how the scenarios themselves are tested.

mod data;
mod forms;
mod grants;
mod groups;
mod hotplug;
mod kernels_own;
mod lengths;
mod migration;
mod spread;
mod watched;
mod xdp;

use anyhow::{Result, ensure};

use crate::context::Ctx;
use crate::guest::{Domain, Guest};
use crate::nic::ipv4;
use crate::scenario::Scenario;

/// The scenarios of the network front end.
pub fn scenarios() -> Vec<Scenario> {
    [
        data::SCENARIOS,
        forms::SCENARIOS,
        lengths::SCENARIOS,
        xdp::SCENARIOS,
        watched::SCENARIOS,
        hotplug::SCENARIOS,
        grants::SCENARIOS,
        migration::SCENARIOS,
        spread::SCENARIOS,
        groups::SCENARIOS,
        kernels_own::SCENARIOS,
    ]
    .concat()
}

/// The guest's number on its bridge; dom0 is number 1.
const GUEST: u32 = 2;

/// Dom0's address on bridge 0.
fn dom0_v4() -> String {
    ipv4(0, 1)
}

/// Creates a guest whose interfaces the driver under test drives, and brings the first one up, on bridge 0.
fn start(ctx: &Ctx<'_>, guest: Guest, parameters: &str) -> Result<Domain> {
    let guest = start_down(ctx, guest, parameters)?;
    guest.bring_up("eth0", 0, GUEST)?;
    Ok(guest)
}

/// Creates a guest and loads the driver; its interfaces stay down.
fn start_down(ctx: &Ctx<'_>, guest: Guest, parameters: &str) -> Result<Domain> {
    let guest = ctx.host.create(guest)?;
    guest.load_netfront(ctx.driver, parameters)?;
    for device in guest.sh("ls /sys/class/net | grep ^eth || true")?.lines() {
        let module = guest.net_driver_of(device)?;
        ensure!(
            module == ctx.driver.net_module(),
            "{device} is driven by {module}"
        );
    }
    Ok(guest)
}
