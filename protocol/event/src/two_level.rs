// SPDX-License-Identifier: GPL-2.0

//! The 2-level ABI: a pending and a mask bit for each port in the shared info page, and for each
//! vCPU a selector (`evtchn_pending_sel`) with a bit for each word that has pending bits.
//!
//! A guest's words are as wide as its `unsigned long`. A 64-bit guest has 4096 ports, and a 32-bit guest 1024. The
//! guest's half here is a 64-bit guest's. The hypervisor's serves both: its bitmaps are words of 64 bits in any case,
//! since bit N of a bitmap is the same bit of memory however wide the words are, and only the selector differs
//! ([`Selector`](hypervisor::Selector)).

pub mod guest;
pub mod hypervisor;

use xen_abi::event_channel::NR_CHANNELS_2L;
use xen_shared::SharedWord;

/// Bits of a word.
const BITS: u32 = u64::BITS;

/// The bitmaps of the shared info page, as one of the sides reaches them.
pub trait SharedInfoWords {
    /// A word of a bitmap.
    type Word<'a>: SharedWord<Value = u64>
    where
        Self: 'a;

    /// A word of the pending bits (`evtchn_pending`), which has port `64 × number` in its lowest
    /// bit. Only numbers below 64 are asked for.
    fn pending(&self, number: u32) -> Self::Word<'_>;

    /// A word of the mask bits (`evtchn_mask`), as of [`pending`](Self::pending).
    fn mask(&self, number: u32) -> Self::Word<'_>;
}

/// A port of this ABI: the number of its word, and its bit in that.
#[derive(Clone, Copy)]
struct PortBit {
    word: u32,
    bit: u64,
}

impl PortBit {
    /// `None` for a port that this ABI does not have.
    #[inline]
    fn of(port: u32) -> Option<Self> {
        (port < NR_CHANNELS_2L).then_some(Self {
            word: port / BITS,
            bit: 1 << (port % BITS),
        })
    }

    /// The word's bit in selectors.
    #[inline]
    fn selector(self) -> u64 {
        1u64.wrapping_shl(self.word)
    }

    #[inline]
    fn is_pending(self, info: &impl SharedInfoWords) -> bool {
        info.pending(self.word).load() & self.bit != 0
    }

    #[inline]
    fn is_masked(self, info: &impl SharedInfoWords) -> bool {
        info.mask(self.word).load() & self.bit != 0
    }
}

/// Whether an event is pending on a port, masked or not.
#[inline]
pub fn is_pending(info: &impl SharedInfoWords, port: u32) -> bool {
    PortBit::of(port).is_some_and(|port| port.is_pending(info))
}

/// Forgets a pending event: the guest before its handler runs, the hypervisor when the port is
/// closed.
#[inline]
pub fn clear_pending(info: &impl SharedInfoWords, port: u32) {
    if let Some(port) = PortBit::of(port) {
        info.pending(port.word).fetch_clear(port.bit);
    }
}
