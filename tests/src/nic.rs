// SPDX-License-Identifier: GPL-2.0

//! Network interfaces of guests, and the bridges in dom0 that connect them.
//!
//! Bridge number N is `xenbrN`; on it, host number H has the addresses [`ipv4`] and [`ipv6`] say. Dom0 is host 1 on
//! every bridge. Bridges are made when a guest wants one.

use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::guest::{Domain, Driver};

/// The queues that the back end offers unless a [`Nic`] says otherwise.
const QUEUES: u32 = 4;

/// The host on bridge 0 that leads outside, and the one that knows names, if QEMU's network is on that bridge.
pub const GATEWAY: u32 = 254;
/// See [`GATEWAY`].
pub const NAMES: u32 = 253;

/// A guest's network interface.
#[derive(Clone, Debug)]
pub struct Nic {
    bridge: u32,
    mac: Option<String>,
    queues: u32,
    options: Vec<String>,
}

impl Default for Nic {
    fn default() -> Self {
        Self::new()
    }
}

impl Nic {
    /// An interface on bridge 0, with an address that the toolstack makes up.
    pub fn new() -> Self {
        Self {
            bridge: 0,
            mac: None,
            queues: QUEUES,
            options: vec![],
        }
    }

    /// Sets the number of the bridge.
    #[must_use]
    pub fn bridge(mut self, number: u32) -> Self {
        self.bridge = number;
        self
    }

    /// Sets the Ethernet address.
    #[must_use]
    pub fn mac(mut self, mac: &str) -> Self {
        self.mac = Some(mac.to_owned());
        self
    }

    /// Sets how many queues the back end offers. It has one setting for all interfaces, so the last one described
    /// decides for its whole guest.
    #[must_use]
    pub fn queues(mut self, queues: u32) -> Self {
        self.queues = queues;
        self
    }

    /// Any other word of xl-network-configuration(5), such as `trusted=0`.
    #[must_use]
    pub fn option(mut self, option: &str) -> Self {
        self.options.push(option.to_owned());
        self
    }

    /// What `xl` calls a network specification; for `vif=[…]` and for `xl network-attach`.
    pub fn spec(&self) -> String {
        let mut words = vec![format!("bridge=xenbr{}", self.bridge)];
        words.extend(self.mac.iter().map(|mac| format!("mac={mac}")));
        words.extend(self.options.iter().cloned());
        words.join(",")
    }

    /// The shell command that makes the bridge and prepares the back end.
    pub fn make(&self) -> String {
        let Self { bridge, queues, .. } = self;
        let (v4, v6) = (ipv4(*bridge, 1), ipv6(*bridge, 1));
        // No spanning tree and no learning of multicast groups: frames pass from the first moment on.
        format!(
            "{{ [ -e /sys/class/net/xenbr{bridge} ] || \
             {{ ip link add xenbr{bridge} type bridge forward_delay 0 mcast_snooping 0 && \
             ip addr add {v4}/24 dev xenbr{bridge} && ip -6 addr add {v6}/64 dev xenbr{bridge} nodad && \
             ip link set xenbr{bridge} up; }}; }} && \
             modprobe xen-netback && echo {queues} > /sys/module/xen_netback/parameters/max_queues"
        )
    }
}

/// The IPv4 address of a host on a bridge.
pub fn ipv4(bridge: u32, host: u32) -> String {
    format!("10.7.{bridge}.{host}")
}

/// The IPv6 address of a host on a bridge.
pub fn ipv6(bridge: u32, host: u32) -> String {
    format!("fd07:0:0:{bridge}::{host}")
}

impl Domain {
    /// Loads a network frontend with module parameters (`max_queues=1`, for example) and waits until every interface
    /// the toolstack gave the guest is there.
    pub fn load_netfront(&self, driver: Driver, parameters: &str) -> Result<()> {
        let (module, other) = (driver.net_module(), driver.other().net_module());
        self.sh(&format!("modprobe {module} {parameters}"))
            .with_context(|| format!("{module} cannot be loaded in {}", self.name()))?;
        if self.sh("lsmod")?.lines().any(|line| {
            line.strip_prefix(other)
                .is_some_and(|rest| rest.starts_with(' '))
        }) {
            bail!(
                "{other} is loaded in {}, so nothing would be learnt about {module}",
                self.name()
            );
        }
        self.wait_for(
            "the network interfaces",
            Duration::from_secs(30),
            "echo $(ls /sys/bus/xen/devices | grep -c ^vif-) $(ls -d /sys/bus/xen/devices/vif-*/net/* 2>/dev/null | wc -l)",
            |text| text.split_once(' ').is_some_and(|(wanted, there)| wanted == there),
        )?;
        Ok(())
    }

