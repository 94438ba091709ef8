// SPDX-License-Identifier: GPL-2.0

//! The network of a guest that was booted: an address on dom0's bridge, ping, a stream each way whose content is
//! checked, and what the two ends have agreed on.

use anyhow::{Result, ensure};

use crate::guest::{Domain, Driver};
use crate::host::Host;
use crate::nic::ipv4;
use crate::traffic::{self, Server, expect};
use crate::vif::Vif;

/// Bytes that a stream carries each way.
const BYTES: u64 = 24 << 20;

/// Lengths of pings: empty, a full frame, and the longest there is.
const PINGS: &str = "0,56,1472,65507";

/// What was seen.
pub struct NetworkReport {
    module: String,
    address: String,
    mac: String,
    back: String,
    out: f64,
    inwards: f64,
    queues: u32,
    features: Vec<String>,
}

/// Brings `eth0` up as host `number` of bridge 0 and uses it.
pub fn check(host: &Host, guest: &Domain, driver: Driver, number: u32) -> Result<NetworkReport> {
    guest.load_netfront(driver, "")?;
    let module = guest.net_driver_of("eth0")?;
    ensure!(
        module == driver.net_module(),
        "eth0 is driven by {module}, not by {}",
        driver.net_module()
    );
    guest.bring_up("eth0", 0, number)?;
    let dom0 = ipv4(0, 1);
    let pings = traffic::run(guest, &format!("ping {dom0} --sizes {PINGS}"))?;
    expect(&pings, &[("answered", 4), ("lost", 0)])?;
    let _server = Server::start(host.dom0())?;
    let mut rates = [0.0; 2];
    for (rate, direction) in rates.iter_mut().zip(["", "--reverse"]) {
        let line = traffic::run(guest, &format!("tcp {dom0} --bytes {BYTES} {direction}"))?;
        expect(&line, &[("total", BYTES)])?;
        *rate = line.get::<f64>("rate")? / 1e6;
    }
    let vif = Vif::of(host, guest, 0);
    Ok(NetworkReport {
        module,
        address: ipv4(0, number),
        mac: guest.sh("cat /sys/class/net/eth0/address")?,
        back: vif.device(),
        out: rates[0],
        inwards: rates[1],
        queues: vif.queues()?,
        features: vif.agreed()?,
    })
}

impl NetworkReport {
    /// Rates in a few words, for the step's line.
    pub fn summary(&self) -> String {
        format!("{} MiB verified each way, as {}", BYTES >> 20, self.address)
    }

    /// The lines of the report.
    pub fn describe(&self) -> Vec<String> {
        let queues = if self.queues == 1 { "queue" } else { "queues" };
        vec![
            format!(
                "eth0: {} ({}) driven by {}, {} on xenbr0 in dom0; ping with {} bytes answered",
                self.address,
                self.mac,
                self.module,
                self.back,
                PINGS.replace(',', ", ")
            ),
            format!(
                "TCP: {} MiB each way, every byte as it was sent; {:.0} MB/s out, {:.0} MB/s in",
                BYTES >> 20,
                self.out,
                self.inwards
            ),
            format!(
                "agreed: {} {queues}, {}",
                self.queues,
                self.features.join(", ")
            ),
        ]
    }
}
