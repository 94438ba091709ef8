// SPDX-License-Identifier: GPL-2.0

//! The channel of an interrupt, and the descriptors of interrupts.
//!
//! The channel is the chip data of the interrupt's descriptor. Those of ISA interrupts belong to
//! the architecture, which uses their chip data for I/O APICs; for these there is a table.

use core::{
    ptr::{
        self,
        addr_of, //
    },
    sync::atomic::{
        AtomicPtr,
        Ordering::{
            Acquire,
            Release, //
        },
    },
};

use kernel::{
    bindings as k,
    ffi::{
        c_char,
        c_int, //
    },
    sync::rcu,
};

use core_bindings as bindings;

use xen_core::error::{
    Error,
    Result, //
};

use crate::{
    channel::Channel,
    chips, //
};

/// ISA interrupts that there can be.
const ISA_IRQS: usize = 16;

static ISA: [AtomicPtr<Channel>; ISA_IRQS] = [const { AtomicPtr::new(ptr::null_mut()) }; ISA_IRQS];

/// How many ISA interrupts there are: 16, or none without a PIC. They are the first numbers.
fn isa_irqs() -> u32 {
    // SAFETY: The table is a static, chosen early at boot.
    unsafe { (*addr_of!(bindings::legacy_pic).read()).nr_legacy_irqs as u32 }
}

/// The table's place of an ISA interrupt.
#[inline]
fn isa_place(irq: u32) -> Option<&'static AtomicPtr<Channel>> {
    let place = ISA.get(irq as usize)?;
    (irq < isa_irqs()).then_some(place)
}

/// Whether an interrupt is an ISA interrupt.
pub(crate) fn is_isa(irq: u32) -> bool {
    irq < isa_irqs()
}

/// The channel of an interrupt. `None` for interrupts of other chips too.
#[inline]
pub(crate) fn channel(_: &rcu::Guard, irq: u32) -> Option<&Channel> {
    // SAFETY: The function takes any number. Descriptors are freed after a grace period.
    unsafe { of_data(k::irq_get_irq_data(irq)) }
}

/// The channel of an interrupt's data, which may be null.
///
/// # Safety
///
/// The data is null or valid. The result is used no longer than a read-side section of RCU that
/// this is called in: one with a guard, or one in which interrupts are disabled.
#[inline]
pub(crate) unsafe fn of_data<'a>(data: *const k::irq_data) -> Option<&'a Channel> {
    if data.is_null() {
        return None;
    }
    // SAFETY: By the requirement of this function the data is valid.
    let (irq, chip) = unsafe {
        (
            addr_of!((*data).irq).read(),
            addr_of!((*data).chip).read_volatile(),
        )
    };
    let channel = match isa_place(irq) {
        Some(place) => place.load(Acquire),
        None if !chips::are_ours(chip) => return None,
        // SAFETY: The data is valid.
        None => unsafe { addr_of!((*data).chip_data).read_volatile().cast() },
    };
    // SAFETY: Null or a channel: chip data of our chips is. It is freed a grace period after it was
    // taken out of here.
    unsafe { channel.as_ref() }
}

/// Calls `each` with every channel.
pub(crate) fn for_each(mut each: impl FnMut(&Channel)) {
    // SAFETY: Reads a number.
    let count = unsafe { k::irq_get_nr_irqs() };
    for irq in 0..count {
        let guard = rcu::read_lock();
        if let Some(channel) = channel(&guard, irq) {
            each(channel);
        }
    }
}

/// Which chip an interrupt has, which function handles it, and its name in `/proc/interrupts`.
#[derive(Clone, Copy)]
pub(crate) struct Flow {
    pub(crate) chip: &'static chips::Chip,
    pub(crate) handler: k::irq_flow_handler_t,
    pub(crate) name: *const c_char,
}

/// Makes a channel that of its interrupt.
pub(crate) fn attach(channel: &Channel, flow: Flow) {
    let irq = channel.irq();
    let pointer = ptr::from_ref(channel).cast_mut();
    // SAFETY: The descriptor was allocated for the channel, or is an ISA interrupt's. Chip and name
    // stay. The chip is set first: chip data of our chips is a channel.
    unsafe {
        k::irq_set_chip_and_handler_name(irq, flow.chip.as_raw(), flow.handler, flow.name);
        match isa_place(irq) {
            Some(place) => place.store(pointer, Release),
            None => {
                k::irq_set_chip_data(irq, pointer.cast());
            }
        }
    }
}

/// Takes a channel from its interrupt. Functions of the chip find none from then on.
pub(crate) fn detach(channel: &Channel) {
    match isa_place(channel.irq()) {
        Some(place) => place.store(ptr::null_mut(), Release),
        None => {
            // SAFETY: The descriptor is the channel's as long as the channel lives.
            unsafe { k::irq_set_chip_data(channel.irq(), ptr::null_mut()) };
        }
    }
}

/// Allocates descriptors of interrupts: `first`, or any that are free. Returns the first.
pub(crate) fn allocate(first: Option<u32>, count: u32) -> Result<u32> {
    let (at, from) = match first {
        Some(first) => (c_int::try_from(first).map_err(|_| Error::EINVAL)?, first),
        None => (-1, 0),
    };
    // SAFETY: Allocates; without owner and affinities.
    let irq = unsafe { k::__irq_alloc_descs(at, from, count, -1, ptr::null_mut(), ptr::null()) };
    Error::check(irq)
}

/// Frees a descriptor. Those of ISA interrupts stay.
///
/// # Safety
///
/// The descriptor was returned by [`allocate`], or is an ISA interrupt's, and it has no channel.
pub(crate) unsafe fn free(irq: u32) {
    if !is_isa(irq) {
        // SAFETY: By the requirement of this function.
        unsafe { k::irq_free_descs(irq, 1) };
    }
}
