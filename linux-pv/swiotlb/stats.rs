// SPDX-License-Identifier: GPL-2.0

//! `/sys/kernel/debug/xen/swiotlb`: counters of each device that has used bounce buffers or
//! coherent memory.

use core::fmt::Write;

use kernel::{
    debugfs,
    fmt,
    prelude::*, //
};

use xen_core::device::Device;

use xen_dma::{
    plan::BounceReason,
    stats::{
        DeviceRow,
        DeviceStats,
        Stat, //
    },
};

/// The number of devices with a line of their own.
const MAX_DEVICES: usize = 128;

static STATS: DeviceStats<MAX_DEVICES> = DeviceStats::new();

/// The counters of a device. A search by name, for slow paths only.
#[inline]
pub(crate) fn row(device: Device<'_>) -> &'static DeviceRow {
    STATS.row(device.name())
}

/// The file; removed when this is dropped, which never happens.
pub(crate) struct DebugFile {
    _stats: Pin<KBox<debugfs::File<&'static DeviceStats<MAX_DEVICES>>>>,
    _dir: debugfs::Dir,
}

impl DebugFile {
    pub(crate) fn new() -> Result<Self> {
        let dir = xen_core::debugfs::folder();
        let stats = KBox::pin_init(
            dir.read_callback_file(c"swiotlb", Ok::<_, Error>(&STATS), &show),
            GFP_KERNEL,
        )?;
        Ok(Self {
            _stats: stats,
            _dir: dir,
        })
    }
}

/// A column: its name, and its value in a row.
type Column = (&'static str, fn(&DeviceRow) -> i64);

/// The columns after the device's name.
const COLUMNS: [Column; 10] = [
    ("pool-bytes", |row| row.get(Stat::PoolBytes)),
    ("pool-maps", DeviceRow::pool_mappings),
    ("large-bytes", |row| row.get(Stat::LargeBytes)),
    ("large-maps", |row| row.get(Stat::LargeMappings)),
    ("failed", |row| row.get(Stat::Failed)),
    ("out-of-reach", |row| {
        row.get(Stat::Bounced(BounceReason::OutOfReach))
    }),
    ("not-contiguous", |row| {
        row.get(Stat::Bounced(BounceReason::NotContiguous))
    }),
    ("forced", |row| row.get(Stat::Bounced(BounceReason::Forced))),
    ("coherent-bytes", |row| row.get(Stat::CoherentBytes)),
    ("exchanged-bytes", |row| row.get(Stat::ExchangedBytes)),
];

fn show(stats: &&'static DeviceStats<MAX_DEVICES>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "device")?;
    for (name, _) in COLUMNS {
        write!(f, " {name}")?;
    }
    writeln!(f)?;
    for row in stats.rows() {
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
    line(stats.others(), f)
}

fn line(row: &DeviceRow, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (_, value) in COLUMNS {
        write!(f, " {}", value(row))?;
    }
    writeln!(f)
}
