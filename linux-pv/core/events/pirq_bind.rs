// SPDX-License-Identifier: GPL-2.0

//! Binding pirqs of devices to interrupts: GSIs and MSIs.

use core::sync::atomic::{
    AtomicBool,
    AtomicU32,
    Ordering::Relaxed, //
};

use kernel::{
    bindings as k,
    ffi::{
        c_char,
        c_int,
        c_uint, //
    },
    pr_warn_once,
    prelude::*,
    sync::rcu,
};

use core_bindings as bindings;

use xen_abi::{
    command::physdev::{
        AllocIrqVector,
        GetFreePirq,
        UnmapPirq, //
    },
    physdev::{
        self,
        irqstat,
        map_type, //
    },
    xen::domid,
};

use xen_core::{
    declared_in_c, domain,
    error::{
        self,
        Error,
        Result, //
    },
};

use crate::{
    bind,
    channel::{
        Channel,
        Kind,
        Pirq, //
    },
    chips,
    hypercall,
    irqs::{
        self,
        Flow, //
    },
    mapping::{
        self,
        Mapping, //
    },
    pirq, //
};

/// Whether GSIs have the interrupts with their numbers. A PV domain that is not dom0 knows nothing
/// of GSIs, so it takes any.
fn is_at_gsi() -> bool {
    !domain::is_pv() || domain::is_initial()
}

/// A channel's GSI.
fn gsi_of(channel: &Channel) -> Option<u32> {
    match &channel.kind {
        Kind::Pirq(pirq) => pirq.gsi,
        _ => None,
    }
}

/// The interrupt of a GSI.
fn irq_of_gsi(gsi: u32) -> Option<u32> {
    if is_at_gsi() {
        let guard = rcu::read_lock();
        let channel = irqs::channel(&guard, gsi)?;
        return Some(channel.irq()).filter(|_| gsi_of(channel) == Some(gsi));
    }
    let mut found = None;
    irqs::for_each(|channel| {
        if gsi_of(channel) == Some(gsi) {
            found = Some(channel.irq());
        }
    });
    found
}

/// What is bound.
struct Request {
    pirq: u32,
    gsi: Option<u32>,
    domain: u16,
    is_shareable: bool,
    is_in_group: bool,
    name: *const c_char,
}

impl Request {
    fn kind(&self) -> Kind {
        Kind::Pirq(Pirq {
            number: AtomicU32::new(self.pirq),
            gsi: self.gsi,
            domain: self.domain,
            is_shareable: self.is_shareable,
            is_in_group: self.is_in_group,
            needs_eoi: AtomicBool::new(false),
        })
    }

    /// A level-triggered interrupt is masked by the hypervisor until its EOI; C has the reasons why
    /// this is right for others too that need one.
    fn flow(&self) -> Flow {
        Flow {
            chip: &chips::PIRQ,
            handler: match self.is_shareable {
                true => Some(k::handle_fasteoi_irq),
                false => Some(k::handle_edge_irq),
            },
            name: self.name,
        }
    }
}

fn bind_gsi(mapping: &Mapping, gsi: u32, request: &Request) -> Result<u32> {
    if let Some(irq) = irq_of_gsi(gsi) {
        pr_info!("xen_bind_pirq_gsi_to_irq: returning irq {irq} for gsi {gsi}\n");
        return Ok(irq);
    }
    let irq = match is_at_gsi() {
        true if irqs::is_isa(gsi) => gsi,
        true => irqs::allocate(Some(gsi), 1)?,
        false => irqs::allocate(None, 1)?,
    };
    // Only the domain with the I/O APICs may; others get theirs by pcifront.
    let is_refused = domain::is_initial()
        && hypercall::call::<AllocIrqVector>(&mut physdev::Irq { irq, vector: 0 }).is_err();
    if is_refused {
        // SAFETY: The descriptor was just allocated, or is an ISA interrupt's, and has no channel.
        unsafe { irqs::free(irq) };
        return Err(Error::ENOSPC);
    }
    // SAFETY: Likewise.
    let channel = unsafe { bind::make_in(mapping, irq, request.kind(), request.flow()) }?;
    channel.allow_request();
    if let Kind::Pirq(pirq) = &channel.kind {
        pirq.ask();
    }
    Ok(irq)
}

declared_in_c! {
    xen_irq_from_gsi: unsafe extern "C" fn(c_uint) -> c_int;
    xen_bind_pirq_gsi_to_irq: unsafe extern "C" fn(c_uint, c_uint, c_int, *mut c_char) -> c_int;
    xen_allocate_pirq_msi: unsafe extern "C" fn(*mut k::pci_dev, *mut bindings::msi_desc) -> c_int;
    xen_destroy_irq: unsafe extern "C" fn(c_int) -> c_int;
    xen_pirq_from_irq: unsafe extern "C" fn(c_uint) -> c_int;
    xen_test_irq_shared: unsafe extern "C" fn(c_int) -> c_int;
}

/// The interrupt of a GSI, or -1.
#[no_mangle]
pub extern "C" fn xen_irq_from_gsi(gsi: c_uint) -> c_int {
    irq_of_gsi(gsi).map_or(-1, |irq| irq as c_int)
}

/// Binds the pirq of a GSI to an interrupt, or returns the one that the GSI has. A port is bound
/// when a driver requests it. A shareable interrupt is level-triggered.
///
/// # Safety
///
/// The name stays.
#[no_mangle]
pub unsafe extern "C" fn xen_bind_pirq_gsi_to_irq(
    gsi: c_uint,
    pirq: c_uint,
    shareable: c_int,
    name: *mut c_char,
) -> c_int {
    let request = Request {
        pirq,
        gsi: Some(gsi),
        domain: domid::SELF,
        is_shareable: shareable != 0,
        is_in_group: false,
        name,
    };
    error::to_raw(mapping::with(|mapping| bind_gsi(mapping, gsi, &request)))
}

