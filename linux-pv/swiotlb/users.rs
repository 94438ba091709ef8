// SPDX-License-Identifier: GPL-2.0

//! Who uses what: `/sys/kernel/debug/xen/swiotlb`, one line a device that has needed more than its own addresses.

use core::fmt::Write;

use kernel::debugfs;
use kernel::fmt;
use kernel::prelude::*;
use xen_core::device::Device;
use xen_dma::ledger::{Count, Ledger, Row};
use xen_dma::plan::Why;

/// How many devices have a line of their own.
const DEVICES: usize = 128;

static LEDGER: Ledger<DEVICES> = Ledger::new();

/// A device's counters. Searched by name: not for the ways that are to be fast.
#[inline]
pub(crate) fn row(device: Device<'_>) -> &'static Row {
    LEDGER.row(device.name())
}

/// The files; they go when this is dropped, which never happens.
pub(crate) struct Files {
    _users: Pin<KBox<debugfs::File<&'static Ledger<DEVICES>>>>,
    _dir: debugfs::Dir,
}

impl Files {
    pub(crate) fn new() -> Result<Self> {
        let dir = xen_core::debugfs::folder();
        let users = KBox::pin_init(
            dir.read_callback_file(c"swiotlb", Ok::<_, Error>(&LEDGER), &show),
            GFP_KERNEL,
        )?;
        Ok(Self {
            _users: users,
            _dir: dir,
        })
    }
}

/// A column: its title, and where its number comes from.
type Column = (&'static str, fn(&Row) -> i64);

/// The columns after the name.
const COLUMNS: [Column; 10] = [
    ("pool-bytes", |row| row.get(Count::PoolNow)),
    ("pool-maps", Row::pool_mappings),
    ("large-bytes", |row| row.get(Count::LargeNow)),
    ("large-maps", |row| row.get(Count::LargeMappings)),
    ("failed", |row| row.get(Count::Failed)),
    ("out-of-reach", |row| row.get(Count::Because(Why::Reach))),
    ("not-contiguous", |row| {
        row.get(Count::Because(Why::Straddles))
    }),
    ("forced", |row| row.get(Count::Because(Why::Forced))),
    ("coherent-bytes", |row| row.get(Count::CoherentNow)),
    ("exchanged-bytes", |row| row.get(Count::ExchangedNow)),
];

fn show(ledger: &&'static Ledger<DEVICES>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "device")?;
    for (name, _) in COLUMNS {
        write!(f, " {name}")?;
    }
    writeln!(f)?;
    for row in ledger.rows() {
        let name = row.name();
        let end = name
            .iter()
            .position(|byte| *byte == 0)
            .unwrap_or(name.len());
        for byte in &name[..end] {
            f.write_char(char::from(*byte))?;
        }
        line(row, f)?;
    }
    write!(f, "others")?;
    line(ledger.others(), f)
}

fn line(row: &Row, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (_, value) in COLUMNS {
        write!(f, " {}", value(row))?;
    }
    writeln!(f)
}
