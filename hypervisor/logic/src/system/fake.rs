//! A machine on the heap, for tests and fuzzing: memory, a clock that is set by hand, and a record of what was asked.

use super::{HostInfo, Platform, System, Upcall};
use crate::error::{Errno, Result};
use crate::mem::frames::{DomId, Record};
use crate::mem::heap::HeapMemory;
use crate::mem::walk::Paging;
use crate::mem::{FrameTable, Gfn, MachineMemory, Mfn};
use crate::pvclock::Clock;
use crate::system::domain::{Config, E820Entry};
use crate::system::vcpu::VcpuId;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::RangeInclusive;
use xen_abi::hvm::vcpu::Context;

/// The machine.
pub struct Fake {
    memory: HeapMemory,
    /// Nanoseconds of system time.
    pub time: u64,
    /// What was asked, in order.
    pub asked: Vec<Asked>,
    wall_clock: u64,
}

/// Something that was asked of the machine.
#[allow(missing_docs, reason = "named as the functions of `Platform`")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    Upcall(VcpuId, Upcall),
    Wake(VcpuId),
    Stop(VcpuId),
    Timer(VcpuId, Option<u64>),
    Flush(DomId),
    Initialise(VcpuId),
    ShutDown(DomId, u8),
    Sleep(u32),
}

macro_rules! forward {
    ($($name:ident($($arg:ident: $type:ty),*) $(-> $result:ty)?;)*) => {
        $(fn $name(&self, $($arg: $type),*) $(-> $result)? {
            self.memory.$name($($arg),*)
        })*
    };
}

impl MachineMemory for Fake {
    forward! {
        read(address: u64, to: &mut [u8]);
        write(address: u64, from: &[u8]);
        clear_frame(address: u64);
        swap_u8(address: u64, value: u8) -> u8;
        load_u16(address: u64) -> u16;
        load_u32(address: u64) -> u32;
        store_u32(address: u64, value: u32);
        load_u64(address: u64) -> u64;
        store_u64(address: u64, value: u64);
        compare_exchange_u16(address: u64, old: u16, new: u16) -> core::result::Result<u16, u16>;
        compare_exchange_u32(address: u64, old: u32, new: u32) -> core::result::Result<u32, u32>;
        compare_exchange_u64(address: u64, old: u64, new: u64) -> core::result::Result<u64, u64>;
    }
}

impl Platform for Fake {
    fn now(&self) -> u64 {
        self.time
    }

    fn clock(&self, _: VcpuId) -> Clock {
        let (mul, shift) = crate::pvclock::scale(1_000_000_000);
        Clock {
            tsc: self.time,
            system_time: self.time,
            mul,
            shift,
            stable: true,
        }
    }

    fn upcall(&mut self, vcpu: VcpuId, how: Upcall) {
        self.asked.push(Asked::Upcall(vcpu, how));
    }

    fn wake(&mut self, vcpu: VcpuId) {
        self.asked.push(Asked::Wake(vcpu));
    }

    fn stop(&mut self, vcpu: VcpuId) {
        self.asked.push(Asked::Stop(vcpu));
    }

    fn set_timer(&mut self, vcpu: VcpuId, at: Option<u64>) {
        self.asked.push(Asked::Timer(vcpu, at));
    }

    fn flush(&mut self, domain: DomId) {
        self.asked.push(Asked::Flush(domain));
    }

    fn initialise(&mut self, vcpu: VcpuId, _: &Context) -> Result<()> {
        self.asked.push(Asked::Initialise(vcpu));
        Ok(())
    }

    fn shut_down(&mut self, domain: DomId, reason: u8) {
        self.asked.push(Asked::ShutDown(domain, reason));
    }

    fn wall_clock(&self) -> u64 {
        self.wall_clock
    }

    fn set_wall_clock(&mut self, nanoseconds: u64) {
        self.wall_clock = nanoseconds;
    }

    fn console_write(&mut self, _: &[u8]) {}

    fn console_read(&mut self, to: &mut [u8]) -> usize {
        to.fill(b'x');
        to.len()
    }

    fn setup_gsi(&mut self, gsi: u32, _: bool, _: bool) -> Result<()> {
        if gsi < 24 { Ok(()) } else { Err(Errno::EINVAL) }
    }

    fn enter_sleep(&mut self, state: u32, _: u16, _: u16) -> Result<()> {
        self.asked.push(Asked::Sleep(state));
        Ok(())
    }

    fn pci_device(&mut self, _: u16, _: u8, _: u8, _: bool) -> Result<()> {
        Ok(())
    }

    fn pci_window(&mut self, _: u64, _: u16, _: RangeInclusive<u8>) -> Result<()> {
        Ok(())
    }
}

/// A domain that makes hypercalls without paging of its own.
pub const UNPAGED: Paging = Paging {
    cr3: 0,
    levels: 0,
    write_protect: true,
};

/// What memory holds that nobody has cleared: whatever its last owner left there.
pub const LEFT_BEHIND: u8 = 0xa5;

/// A machine of so many frames, all free and full of [`LEFT_BEHIND`].
pub fn machine(frames: usize) -> System<Fake> {
    let mut table = FrameTable::new(vec![Record::default(); frames]);
    table.add_free(0..frames as u64);
    let platform = Fake {
        memory: HeapMemory::filled(frames, LEFT_BEHIND),
        time: 1_000_000,
        asked: Vec::new(),
        wall_clock: 1_700_000_000_000_000_000,
    };
    let host = HostInfo {
        cpus: vec![super::Cpu::default(); 2],
        memory_map: vec![E820Entry {
            address: 0,
            size: 4096 * frames as u64,
            kind: 1,
        }],
        ..HostInfo::default()
    };
    System::new(platform, table, host)
}

/// What a domain is like, unless a test wants it otherwise.
pub fn config(id: DomId) -> Config {
    Config {
        id,
        handle: [id as u8; 16],
        privileged: id == 0,
        direct_mapped: id == 0,
        vcpus: 2,
        max_pages: 256,
        max_port: if id == 0 { u32::MAX } else { 1023 },
        max_grant_frames: 4,
        max_maptrack_frames: 1,
        memory_map: vec![E820Entry {
            address: 0,
            size: 0x10_0000,
            kind: 1,
        }],
    }
}

/// Adds a domain that sees `frames` frames of its own from `gfn` on, cleared as by a builder; dom0 where the machine
/// has them.
pub fn add_domain(system: &mut System<Fake>, id: DomId, gfn: u64, frames: u64) {
    // Its memory before its tables, which would be put in between.
    let mut page = |frame| {
        let page = match id {
            0 => system.frames.alloc_at(Mfn(frame), 0),
            _ => system.frames.alloc(0, None),
        };
        page.expect("memory for its frames")
    };
    let pages: Vec<_> = (gfn..gfn + frames)
        .map(|frame| (frame, page(frame)))
        .collect();
    system
        .create_domain(config(id))
        .expect("memory for a domain");
    for (frame, page) in pages {
        system.platform.clear_frame(page.mfn().address());
        system
            .give_memory(id, Gfn(frame), page)
            .expect("memory for its tables");
    }
    for vcpu in &mut system.domain_mut(id).expect("it was made").vcpus {
        vcpu.initialised = true;
        vcpu.down = false;
    }
}
