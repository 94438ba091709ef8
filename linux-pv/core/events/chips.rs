// SPDX-License-Identifier: GPL-2.0

//! The tables of functions that the kernel's interrupt core calls (`struct irq_chip`).
//!
//! It calls them with the lock of the interrupt's descriptor held or while it handles the
//! interrupt: with interrupts disabled, which is a read-side section of RCU. An interrupt whose
//! channel is being unbound has none any more, and then they do nothing.

use core::ptr;

use kernel::{
    bindings as k,
    ffi::{
        c_char,
        c_int,
        c_uint, //
    },
    str::CStr, //
};

use xen_event::mask::Reason;

use crate::{
    affinity,
    channel::Channel,
    delivery,
    irqs,
    pirq, //
};

/// A table.
#[repr(transparent)]
pub(crate) struct Chip(k::irq_chip);

// SAFETY: A static that nobody writes: the interrupt core only calls the functions and reads the
// name.
unsafe impl Sync for Chip {}

impl Chip {
    #[inline]
    pub(crate) fn as_raw(&self) -> *const k::irq_chip {
        &self.0
    }
}

/// Whether a chip is one of these.
#[inline]
pub(crate) fn are_ours(chip: *const k::irq_chip) -> bool {
    [&DYNAMIC, &LATE_EOI, &PER_CPU, &PIRQ]
        .into_iter()
        .any(|ours| ptr::eq(ours.as_raw(), chip))
}

/// Defines functions of tables that call one with the channel.
macro_rules! functions {
    ($($(#[$doc:meta])* $name:ident: $function:expr;)*) => {$(
        $(#[$doc])*
        ///
        /// # Safety
        ///
        /// To be called by the interrupt core, as the module says.
        unsafe extern "C" fn $name(data: *mut k::irq_data) {
            // SAFETY: By the requirement of this function the data is valid, and this is a
            // read-side section of RCU.
            if let Some(channel) = unsafe { irqs::of_data(data) } {
                let function: fn(&Channel) = $function;
                function(channel);
            }
        }
    )*};
}

/// Lets the next event come, and forgets the one that is handled.
#[inline]
pub(crate) fn end_and_clear(channel: &Channel) {
    if let Some(port) = channel.port() {
        channel.end();
        delivery::clear_pending(port);
    }
}

fn disable_channel(channel: &Channel) {
    if channel.port().is_some() {
        channel.mask(Reason::Disabled);
    }
}

functions! {
    /// The interrupt is disabled.
    disable: disable_channel;
    /// The interrupt is enabled.
    enable: |channel| if channel.port().is_some() {
        channel.unmask(Reason::Disabled);
    };
    /// Its handler is about to be called.
    ack: end_and_clear;
    /// Likewise while it is disabled.
    mask_ack: |channel| {
        disable_channel(channel);
        end_and_clear(channel);
    };
    /// The handler of a late-EOI channel is about to be called. Until its end, events that come
    /// again because the channel moves to another CPU are ignored.
    late_ack: |channel| if let Some(port) = channel.port() {
        channel.mask(Reason::EoiPending);
        delivery::clear_pending(port);
    };
    /// An interrupt of a device has been handled, or is about to be.
    pirq_eoi: pirq::eoi;
    /// Likewise while it is disabled.
    pirq_mask_ack: |channel| {
        disable_channel(channel);
        pirq::eoi(channel);
    };
    /// An interrupt of a device has lost its last handler.
    pirq_shutdown: pirq::shut_down;
}

/// An interrupt of a device gets its first handler. If it cannot be bound, the log says so.
///
/// # Safety
///
/// To be called by the interrupt core, as the module says.
unsafe extern "C" fn pirq_startup(data: *mut k::irq_data) -> c_uint {
    // SAFETY: By the requirement of this function the data is valid, and this is a read-side
    // section of RCU.
    if let Some(channel) = unsafe { irqs::of_data(data) } {
        pirq::start(channel);
    }
    0
}

/// Has an event handled although there was none.
///
/// # Safety
///
/// To be called by the interrupt core, as the module says.
unsafe extern "C" fn retrigger(data: *mut k::irq_data) -> c_int {
    // SAFETY: The interrupt core calls this with a descriptor of one of our chips and its lock
    // held, which is a read-side section of RCU.
    let channel = unsafe { irqs::of_data(data) };
    let Some((channel, port)) = channel.and_then(|channel| Some((channel, channel.port()?))) else {
        return 0;
    };
    channel.mask(Reason::Moving);
    delivery::set_pending(port);
    channel.unmask(Reason::Moving);
    1
}

/// What all tables have.
const COMMON: k::irq_chip = {
    // SAFETY: Zeroes are null pointers and no flags.
    let empty: k::irq_chip = unsafe { core::mem::MaybeUninit::zeroed().assume_init() };
    k::irq_chip {
        irq_disable: Some(disable),
        irq_mask: Some(disable),
        irq_unmask: Some(enable),
        irq_ack: Some(ack),
        irq_mask_ack: Some(mask_ack),
        irq_set_affinity: Some(affinity::set),
        irq_retrigger: Some(retrigger),
        ..empty
    }
};

const fn name(name: &'static CStr) -> *const c_char {
    name.to_bytes_with_nul().as_ptr()
}

/// Of channels whose events end with their handler, and global virqs.
pub(crate) static DYNAMIC: Chip = Chip(k::irq_chip {
    name: name(c"xen-dyn"),
    ..COMMON
});

/// Of channels of other domains. irqbalance wants "xen-dyn" in the name.
pub(crate) static LATE_EOI: Chip = Chip(k::irq_chip {
    name: name(c"xen-dyn-lateeoi"),
    irq_ack: Some(late_ack),
    ..COMMON
});

/// Of IPIs and virqs of a CPU, which stay there.
pub(crate) static PER_CPU: Chip = Chip(k::irq_chip {
    name: name(c"xen-percpu"),
    irq_mask_ack: None,
    irq_set_affinity: None,
    irq_retrigger: None,
    ..COMMON
});

/// Of devices.
pub(crate) static PIRQ: Chip = Chip(k::irq_chip {
    name: name(c"xen-pirq"),
    irq_startup: Some(pirq_startup),
    irq_shutdown: Some(pirq_shutdown),
    irq_enable: Some(enable),
    irq_ack: Some(pirq_eoi),
    irq_eoi: Some(pirq_eoi),
    irq_mask_ack: Some(pirq_mask_ack),
    ..COMMON
});
