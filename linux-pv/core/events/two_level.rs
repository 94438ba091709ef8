// SPDX-License-Identifier: GPL-2.0

//! The memory of the 2-level ABI: the bits of the shared info page, and which of them belong to a
//! CPU.

use core::{
    mem::offset_of,
    ptr::addr_of,
    sync::atomic::{
        AtomicU64,
        Ordering::Relaxed, //
    },
};

use kernel::bindings as k;

use core_bindings as bindings;

use xen_abi::{
    event_channel::NR_CHANNELS_2L,
    xen::virq::TIMER, //
};

use xen_core::{
    define_per_cpu,
    per_cpu::{
        Own,
        PossibleCpu, //
    },
    shared_word::Word64,
};

use xen_event::two_level::{
    guest::{
        self,
        ScanStart, //
    },
    SharedInfoWords,
};

use crate::{
    per_vcpu,
    vcpu::Vcpu, //
};

/// Bits of a word.
const BITS: u32 = u64::BITS;

/// Words of a bitmap.
const WORDS: usize = (NR_CHANNELS_2L / BITS) as usize;

/// The bitmaps of the shared info page, which is elsewhere after a restore.
pub(crate) struct SharedInfo;

impl SharedInfo {
    /// A word of the bitmap at an offset of the page.
    #[inline]
    fn word(&self, bitmap: usize, number: u32) -> &Word64 {
        // SAFETY: The page is mapped from early at boot on. Both bitmaps have as many words, and
        // are accessed by atomic operations only.
        unsafe {
            let page = addr_of!(bindings::HYPERVISOR_shared_info).read_volatile();
            let words = page.byte_add(bitmap).cast::<Word64>();
            &*words.add(number as usize % WORDS)
        }
    }
}

impl SharedInfoWords for SharedInfo {
    type Word<'a> = &'a Word64;

    #[inline]
    fn pending(&self, number: u32) -> &Word64 {
        self.word(offset_of!(k::shared_info, evtchn_pending), number)
    }

    #[inline]
    fn mask(&self, number: u32) -> &Word64 {
        self.word(offset_of!(k::shared_info, evtchn_mask), number)
    }
}

define_per_cpu! {
    /// The ports whose events are delivered to the CPU.
    static BOUND: [AtomicU64; WORDS] = [const { AtomicU64::new(0) }; WORDS];
    static START: Own<ScanStart> = Own::new(ScanStart::new());
}

/// A CPU's word with a port, and the port's bit in it.
fn bound(port: u32, cpu: PossibleCpu) -> Option<(&'static AtomicU64, u64)> {
    let word = BOUND.of(cpu).get((port / BITS) as usize)?;
    Some((word, 1u64.wrapping_shl(port % BITS)))
}

/// Has a port's events delivered to a CPU.
pub(crate) fn bind(port: u32, cpu: PossibleCpu) {
    if let Some((word, bit)) = bound(port, cpu) {
        word.fetch_or(bit, Relaxed);
    }
}

/// Ends that.
pub(crate) fn unbind(port: u32, cpu: PossibleCpu) {
    if let Some((word, bit)) = bound(port, cpu) {
        word.fetch_and(!bit, Relaxed);
    }
}

/// Ends that for all ports.
pub(crate) fn unbind_all(cpu: PossibleCpu) {
    for word in BOUND.of(cpu) {
        word.store(0, Relaxed);
    }
}

/// Whether a port's events are delivered to a CPU.
pub(crate) fn is_bound(port: u32, cpu: PossibleCpu) -> bool {
    bound(port, cpu).is_some_and(|(word, bit)| word.load(Relaxed) & bit != 0)
}

/// Masks all ports, while none is bound: at boot, and after a restore.
pub(crate) fn mask_all() {
    for port in 0..NR_CHANNELS_2L {
        guest::mask(&SharedInfo, port);
    }
}

/// Calls `each` with the ports of this CPU that have events, its timer's first.
///
/// # Safety
///
/// Interrupts are disabled.
#[inline]
pub(crate) unsafe fn for_each_event(mut each: impl FnMut(u32)) {
    let Some(vcpu) = Vcpu::current() else {
        return;
    };
    let timer = per_vcpu::virq_port(PossibleCpu::current(), TIMER);
    if let Some(port) = timer.filter(|port| guest::is_active(&SharedInfo, *port)) {
        each(port);
    }
    let bound = BOUND.of_this_cpu();
    // SAFETY: By the requirement of this function this is the CPU's own.
    let mut start = unsafe { START.of_this_cpu().with(|start| *start) };
    let ports = start.scan(&SharedInfo, vcpu.selector(), |number| {
        bound
            .get(number as usize)
            .map_or(0, |word| word.load(Relaxed))
    });
    ports.for_each(each);
    // SAFETY: By the requirement of this function no interrupt comes between, and no other CPU
    // accesses this one's.
    unsafe { START.of_this_cpu().with(|latest| *latest = start) };
}
