// SPDX-License-Identifier: GPL-2.0

//! The clocks that guests read without a hypercall: a vCPU's `vcpu_time_info`, and the wall clock in the shared info
//! page. Their version is odd while the rest is being written.

use crate::event::SharedAreas;
use crate::mem::MachineMemory;
use core::mem::offset_of;
use core::sync::atomic::{Ordering::SeqCst, fence};
use xen_abi::compat::{self, Abi};
use xen_abi::vcpu::{SharedInfo, TSC_STABLE, TimeInfo};

/// How the time-stamp counter is converted to system time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// The counter as the guest sees it, at `system_time`.
    pub tsc: u64,
    /// Nanoseconds since the hypervisor's start.
    pub system_time: u64,
    /// Nanoseconds a tick, after the shift, as a fraction of 2 to the 32.
    pub mul: u32,
    /// How far ticks are shifted to the left (to the right if negative).
    pub shift: i8,
    /// The clocks of all vCPUs agree (`PVCLOCK_TSC_STABLE_BIT`).
    pub stable: bool,
}

/// Multiplier and shift for a counter of `hertz` ticks a second, such that
/// `(ticks << shift) * mul >> 32` is nanoseconds.
pub fn scale(hertz: u64) -> (u32, i8) {
    let mut hertz = hertz.max(1);
    let mut shift = 0;
    while hertz > 2_000_000_000 {
        hertz >>= 1;
        shift -= 1;
    }
    while hertz <= 1_000_000_000 {
        hertz <<= 1;
        shift += 1;
    }
    // Between half and one nanosecond a tick: the multiplier has 32 significant bits.
    let mul = (1_000_000_000u128 << 32) / u128::from(hertz);
    (mul.min(u128::from(u32::MAX)) as u32, shift)
}

impl Clock {
    /// System time at a value of the counter.
    pub fn at(&self, tsc: u64) -> u64 {
        let ticks = tsc.wrapping_sub(self.tsc);
        let shifted = if self.shift >= 0 {
            u128::from(ticks) << self.shift
        } else {
            u128::from(ticks >> -self.shift)
        };
        self.system_time
            .wrapping_add((shifted * u128::from(self.mul) >> 32) as u64)
    }

    /// System time at a value of the counter that is to come. One that has passed is now.
    pub fn deadline(&self, tsc: u64) -> u64 {
        let has_passed = (tsc.wrapping_sub(self.tsc) as i64) < 0;
        self.at(if has_passed { self.tsc } else { tsc })
    }

    /// Writes it to a `vcpu_time_info` at a machine address. There must be one writer at a time; guests may read
    /// meanwhile.
    pub fn write(&self, memory: &impl MachineMemory, address: u64) {
        let at = |offset: usize| address + offset as u64;
        let version = memory.load_u32(at(offset_of!(TimeInfo, version)));
        // The guest may have written there: after an odd version comes the next odd one.
        let odd = (version | 1).wrapping_add(u32::from(version & 1 != 0) * 2);
        memory.store_u32(at(offset_of!(TimeInfo, version)), odd);
        fence(SeqCst);
        memory.store_u64(at(offset_of!(TimeInfo, tsc_timestamp)), self.tsc);
        memory.store_u64(at(offset_of!(TimeInfo, system_time)), self.system_time);
        memory.store_u32(at(offset_of!(TimeInfo, tsc_to_system_mul)), self.mul);
        let flags = if self.stable { TSC_STABLE } else { 0 };
        let word = u32::from_le_bytes([self.shift as u8, flags, 0, 0]);
        memory.store_u32(at(offset_of!(TimeInfo, tsc_shift)), word);
        fence(SeqCst);
        memory.store_u32(at(offset_of!(TimeInfo, version)), odd.wrapping_add(1));
    }
}

/// Where a shared info page has the parts of its wall clock.
struct WallClock {
    version: usize,
    sec: usize,
    nsec: usize,
    sec_hi: usize,
}

