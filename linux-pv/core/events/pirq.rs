// SPDX-License-Identifier: GPL-2.0

//! Interrupts of devices: what happens when a driver requests one, when it comes, and when the last
//! handler is gone. A port is bound only while there is a handler.

use core::{
    ptr,
    sync::atomic::{
        AtomicPtr, AtomicU64,
        Ordering::{
            Acquire,
            Relaxed,
            Release, //
        },
    },
};

use kernel::{
    bindings as k,
    pr_warn_once,
    prelude::*, //
};

use core_bindings as bindings;

use xen_abi::{
    command::{
        event_channel::BindPirq,
        physdev::{
            Eoi,
            IrqStatusQuery,
            PirqEoiGmfnV2, //
        },
    },
    event_channel::{
        self as abi,
        BIND_PIRQ_WILL_SHARE, //
    },
    physdev::{
        self,
        irqstat, //
    },
};

use xen_core::{
    error::Result,
    per_cpu::PossibleCpu, //
};

use xen_event::mask::Reason;

use crate::{
    affinity,
    channel::{
        Channel,
        Kind,
        Pirq, //
    },
    chips,
    hypercall, //
};

/// A bit for each pirq, which the hypervisor sets if the pirq needs an EOI.
type EoiMap = [AtomicU64; k::PAGE_SIZE / size_of::<u64>()];

/// The bits, if the hypervisor keeps any (PV).
static EOI_MAP: AtomicPtr<EoiMap> = AtomicPtr::new(ptr::null_mut());

/// Has the hypervisor keep a bit for each pirq. Before, and without, it is asked for each pirq
/// once.
pub(crate) fn share_eoi_map(gfp: k::gfp_t) {
    let mut map = EOI_MAP.load(Acquire);
    if map.is_null() {
        // SAFETY: Allocates a page, in the context that the flags are for.
        map = ptr::with_exposed_provenance_mut(unsafe { k::get_zeroed_page_noprof(gfp) });
    }
    if map.is_null() {
        return;
    }
    // SAFETY: The page is shared with the hypervisor from now on, unless this fails. It is accessed
    // by atomic operations only.
    let shared = unsafe {
        hypercall::call_with_memory::<PirqEoiGmfnV2>(&mut physdev::PirqEoiGmfn {
            gmfn: bindings::xen_core_virt_to_gfn(map.cast()) as u64,
        })
    };
    let kept = match shared {
        Ok(_) => map,
        Err(_) => {
            // SAFETY: The hypervisor has refused the page, and no CPU uses it: this runs at boot,
            // or after a restore while all other CPUs are stopped.
            unsafe { k::free_pages(map.expose_provenance(), 0) };
            ptr::null_mut()
        }
    };
    EOI_MAP.store(kept, Release);
}

impl Pirq {
    /// Whether the hypervisor wants to be told of the end of an interrupt.
    fn needs_eoi(&self) -> bool {
        // SAFETY: Null, or a page that stays and is accessed by atomic operations only.
        let Some(map) = (unsafe { EOI_MAP.load(Acquire).as_ref() }) else {
            return self.needs_eoi.load(Relaxed);
        };
        let number = self.number.load(Relaxed);
        let word = map.get(number as usize / 64);
        word.is_some_and(|word| word.load(Relaxed) & 1u64.wrapping_shl(number % 64) != 0)
    }

    /// Asks whether the interrupt needs an EOI.
    pub(crate) fn ask(&self) {
        let flags = status(self.number.load(Relaxed)).unwrap_or(0);
        self.needs_eoi
            .store(flags & irqstat::NEEDS_EOI != 0, Relaxed);
    }
}

/// The flags of a pirq.
pub(crate) fn status(pirq: u32) -> Result<u32> {
    let mut argument = physdev::IrqStatusQuery {
        irq: pirq,
        flags: 0,
    };
    hypercall::call::<IrqStatusQuery>(&mut argument)?;
    Ok(argument.flags)
}

/// Ends an interrupt. Any context.
pub(crate) fn eoi(channel: &Channel) {
    let Kind::Pirq(pirq) = &channel.kind else {
        return;
    };
    if channel.port().is_none() {
        return;
    }
    chips::end_and_clear(channel);
    if pirq.needs_eoi() {
        let irq = pirq.number.load(Relaxed);
        if let Err(error) = hypercall::call::<Eoi>(&mut physdev::Eoi { irq }) {
            pr_warn_once!("no EOI of pirq {irq}: {}\n", error.to_raw());
        }
    }
}

/// Binds the interrupt to a port, and unmasks it. The lock of the descriptor is held, or all other
/// CPUs are stopped.
pub(crate) fn start(channel: &Channel) {
    let Kind::Pirq(pirq) = &channel.kind else {
        return;
    };
    if channel.port().is_none() && !open(channel, pirq) {
        return;
    }
    channel.unmask(Reason::Disabled);
    eoi(channel);
}

/// Binds the interrupt to a port.
fn open(channel: &Channel, pirq: &Pirq) -> bool {
    let irq = channel.irq();
    let mut argument = abi::BindPirq {
        pirq: pirq.number.load(Relaxed),
        flags: match pirq.is_shareable {
            true => BIND_PIRQ_WILL_SHARE,
            false => 0,
        },
        port: 0,
    };
    if hypercall::call::<BindPirq>(&mut argument).is_err() {
        pr_warn!("Failed to obtain physical IRQ {irq}\n");
        return false;
    }
    pirq.ask();
    // Interrupts are disabled.
    let gfp = k::GFP_ATOMIC | k::__GFP_NOWARN;
    if let Err(error) = channel.set_up_in_descriptor(argument.port, gfp) {
        let error = error.to_raw();
        pr_err!("irq{irq}: Failed to set port to irq mapping ({error})\n");
        close(channel);
        return false;
    }
    affinity::bind(channel, PossibleCpu::FIRST);
    true
}

/// Unbinds the interrupt from its port.
fn close(channel: &Channel) {
    affinity::uncount(channel);
    if let Some(port) = channel.take_port() {
        hypercall::close(port);
    }
}

/// The last handler is gone.
pub(crate) fn shut_down(channel: &Channel) {
    if channel.port().is_some() {
        channel.mask(Reason::Disabled);
        close(channel);
    }
}
