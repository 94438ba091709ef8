// SPDX-License-Identifier: GPL-2.0

//! Answering a guest's writes to a virtqueue's doorbell in place of its device model.
//!
//! The hypervisor puts a request into the slot of the vCPU that made it (`struct ioreq`) and sends
//! an event. The device model's process gets that event too, and answers the request if it still is
//! ready. So a request is changed only if it appears to be for a doorbell that is known here. It is
//! claimed then, and only what is read after that counts: only the hypervisor changes a claimed
//! request, and a process that does so harms no guest but its own.
//!
//! A claim is taken back only if the request was replaced between the look and the claim. Then the
//! hypervisor has sent another event, which is still to come, and the process misses nothing.

use core::mem::offset_of;

use xen_abi::{
    hvm::ioreq::{
        direction,
        kind,
        state,
        Ioreq, //
    },
    linux::privcmd::Ioeventfd, //
};

/// Where a virtio device has its doorbell, in bytes (`VIRTIO_MMIO_QUEUE_NOTIFY`,
/// `uapi/linux/virtio_mmio.h`).
pub const QUEUE_NOTIFY: u64 = 0x50;
/// The bits of what is written there that name the queue (virtio 1.2, 4.2.2; the rest may be the
/// driver's).
const QUEUE_MASK: u64 = 0xffff;

/// Bits of [`Ioreq::status`].
const STATE: u8 = 0xf;
const DATA_IS_ADDRESS: u8 = 1 << 4;
const DIRECTION: u32 = 5;

/// Most vCPUs of a guest.
pub const MAX_VCPUS: u32 = 4096;

/// Slots in a page.
const SLOTS: u32 = (xen_abi::PAGE_SIZE / size_of::<Ioreq>()) as u32;

/// The number of pages for the slots of `vcpus` vCPUs.
pub fn pages(vcpus: u32) -> u32 {
    vcpus.div_ceil(SLOTS)
}

/// The page of a vCPU's slot, and the slot's offset in the page in bytes.
pub fn place(vcpu: u32) -> (usize, usize) {
    let (page, slot) = (vcpu / SLOTS, vcpu % SLOTS);
    (page as usize, slot as usize * size_of::<Ioreq>())
}

/// A vCPU's slot. It is shared memory that may change at any time, so each call accesses it once.
/// Offsets are those of [`Ioreq`]'s fields.
pub trait Slot {
    /// Loads a byte.
    fn load8(&self, at: usize) -> u8;
    /// Loads 32 bits.
    fn load32(&self, at: usize) -> u32;
    /// Loads 64 bits.
    fn load64(&self, at: usize) -> u64;
    /// Orders loads before it before loads after it.
    fn read_barrier(&self);
    /// Stores `new` if the byte is `old`, and returns whether it was: one atomic step, and a full
    /// barrier.
    fn replace8(&self, at: usize, old: u8, new: u8) -> bool;
}

/// A write of a guest to its memory-mapped I/O space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Write {
    address: u64,
    data: u64,
    size: u32,
}

impl Write {
    /// Reads each field once. `None` if it is another kind of request, or one for many writes.
    fn read(slot: &impl Slot, status: u8) -> Option<Self> {
        let one = slot.load32(offset_of!(Ioreq, count)) == 1;
        let mmio = slot.load8(offset_of!(Ioreq, kind)) == kind::COPY;
        let write = (status >> DIRECTION) & 1 == direction::WRITE;
        let plain = status & DATA_IS_ADDRESS == 0;
        let this = Self {
            address: slot.load64(offset_of!(Ioreq, addr)),
            data: slot.load64(offset_of!(Ioreq, data)),
            size: slot.load32(offset_of!(Ioreq, size)),
        };
        (one && mmio && write && plain).then_some(this)
    }
}

/// A virtqueue's doorbell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Doorbell {
    address: u64,
    size: u32,
    queue: u32,
}

impl Doorbell {
    /// The doorbell that a process names. `None` if there cannot be such a device, or such
    /// accesses.
    pub fn of(args: &Ioeventfd) -> Option<Self> {
        args.addr.checked_add(args.addr_len.into())?;
        matches!(args.addr_len, 1 | 2 | 4 | 8).then_some(Self {
            address: args.addr.wrapping_add(QUEUE_NOTIFY),
            size: args.addr_len,
            queue: args.vq,
        })
    }

    /// Whether a write rings it.
    pub fn is_rung_by(&self, write: &Write) -> bool {
        write.address == self.address
            && write.size == self.size
            && write.data & QUEUE_MASK == self.queue.into()
    }
}

/// Answers the request in a slot if `find` finds what is assigned to it; `signal` is called with
/// that before the guest continues. Returns whether it did: then the hypervisor has to be sent an
/// event.
pub fn serve<S: Slot, T>(
    slot: &S,
    find: impl Fn(&Write) -> Option<T>,
    signal: impl FnOnce(T),
) -> bool {
    const AT: usize = offset_of!(Ioreq, status);
    let ready = slot.load8(AT);
    if ready & STATE != state::READY {
        return false;
    }
    // Pairs with the hypervisor's barrier before it makes the request ready.
    slot.read_barrier();
    let look = || Write::read(slot, ready).and_then(|write| find(&write));
    if look().is_none() {
        return false;
    }
    let with = |state| ready & !STATE | state;
    if !slot.replace8(AT, ready, with(state::INPROCESS)) {
        // The process was faster.
        return false;
    }
    let Some(assigned) = look() else {
        slot.replace8(AT, with(state::INPROCESS), ready);
        return false;
    };
    signal(assigned);
    slot.replace8(AT, with(state::INPROCESS), with(state::RESP_READY))
}

#[cfg(test)]
mod tests;
