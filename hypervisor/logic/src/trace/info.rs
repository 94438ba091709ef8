// SPDX-License-Identifier: GPL-2.0

//! Where the rings are and what their times mean: words at a symbol of the image.

use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

use super::record::RECORD_BYTES;

/// The symbol of the [`TraceInfo`].
pub const SYMBOL: &str = "paravane_trace";

/// The first word, once the others are set; otherwise nothing is traced.
const MAGIC: u64 = u64::from_le_bytes(*b"PVNtrac1");
/// Words before the rings' addresses.
const HEADER: usize = 5;
/// Most processors whose rings are listed.
const MAX_CPUS: usize = 256;

/// What the hypervisor tells of the trace. Zero until there is one.
#[derive(Debug)]
#[repr(transparent)]
pub struct TraceInfo([AtomicU64; HEADER + MAX_CPUS]);

impl TraceInfo {
    /// There is no trace.
    pub const fn none() -> Self {
        Self([const { AtomicU64::new(0) }; HEADER + MAX_CPUS])
    }

    /// Its size in bytes.
    pub const BYTES: usize = size_of::<Self>();

    /// Tells of a trace. Rings beyond those of 256 processors are left out.
    pub fn set(&self, layout: &TraceLayout) {
        let rings = layout.rings.iter().copied().take(MAX_CPUS);
        let header = [
            layout.tsc_hz,
            layout.tsc_start,
            layout.ring_bytes,
            layout.rings.len().min(MAX_CPUS) as u64,
        ];
        let words = self.0.iter().skip(1);
        for (word, value) in words.zip(header.into_iter().chain(rings)) {
            word.store(value, Ordering::Relaxed);
        }
        if let Some(first) = self.0.first() {
            first.store(MAGIC, Ordering::Release);
        }
    }
}

/// The same, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceLayout {
    /// The rate of the time-stamp counter in Hz.
    pub tsc_hz: u64,
    /// The counter when system time was zero.
    pub tsc_start: u64,
    /// Size of each ring in bytes.
    pub ring_bytes: u64,
    /// Physical addresses of the processors' rings, by the processors' numbers.
    pub rings: Vec<u64>,
}

impl TraceLayout {
    /// Reads a copy of a [`TraceInfo`]. `None` if there is no trace.
    pub fn read(info: &[u8]) -> Option<Self> {
        let mut words = info.chunks_exact(8).map(|bytes| {
            let bytes = bytes.try_into().unwrap_or_default();
            u64::from_le_bytes(bytes)
        });
        if words.next()? != MAGIC {
            return None;
        }
        let (tsc_hz, tsc_start) = (words.next()?, words.next()?);
        let (ring_bytes, count) = (words.next()?, usize::try_from(words.next()?).ok()?);
        let rings: Vec<_> = words.take(count).collect();
        let is_sane = tsc_hz > 0
            && ring_bytes >= RECORD_BYTES as u64
            && ring_bytes.is_power_of_two()
            && rings.len() == count;
        is_sane.then_some(Self {
            tsc_hz,
            tsc_start,
            ring_bytes,
            rings,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copy(info: &TraceInfo) -> Vec<u8> {
        let words = info.0.iter().map(|word| word.load(Ordering::Relaxed));
        words.flat_map(u64::to_le_bytes).collect()
    }

    #[test]
    fn what_is_told_is_read() {
        let info = TraceInfo::none();
        assert_eq!(TraceLayout::read(&copy(&info)), None);
        let layout = TraceLayout {
            tsc_hz: 2_600_000_000,
            tsc_start: 77,
            ring_bytes: 1 << 20,
            rings: vec![0x7000_0000, 0x7010_0000, 0x7020_0000],
        };
        info.set(&layout);
        let bytes = copy(&info);
        assert_eq!(bytes.len(), TraceInfo::BYTES);
        assert_eq!(TraceLayout::read(&bytes), Some(layout));
    }

    #[test]
    fn what_is_cut_off_or_makes_no_sense_is_none() {
        let sane = TraceLayout {
            tsc_hz: 1,
            tsc_start: 0,
            ring_bytes: 64,
            rings: vec![0x1000],
        };
        let read = |layout: &TraceLayout, bytes: usize| {
            let info = TraceInfo::none();
            info.set(layout);
            TraceLayout::read(&copy(&info)[..bytes])
        };
        assert_eq!(read(&sane, 48).as_ref(), Some(&sane));
        for bytes in 0..48 {
            assert_eq!(read(&sane, bytes), None, "{bytes}");
        }
        for ring_bytes in [0, 16, 96] {
            let layout = TraceLayout {
                ring_bytes,
                ..sane.clone()
            };
            assert_eq!(read(&layout, TraceInfo::BYTES), None);
        }
    }
}
