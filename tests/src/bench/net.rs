// SPDX-License-Identifier: GPL-2.0

//! The network frontends, with dom0 as the other end of the wire.

mod matrix;

use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::device::{self, Device};
use super::subject::{Sample, Setup};
use crate::guest::{Domain, Driver, Mode};
use crate::host::Host;
use crate::nic::{Nic, ipv4};
use crate::traffic::{Line, Server};
use matrix::{Cell, Traffic};

/// Where the guest's initramfs has the agent, which is also the load generator.
const AGENT: &str = "/bin/agent";

/// The guest's number on the bridge.
const GUEST: u32 = 2;

/// How often each driver runs each cell unless told otherwise.
pub const ROUNDS: u32 = 10;

/// How long a cell runs each time unless told otherwise.
pub const SLICE: Duration = Duration::from_millis(500);

/// Bytes of a UDP datagram that makes a frame of 64 bytes, with 14 of Ethernet's, 20 of IP's and 8 of UDP's header.
const SMALL: u32 = 64 - 14 - 20 - 8;

/// Bytes of data that TCP puts into a full frame: what is counted for streams.
const FULL: u64 = 1448;

/// The comparison of network frontends.
#[derive(Default)]
pub struct Net {
    /// Dom0's end.
    server: Mutex<Option<Server>>,
}

impl Device for Net {
    type Cell = Cell;
    const COMMAND: &'static str = "net";
    const TITLE: &'static str = "Network benchmark";
    const BUS: &'static str = "vif";
    const NUMBER: u32 = 0;
    const INTERRUPTS: &'static str = matrix::INTERRUPTS;
    /// Long enough for TCP to open its window.
    const WARM: Duration = Duration::from_millis(150);
    const METHOD: &'static [&'static str] = &[
        "The load is our own generator, with one thread on a processor of its own for each stream; the other end runs in dom0, \
         on the bridge. Rates are taken where the data arrives, and data that arrives is thrown away without being copied. \
         A stream's queue is chosen by the kernel's hash, as it is in any machine, so four streams rarely meet four \
         different queues.",
        "UDP is sent as fast as the sender can; what is lost on the way, mostly for lack of room where it arrives, does not \
         count. Processor time is that of all the guest's processors, from /proc/stat, over the time that is measured.",
        "Dom0's kernel is told not to hold back events that it found nothing to do for, which on an emulated processor would \
         limit both drivers to a few packets a second now and then (docs/design/network-tests.md). The guest's kernel is not.",
        "Streams are counted in full frames of 1448 bytes of data, however they were cut for the ring.",
    ];

    fn module(driver: Driver) -> &'static str {
        driver.net_module()
    }

    fn cells(queues: u32, quick: bool) -> Vec<Cell> {
        matrix::cells(queues, quick)
    }

    fn back_end(&self) -> String {
        "xen-netback, bridged in dom0, where the other end of the load is".into()
    }

    fn create(&self, host: &Host, mode: Mode, queues: u32) -> Result<Domain> {
        let guest = device::guest(host, mode, queues)?.nic(Nic::new().queues(queues));
        let guest = host.create(guest)?;
        *self
            .server
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = Some(Server::start(host.dom0())?);
        Ok(guest)
    }

    fn load(&self, guest: &Domain, setup: Setup) -> Result<()> {
        let parameters = format!("max_queues={}", setup.lanes);
        guest.load_netfront(setup.driver, &parameters)?;
        guest.bring_up("eth0", 0, GUEST)?;
        let found = guest.sh("ls -d /sys/class/net/eth0/queues/tx-* | wc -l")?;
        ensure!(found == setup.lanes.to_string(), "eth0 has {found} queues");
        Ok(())
    }

    fn run(
        &self,
        guest: &Domain,
        warm: Duration,
        time: Duration,
        cells: &[Cell],
    ) -> Result<Vec<Sample<Cell>>> {
        let to = ipv4(0, 1);
        let span = format!("--warm {} --time {}", warm.as_millis(), time.as_millis());
        let script: Vec<_> = cells
            .iter()
            .map(|cell| {
                let streams = format!("--streams {}", cell.streams);
                let what = match cell.kind {
                    Traffic::TcpOut => format!("tcp {to} {streams} --check none"),
                    Traffic::TcpIn => format!("tcp {to} {streams} --check none --reverse"),
                    Traffic::UdpOut => format!("udp {to} {streams} --check none --size {SMALL}"),
                    Traffic::UdpIn => {
                        format!("udp {to} {streams} --check none --size {SMALL} --reverse")
                    }
                    Traffic::Exchange => format!("exchange {to}"),
                };
                format!("{AGENT} netload {what} {span}")
            })
            .collect();
        let limit = Duration::from_secs(30) + (warm + time) * 6 * u32::try_from(cells.len())?;
        let output = guest.run_for(limit, &script.join(" && "))?.ok()?;
        let samples: Vec<_> = cells
            .iter()
            .zip(output.stdout.lines())
            .map(|(cell, line)| sample(*cell, line))
            .collect::<Result<_>>()
            .with_context(|| format!("the load generator's results make no sense: {output}"))?;
        ensure!(
            samples.len() == cells.len(),
            "results are missing: {output}"
        );
        Ok(samples)
    }
}

fn sample(cell: Cell, line: &str) -> Result<Sample<Cell>> {
    let line: Line = line.parse()?;
    let rate: f64 = line.get("rate")?;
    ensure!(rate > 0.0, "nothing got through: {line}");
    let total = match cell.kind {
        Traffic::TcpOut | Traffic::TcpIn => line.get::<u64>("total")? / FULL,
        Traffic::UdpOut => line.get("sent")?,
        Traffic::UdpIn => line.get("received")?,
        Traffic::Exchange => line.get("total")?,
    };
    Ok(Sample {
        cell,
        rate,
        processor: Some(line.get::<f64>("cpu")? / rate),
        total,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_read_as_printed() {
        let cell = |kind| Cell {
            kind,
            streams: 1,
            queues: 1,
        };
        let tcp = "streams=1 total=1448000 rate=2000000 corrupt=none cpu=0.5000";
        let found = sample(cell(Traffic::TcpIn), tcp).unwrap();
        assert_eq!((found.total, found.processor), (1000, Some(0.25e-6)));
        let udp = "sent=900 received=600 lost=300 repeated=0 late=0 corrupt=0 rate=500 cpu=1.0";
        assert_eq!(sample(cell(Traffic::UdpOut), udp).unwrap().total, 900);
        assert_eq!(sample(cell(Traffic::UdpIn), udp).unwrap().total, 600);
        assert!(sample(cell(Traffic::TcpIn), "streams=1 total=0 rate=0 cpu=0").is_err());
    }
}
