// SPDX-License-Identifier: GPL-2.0

//! Sets of CPUs as the toolstack's hypercalls return them (`struct xenctl_bitmap`).

use crate::error::{Errno, Result};
use crate::mem::access::GuestMemory;
use crate::system::{Caller, Platform};
use alloc::vec;
use alloc::vec::Vec;
use xen_abi::domctl::Bitmap;

/// Most bytes of a guest's bitmap that are written: a bit for each of 32768 CPUs.
const MAX_BITMAP_BYTES: usize = 4096;

/// A set of CPUs or nodes, one bit each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CpuBitmap {
    bytes: Vec<u8>,
    bits: u32,
}

impl CpuBitmap {
    /// A set of `bits` CPUs, all of them in it.
    pub(super) fn all(bits: u32) -> Self {
        let mut map = Self::none(bits);
        (0..bits).for_each(|bit| map.bytes[bit as usize / 8] |= 1 << (bit % 8));
        map
    }

    /// A set of `bits` CPUs, none of them in it.
    pub(super) fn none(bits: u32) -> Self {
        Self {
            bytes: vec![0; bits.div_ceil(8) as usize],
            bits,
        }
    }

    /// The members of it that are in another set as well.
    pub(super) fn intersection(&self, other: &Self) -> Self {
        let mut map = self.clone();
        for (byte, other) in map.bytes.iter_mut().zip(&other.bytes) {
            *byte &= other;
        }
        map
    }

    /// The members of it, by rising number.
    pub(super) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        let is_set = |bit: &u32| self.bytes[*bit as usize / 8] >> (bit % 8) & 1 != 0;
        (0..self.bits).filter(is_set).map(|bit| bit as usize)
    }

    /// Whether nothing is in it.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.iter().all(|byte| *byte == 0)
    }
}

/// Copies a set of `bits` CPUs from the guest. What its bitmap does not have is not in the set, and what it has beyond
/// these CPUs is ignored.
pub(super) fn read_bitmap<P: Platform>(
    caller: &mut Caller<'_, P>,
    from: &Bitmap,
    bits: u32,
) -> Result<CpuBitmap> {
    let mut map = CpuBitmap::none(bits);
    let known = from.nr_bits.min(bits);
    let copied = known.div_ceil(8) as usize;
    caller.raw_copy_from_guest(from.bitmap, &mut map.bytes[..copied])?;
    if known % 8 != 0 {
        map.bytes[copied - 1] &= (1 << (known % 8)) - 1;
    }
    Ok(map)
}

/// Copies a set of CPUs to the guest, as far as its bitmap has room; the rest of its bitmap becomes zero.
pub(super) fn write_bitmap<P: Platform>(
    caller: &mut Caller<'_, P>,
    to: &Bitmap,
    map: &CpuBitmap,
) -> Result<()> {
    let room = to.nr_bits.div_ceil(8) as usize;
    let copied = room.min(map.bytes.len());
    let mut bytes = map.bytes[..copied].to_vec();
    if let Some(last) = bytes
        .last_mut()
        .filter(|_| to.nr_bits < map.bits && to.nr_bits % 8 != 0)
    {
        *last &= (1 << (to.nr_bits % 8)) - 1;
    }
    caller.raw_copy_to_guest(to.bitmap, &bytes)?;
    // The size is the guest's and may be huge, so zeroes are written in small pieces, and not without end.
    let zeroes = [0; 64];
    let mut at = copied;
    while at < room.min(MAX_BITMAP_BYTES) {
        let now = zeroes.len().min(room - at);
        let address = to.bitmap.checked_add(at as u64).ok_or(Errno::EFAULT)?;
        caller.raw_copy_to_guest(address, &zeroes[..now])?;
        at += now;
    }
    Ok(())
}
