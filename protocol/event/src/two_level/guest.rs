// SPDX-License-Identifier: GPL-2.0

//! The guest's half of the 2-level ABI: scanning for pending ports, masking and unmasking.

use super::{PortBit, SharedInfoWords, BITS};
use crate::Unmask;
use xen_abi::event_channel::NR_CHANNELS_2L;
use xen_shared::SharedWord;

/// Masks a port: events stay pending.
#[inline]
pub fn mask(info: &impl SharedInfoWords, port: u32) {
    if let Some(port) = PortBit::of(port) {
        info.mask(port.word).fetch_or(port.bit);
    }
}

/// Whether a port is masked.
#[inline]
pub fn is_masked(info: &impl SharedInfoWords, port: u32) -> bool {
    PortBit::of(port).is_some_and(|port| port.is_masked(info))
}

/// Sets a port pending, to be delivered when it is unmasked.
#[inline]
pub fn set_pending(info: &impl SharedInfoWords, port: u32) {
    if let Some(port) = PortBit::of(port) {
        info.pending(port.word).fetch_or(port.bit);
    }
}

/// Unmasks a port that is bound to this vCPU, for a domain whose upcalls are interrupts (HVM and
/// PVH). If an event is pending, the port is masked again and [`Unmask::Hypercall`] asks the
/// hypervisor to do both, since only it can inject an interrupt.
///
/// A port that is bound to another vCPU is always left to the hypervisor.
#[inline]
pub fn unmask_hvm(info: &impl SharedInfoWords, port: u32) -> Unmask {
    let Some(port) = PortBit::of(port) else {
        return Unmask::Done;
    };
    // First the mask, then the look: an event in between notifies by itself.
    info.mask(port.word).fetch_clear(port.bit);
    if !port.is_pending(info) {
        return Unmask::Done;
    }
    // The hypervisor notifies for a port that it has unmasked, only.
    info.mask(port.word).fetch_or(port.bit);
    Unmask::Hypercall
}

/// The same for a domain that calls its handler itself when it enables interrupts (PV): if an event
/// is pending, the port's word is selected and [`Unmask::Upcall`] asks for the upcall flag to be
/// set. `selector` is that of this vCPU.
#[inline]
pub fn unmask_pv(
    info: &impl SharedInfoWords,
    selector: &impl SharedWord<Value = u64>,
    port: u32,
) -> Unmask {
    let Some(port) = PortBit::of(port) else {
        return Unmask::Done;
    };
    info.mask(port.word).fetch_clear(port.bit);
    if port.is_pending(info) && selector.fetch_or(port.selector()) & port.selector() == 0 {
        return Unmask::Upcall;
    }
    Unmask::Done
}

/// The bits of a word that are to be delivered on this vCPU.
#[inline]
fn active(info: &impl SharedInfoWords, number: u32, bound: u64) -> u64 {
    info.pending(number).load() & bound & !info.mask(number).load()
}

/// Whether a port is pending and not masked. For ports that are looked at before all others, as a
/// kernel does with its timer's.
#[inline]
pub fn is_active(info: &impl SharedInfoWords, port: u32) -> bool {
    PortBit::of(port).is_some_and(|port| active(info, port.word, port.bit) != 0)
}

/// Where a vCPU's next scan begins: behind the port that was served last, so that a busy port does
/// not keep the others waiting. Used by that vCPU alone, with interrupts off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScanStart(u32);

impl ScanStart {
    /// At port 0.
    pub const fn new() -> Self {
        Self(0)
    }

    /// Takes the bits of a vCPU's selector and returns its ports that are to be delivered.
    ///
    /// `bound` returns, for the number of a word, the ports in it that are bound to this vCPU.
    /// [`crate::upcall::clear_pending`] is called before. The scan visits each port at most twice,
    /// whatever is written meanwhile. What it has not served when it is dropped is lost, unless the
    /// selector is set again.
    #[inline]
    pub fn scan<'a, S: SharedInfoWords, B: Fn(u32) -> u64>(
        &'a mut self,
        info: &'a S,
        selector: &impl SharedWord<Value = u64>,
        bound: B,
    ) -> Scan<'a, S, B> {
        // A full barrier: what was written before the bits is visible.
        let words = selector.swap(0);
        Scan {
            info,
            bound,
            words,
            from: self.0 / BITS,
            first: true,
            word: 0,
            bits: 0,
            start: self,
        }
    }
}

/// A scan for pending ports, see [`ScanStart::scan`].
#[must_use = "the selector's bits are taken already"]
pub struct Scan<'a, S, B> {
    info: &'a S,
    bound: B,
    /// Words to be looked at yet.
    words: u64,
    /// The lowest word to be looked at before it begins from 0 again.
    from: u32,
    /// No word was looked at yet.
    first: bool,
    /// The word that is looked at, and its ports to be served yet.
    word: u32,
    bits: u64,
    start: &'a mut ScanStart,
}

impl<S: SharedInfoWords, B: Fn(u32) -> u64> Scan<'_, S, B> {
    /// Looks at the next word. `None` if there is none.
    fn next_word(&mut self) -> Option<()> {
        let above = self.words & u64::MAX.checked_shl(self.from).unwrap_or(0);
        let words = if above == 0 { self.words } else { above };
        if words == 0 {
            return None;
        }
        self.word = words.trailing_zeros();
        let mut wanted = (self.bound)(self.word);
        // The word in which the last scan ended is looked at from there on, and at the end once
        // more from its beginning.
        if self.first && self.word == self.start.0 / BITS {
            wanted &= u64::MAX << (self.start.0 % BITS);
        } else {
            self.words &= !1u64.wrapping_shl(self.word);
        }
        self.first = false;
        self.from = self.word.wrapping_add(1);
        self.bits = active(self.info, self.word, wanted);
        Some(())
    }
}

impl<S: SharedInfoWords, B: Fn(u32) -> u64> Iterator for Scan<'_, S, B> {
    type Item = u32;

    #[inline]
    fn next(&mut self) -> Option<u32> {
        while self.bits == 0 {
            self.next_word()?;
        }
        let bit = self.bits.trailing_zeros();
        self.bits &= self.bits.wrapping_sub(1);
        // Cannot wrap: there are 64 words. Said so, it costs no overflow check in the kernel.
        let port = self.word.wrapping_mul(BITS) | bit;
        self.start.0 = port.wrapping_add(1) % NR_CHANNELS_2L;
        Some(port)
    }
}
