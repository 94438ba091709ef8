// SPDX-License-Identifier: GPL-2.0

//! Which workloads are compared.

use std::fmt;

use crate::bench::counts::Counter;
use crate::bench::device;
use crate::bench::subject::{Table, Workload};

/// What the names of the device's interrupts begin with.
pub const INTERRUPTS: &str = "vif";

/// What goes over the wire; out is from the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traffic {
    /// TCP from the guest.
    TcpOut,
    /// TCP to the guest.
    TcpIn,
    /// Small UDP datagrams from the guest.
    UdpOut,
    /// Small UDP datagrams to the guest.
    UdpIn,
    /// Requests of a byte, each sent when the last one was answered.
    Exchange,
}

/// A workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// What goes over the wire.
    pub kind: Traffic,
    /// Connections or sockets.
    pub streams: u32,
    /// Queues of the device.
    pub queues: u32,
}

/// Connections at the same time.
const STREAMS: [u32; 2] = [1, 4];

/// All cells of a number of queues, in the order they are run; the quick ones leave out some numbers of streams.
pub fn cells(queues: u32, quick: bool) -> Vec<Cell> {
    let mut cells = Vec::new();
    for kind in [
        Traffic::TcpOut,
        Traffic::TcpIn,
        Traffic::UdpOut,
        Traffic::UdpIn,
        Traffic::Exchange,
    ] {
        for streams in STREAMS {
            let wanted = match kind {
                // There is only one request at a time.
                Traffic::Exchange => streams == 1,
                _ => !quick || streams == queues,
            };
            if wanted {
                cells.push(Cell {
                    kind,
                    streams,
                    queues,
                });
            }
        }
    }
    cells
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Traffic::TcpOut => "tcp-out",
            Traffic::TcpIn => "tcp-in",
            Traffic::UdpOut => "udp-out",
            Traffic::UdpIn => "udp-in",
            Traffic::Exchange => "exchange",
        };
        write!(f, "{kind}:{}:{}", self.streams, self.queues)
    }
}

impl Workload for Cell {
    const COLUMNS: &'static [&'static str] = &["traffic", "streams", "queues"];
    const UNIT: &'static str = "packet";
    const COUNTERS: &'static [Counter] = &device::counters(INTERRUPTS);

    fn table(&self) -> Table {
        Table::throughput(
            "TCP in megabytes a second, UDP in datagrams a second (64 bytes with headers), requests and responses in pairs a second",
        )
    }

    fn columns(&self) -> Vec<String> {
        let kind = match self.kind {
            Traffic::TcpOut => "TCP out",
            Traffic::TcpIn => "TCP in",
            Traffic::UdpOut => "UDP out",
            Traffic::UdpIn => "UDP in",
            Traffic::Exchange => "request/response",
        };
        vec![
            kind.to_owned(),
            self.streams.to_string(),
            self.queues.to_string(),
        ]
    }

    fn describe(&self) -> String {
        let [kind, streams, queues] = &self.columns()[..] else {
            return self.to_string();
        };
        format!("{kind}, {streams} streams, {queues} queues")
    }

    fn shown(&self, rate: f64) -> f64 {
        match self.kind {
            Traffic::TcpOut | Traffic::TcpIn => rate / 1e6,
            _ => rate,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_combination_is_there_once() {
        let all = [cells(1, false), cells(4, false)].concat();
        let words: std::collections::BTreeSet<_> = all.iter().map(Cell::to_string).collect();
        assert_eq!((all.len(), words.len()), (18, 18));
        let quick = [cells(1, true), cells(4, true)].concat();
        assert_eq!(quick.len(), 10);
        assert!(quick.iter().all(|cell| all.contains(cell)));
    }
}