    /// Takes a network frontend from its devices, as before an update of the module, and unloads it.
    pub fn unload_netfront(&self, driver: Driver) -> Result<()> {
        let module = driver.net_module();
        // Xenbus holds on to a module that drives a device.
        self.sh(&format!(
            "for d in /sys/bus/xen/drivers/vif/vif-*; do echo ${{d##*/}} > /sys/bus/xen/drivers/vif/unbind || exit 1; done; \
             [ -z \"$(ls -d /sys/bus/xen/devices/vif-*/net/* 2>/dev/null)\" ] && rmmod {module}"
        ))
        .with_context(|| format!("{module} cannot be unloaded in {}", self.name()))
        .map(drop)
    }

    /// Gives an interface the addresses of a host on a bridge, brings it up, and waits until the back end is there.
    pub fn bring_up(&self, device: &str, bridge: u32, host: u32) -> Result<()> {
        let (v4, v6) = (ipv4(bridge, host), ipv6(bridge, host));
        self.sh(&format!(
            "ip addr add {v4}/24 dev {device} && ip -6 addr add {v6}/64 dev {device} nodad && ip link set {device} up"
        ))?;
        self.await_carrier(device)
    }

    /// Waits until an interface that is up has its back end, and makes that tolerate spurious events.
    pub fn await_carrier(&self, device: &str) -> Result<()> {
        self.wait_for(
            "the carrier",
            Duration::from_secs(20),
            &format!("cat /sys/class/net/{device}/carrier 2>/dev/null || echo none"),
            |carrier| carrier == "1",
        )?;
        // The back end's kernel holds back events that it found nothing to do for, up to a second each, and those of a
        // processor that was busy with events for 8 ms. On an emulated processor that befalls honest guests, and then a
        // handful of packets passes a second, whatever the front end does.
        self.dom0
            .sh(&format!(
                "echo 250 > /sys/module/xen/parameters/event_loop_timeout && \
                 for d in /sys/bus/xen-backend/devices/vif-{}-*/xenbus; do echo 100 > $d/spurious_threshold || exit 1; done",
                self.domid()
            ))
            .map(drop)
    }

    /// Which module drives an interface, as sysfs tells.
    pub fn net_driver_of(&self, device: &str) -> Result<String> {
        self.sh(&format!(
            "basename $(readlink -f /sys/class/net/{device}/device/driver/module)"
        ))
    }

    /// The name of the back end's interface in dom0.
    pub fn vif(&self, number: u32) -> String {
        format!("vif{}.{number}", self.domid())
    }

    /// Attaches an interface.
    pub fn attach_nic(&self, nic: &Nic) -> Result<()> {
        let (make, spec) = (nic.make(), nic.spec());
        let spec = spec.replace(',', " ");
        let script = format!("{make} && xl network-attach {} {spec}", self.name());
        self.dom0.run_xl(&script)?.ok().map(drop)
    }

    /// Detaches the interface with this number.
    pub fn detach_nic(&self, number: u32) -> Result<()> {
        self.dom0
            .sh(&format!("xl network-detach {} {number}", self.name()))
            .map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_are_written_as_xl_wants_them() {
        let nic = Nic::new()
            .bridge(2)
            .mac("00:16:3e:00:00:07")
            .option("trusted=0")
            .queues(1);
        assert_eq!(nic.spec(), "bridge=xenbr2,mac=00:16:3e:00:00:07,trusted=0");
        assert!(nic.make().contains("ip addr add 10.7.2.1/24 dev xenbr2"));
        assert!(
            nic.make()
                .ends_with("echo 1 > /sys/module/xen_netback/parameters/max_queues")
        );
    }
}