macro_rules! wall_clock_of {
    ($page:ty) => {
        WallClock {
            version: offset_of!($page, wc_version),
            sec: offset_of!($page, wc_sec),
            nsec: offset_of!($page, wc_nsec),
            sec_hi: offset_of!($page, wc_sec_hi),
        }
    };
}

/// Writes the wall clock of a shared info page: the time at which system time was zero, in nanoseconds since 1970.
pub fn write_wall_clock(memory: &impl MachineMemory, areas: &SharedAreas, nanoseconds: u64) {
    let page = match areas.abi {
        Abi::Bits64 => wall_clock_of!(SharedInfo),
        Abi::Bits32 => wall_clock_of!(compat::vcpu::SharedInfo),
    };
    let at = |offset: usize| areas.shared_info + offset as u64;
    let version = memory.load_u32(at(page.version)) | 1;
    let seconds = nanoseconds / 1_000_000_000;
    memory.store_u32(at(page.version), version);
    fence(SeqCst);
    memory.store_u32(at(page.sec), seconds as u32);
    memory.store_u32(at(page.sec_hi), (seconds >> 32) as u32);
    memory.store_u32(at(page.nsec), (nanoseconds % 1_000_000_000) as u32);
    fence(SeqCst);
    memory.store_u32(at(page.version), version.wrapping_add(1));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mem::heap::HeapMemory;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_second_of_ticks_is_a_second(hertz in 1_000_000u64..20_000_000_000) {
            let (mul, shift) = scale(hertz);
            let clock = Clock { tsc: 5, system_time: 7, mul, shift, stable: true };
            let second = clock.at(5 + hertz) - 7;
            prop_assert!((999_999_000..=1_000_000_000).contains(&second), "{}", second);
        }

        #[test]
        fn time_never_goes_back(hertz in 1_000_000u64..20_000_000_000, a in 0u64..1 << 50, b in 0u64..1 << 40) {
            let (mul, shift) = scale(hertz);
            let clock = Clock { tsc: 0, system_time: 0, mul, shift, stable: true };
            prop_assert!(clock.at(a + b) >= clock.at(a));
        }
    }

    #[test]
    fn the_version_is_even_when_done_and_changes() {
        let memory = HeapMemory::new(1);
        let clock = Clock {
            tsc: 1,
            system_time: 2,
            mul: 3,
            shift: -4,
            stable: true,
        };
        for start in [0u32, 1, 6, u32::MAX, u32::MAX - 1] {
            memory.store_u32(64, start);
            clock.write(&memory, 64);
            let after = memory.load_u32(64);
            assert!(after % 2 == 0 && after != start, "{start} to {after}");
        }
        assert_eq!(memory.load_u64(64 + 8), 1);
        assert_eq!(memory.load_u64(64 + 16), 2);
        assert_eq!(memory.load_u64(64 + 24), 3 | 0x01fc << 32);
    }

    #[test]
    fn the_wall_clock_has_seconds_and_the_rest() {
        let memory = HeapMemory::new(1);
        let mut areas = SharedAreas::new(0, 1);
        write_wall_clock(&memory, &areas, (3u64 << 32) * 1_000_000_000 + 17);
        let read = |offset: usize| memory.load_u32(offset as u64);
        assert_eq!(read(offset_of!(SharedInfo, wc_sec)), 0);
        assert_eq!(read(offset_of!(SharedInfo, wc_sec_hi)), 3);
        assert_eq!(read(offset_of!(SharedInfo, wc_nsec)), 17);
        assert_eq!(read(offset_of!(SharedInfo, wc_version)), 2);
        // 32-bit code has it elsewhere, and the upper seconds behind all else.
        areas.abi = Abi::Bits32;
        write_wall_clock(&memory, &areas, (4u64 << 32 | 6) * 1_000_000_000 + 18);
        assert_eq!((read(2304), read(2308), read(2312)), (2, 6, 18));
        assert_eq!(read(2340), 4);
        assert_eq!(read(offset_of!(SharedInfo, wc_sec_hi)), 3, "the other one");
    }
}