/// Allocates a pirq for an MSI, or returns -1.
#[no_mangle]
pub extern "C" fn xen_allocate_pirq_msi(_: *mut k::pci_dev, _: *mut bindings::msi_desc) -> c_int {
    let mut argument = physdev::GetFreePirq {
        map_type: map_type::MSI,
        pirq: 0,
    };
    match hypercall::call::<GetFreePirq>(&mut argument) {
        Ok(_) => argument.pirq as c_int,
        Err(error) => {
            if error == Error::ENOSYS {
                pr_warn_once!(
                    "hypervisor does not support the PHYSDEVOP_get_free_pirq interface\n"
                );
            }
            -1
        }
    }
}

/// Binds MSIs, whose pirqs follow each other, to interrupts that do so too.
fn bind_msis(mapping: &Mapping, first: &Request, count: u32) -> Result<u32> {
    let irq = irqs::allocate(None, count)?;
    for index in 0..count {
        let request = Request {
            pirq: first.pirq.wrapping_add(index),
            is_in_group: index != 0,
            ..*first
        };
        let number = irq.wrapping_add(index);
        // SAFETY: The descriptor was just allocated.
        match unsafe { bind::make_in(mapping, number, request.kind(), request.flow()) } {
            Ok(channel) => channel.allow_request(),
            Err(error) => {
                unbind_all(mapping, irq, index);
                for rest in index.wrapping_add(1)..count {
                    // SAFETY: The descriptor has no channel.
                    unsafe { irqs::free(irq.wrapping_add(rest)) };
                }
                return Err(error);
            }
        }
    }
    Ok(irq)
}

/// Unbinds so many interrupts.
fn unbind_all(mapping: &Mapping, first: u32, count: u32) {
    for index in 0..count {
        if let Some(channel) = mapping.of_irq(first.wrapping_add(index)) {
            bind::unbind(mapping, channel);
        }
    }
}

/// Binds the pirqs of a device's MSIs to interrupts. Returns the first, or a negative error number.
///
/// # Safety
///
/// Descriptor and name stay as long as the interrupts are bound.
#[no_mangle]
pub unsafe extern "C" fn xen_bind_pirq_msi_to_irq(
    _: *mut k::pci_dev,
    descriptor: *mut bindings::msi_desc,
    pirq: c_int,
    count: c_int,
    name: *const c_char,
    domain: bindings::domid_t,
) -> c_int {
    let first = Request {
        pirq: pirq as u32,
        gsi: None,
        domain,
        is_shareable: false,
        is_in_group: false,
        name,
    };
    let count = u32::try_from(count).unwrap_or(0);
    let result = mapping::with(|mapping| {
        let irq = bind_msis(mapping, &first, count)?;
        // SAFETY: The interrupt was just bound; by the requirement of this function the descriptor
        // stays.
        let set = unsafe { k::irq_set_msi_desc(irq, descriptor.cast()) };
        Error::check(set).inspect_err(|_| unbind_all(mapping, irq, count))?;
        Ok(irq)
    });
    error::to_raw(result)
}

/// Unmaps a pirq, unless it is not the first of a group.
fn unmap(channel: &Channel, pirq: &Pirq) -> Result {
    if !domain::is_initial() || pirq.is_in_group {
        return Ok(());
    }
    let number = pirq.number.load(Relaxed);
    let unmapped = hypercall::call::<UnmapPirq>(&mut physdev::UnmapPirq {
        domid: pirq.domain,
        pad: 0,
        pirq: number as i32,
    });
    match unmapped {
        Ok(_) => Ok(()),
        // A domain that is gone has no pirqs.
        Err(Error::ESRCH) if pirq.domain != domid::SELF => {
            pr_info!("domain {} does not have {number} anymore\n", pirq.domain);
            Ok(())
        }
        Err(error) => {
            let (irq, error_number) = (channel.irq(), error.to_raw());
            pr_warn!("unmap irq failed {error_number} (irq={irq} pirq={number})\n");
            Err(error)
        }
    }
}

/// Unmaps the pirq of an interrupt, and frees the interrupt.
#[no_mangle]
pub extern "C" fn xen_destroy_irq(irq: c_int) -> c_int {
    let result = mapping::with(|mapping| {
        let channel = mapping.of_irq(irq as u32).ok_or(Error::ENOENT)?;
        let Kind::Pirq(pirq) = &channel.kind else {
            return Err(Error::ENOENT);
        };
        unmap(channel, pirq)?;
        bind::unbind(mapping, channel);
        Ok(0)
    });
    error::to_raw(result)
}

/// The pirq of an interrupt.
fn pirq_of(irq: u32) -> Option<u32> {
    let guard = rcu::read_lock();
    match &irqs::channel(&guard, irq)?.kind {
        Kind::Pirq(pirq) => Some(pirq.number.load(Relaxed)),
        _ => None,
    }
}

/// The pirq of an interrupt; a negative error number if it has none, where C stops the kernel.
#[no_mangle]
pub extern "C" fn xen_pirq_from_irq(irq: c_uint) -> c_int {
    let pirq = pirq_of(irq).ok_or(Error::ENOENT);
    error::to_raw(pirq)
}

/// 1 if no other domain has the interrupt, 0 if one has or that is unknown. (C's name says the
/// opposite.)
#[no_mangle]
pub extern "C" fn xen_test_irq_shared(irq: c_int) -> c_int {
    let Some(pirq) = pirq_of(irq as u32) else {
        return Error::ENOENT.to_raw();
    };
    match pirq::status(pirq) {
        Ok(flags) => (flags & irqstat::SHARED == 0).into(),
        Err(_) => 0,
    }
}
