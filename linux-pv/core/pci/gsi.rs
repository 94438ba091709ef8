// SPDX-License-Identifier: GPL-2.0

//! GSIs: mapping them to pirqs, and binding these to IRQs.

use core::{
    mem,
    ptr::{
        self,
        addr_of, //
    },
};

use kernel::{
    bindings as k,
    ffi::{
        c_int,
        c_void, //
    },
    prelude::*,
    str::{
        CStr,
        CStrExt, //
    },
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        rcu, //
    },
};

use core_bindings as bindings;

use xen_irq::{
    gsi::{
        self,
        GsiSetup,
        PirqNumber, //
    },
    irq_type::IrqType,
    requests::{
        GsiRequests,
        Request,
        Source, //
    },
    table::Delivery, //
};

use crate::{
    device::Function,
    hypervisor::{
        self,
        Hypervisor, //
    },
    pr_trace,
    start, //
};

/// GSIs below this number are in the debugfs file. PCI devices do not use higher ones.
pub(crate) const MAX_GSIS: usize = 1024;

/// The requests for each GSI.
pub(crate) static REQUESTS: GsiRequests<MAX_GSIS> = GsiRequests::new();

/// The IRQ of a GSI, if it has one.
pub(crate) fn irq_of(gsi: u32) -> Option<u32> {
    if start::delivery() == Delivery::VirtualApic {
        let irq = IRQS.get(gsi as usize)?.load(Relaxed);
        return Some(irq).filter(|irq| *irq != 0);
    }
    // SAFETY: The function takes any number.
    u32::try_from(unsafe { bindings::xen_irq_from_gsi(gsi) })
        .ok()
        .filter(|irq| *irq != 0)
}

/// Type of `__acpi_register_gsi`.
type RegisterGsi = unsafe extern "C" fn(*mut k::device, u32, c_int, c_int) -> c_int;

/// The IRQs of GSIs of virtual I/O APICs, 0 for none.
static IRQS: [Atomic<u32>; MAX_GSIS] = [const { Atomic::new(0) }; MAX_GSIS];
/// The [`RegisterGsi`] that [`register_recorded`] calls.
static NEXT_REGISTER: Atomic<*mut c_void> = Atomic::new(ptr::null_mut());

/// Records requests for GSIs from now on, in a domain with virtual APICs. To be called once, before
/// devices are found.
pub(crate) fn record_requests() {
    // SAFETY: Called at boot, after all other writes of this variable.
    unsafe {
        if let Some(register) = k::__acpi_register_gsi {
            NEXT_REGISTER.store(register as *mut c_void, Relaxed);
            k::__acpi_register_gsi = Some(register_recorded);
        }
    }
}

/// `__acpi_register_gsi` of a domain with virtual APICs: calls the previous function, and records
/// the request.
///
/// # Safety
///
/// To be called as `__acpi_register_gsi`, with a valid device or null.
unsafe extern "C" fn register_recorded(
    dev: *mut k::device,
    gsi: u32,
    trigger: c_int,
    polarity: c_int,
) -> c_int {
    let register = NEXT_REGISTER.load(Relaxed);
    // SAFETY: `record_requests` stored a `RegisterGsi`, before the kernel could call this function.
    let register = unsafe { mem::transmute::<*mut c_void, RegisterGsi>(register) };
    // SAFETY: By the requirement of this function.
    let (irq, source) = unsafe { (register(dev, gsi, trigger, polarity), source(dev)) };
    let irq_type = IrqType::from_acpi(trigger, polarity);
    REQUESTS.record(gsi, Request { irq_type, source }, GsiSetup::None);
    if let (Ok(irq), Some(of)) = (u32::try_from(irq), IRQS.get(gsi as usize)) {
        of.store(irq, Relaxed);
    }
    irq
}

/// Binds a pirq to an IRQ, with a name for `/proc/interrupts`. Returns the IRQ, or a negative error
/// number.
fn bind(gsi: u32, pirq: u32, shareable: bool, name: &'static CStr) -> c_int {
    // SAFETY: The function takes any numbers; the name is a static and only read.
    unsafe {
        bindings::xen_bind_pirq_gsi_to_irq(
            gsi,
            pirq,
            shareable.into(),
            name.as_char_ptr().cast_mut(),
        )
    }
}

/// Maps a GSI to a pirq, and binds that to an IRQ, unless the GSI has one. Returns the IRQ, or a
/// negative error number.
fn register(gsi: u32, irq_type: IrqType, number: PirqNumber) -> c_int {
    if let Some(irq) = irq_of(gsi) {
        return irq as c_int;
    }
    let pirq = match gsi::map(&Hypervisor, gsi, number) {
        Ok(pirq) => pirq,
        Err(error) => {
            pr_warn!("map irq failed {error} (gsi={gsi})\n");
            return -1;
        }
    };
    let name = match irq_type.is_level() {
        true => c"ioapic-level",
        false => c"ioapic-edge",
    };
    let irq = bind(gsi, pirq, irq_type.is_shareable(), name);
    if irq >= 0 {
        pr_trace!("--> pirq={pirq} -> irq={irq} (gsi={gsi})\n");
    }
    irq
}

/// Whether an IRQ has a handler.
pub(crate) fn is_handled(irq: u32) -> bool {
    let _guard = rcu::read_lock();
    // SAFETY: The function takes any number; descriptors are freed after a grace period of RCU.
    unsafe {
        let desc = k::irq_to_desc(irq);
        !desc.is_null() && !addr_of!((*desc).action).read_volatile().is_null()
    }
}

/// The I/O APIC of a GSI, by its machine address, and the pin.
pub(crate) fn ioapic_pin(gsi: u32) -> Option<(u64, u8)> {
    // SAFETY: The functions take any GSI, and the number of an I/O APIC that the first returned.
    unsafe {
        let apic = bindings::mp_find_ioapic(gsi);
        if apic < 0 {
            return None;
        }
        let pin = bindings::mp_find_ioapic_pin(apic, gsi);
        Some((
            bindings::mpc_ioapic_addr(apic).into(),
            u8::try_from(pin).ok()?,
        ))
    }
}

/// Corrects a GSI that was set up earlier with another trigger or polarity than `_PRT` has for a
/// PCI device: the device's interrupts would be lost. Possible as long as the IRQ has no handler.
/// Reprograms the I/O APIC, and changes the flow handler.
fn correct(gsi: u32, irq: c_int, irq_type: IrqType) {
    let Some(((apic, pin), irq)) = ioapic_pin(gsi).zip(u32::try_from(irq).ok()) else {
        return;
    };
    let Some(now) = gsi::programmed(&Hypervisor, apic, pin).filter(|now| now.irq_type != irq_type)
    else {
        return;
    };
    let (was, is) = (now.irq_type.name(), irq_type.name());
    if is_handled(irq) || !gsi::correct(&Hypervisor, apic, pin, irq_type) {
        pr_warn!("gsi {gsi} is set up as {was}, a PCI device has it as {is}\n");
        return;
    }
    // The flow handlers of `xen_bind_pirq_gsi_to_irq`.
    let (handler, name): (k::irq_flow_handler_t, &'static CStr) = match irq_type.is_level() {
        true => (Some(k::handle_fasteoi_irq), c"ioapic-level"),
        false => (Some(k::handle_edge_irq), c"ioapic-edge"),
    };
    // SAFETY: The IRQ is a GSI's, and the name is a static.
    unsafe { k::__irq_set_handler(irq, handler, 0, name.as_char_ptr()) };
    pr_warn!("gsi {gsi} was set up as {was}, corrected to {is}\n");
}

/// The source of a request for `dev`.
///
/// # Safety
///
/// `dev` is a valid device or null.
unsafe fn source(dev: *mut k::device) -> Source {
    // SAFETY: By the requirement of this function.
    match !dev.is_null() && unsafe { bindings::xen_core_is_pci(dev) } {
        true => Source::Prt,
        false => Source::Acpi,
    }
}

/// `__acpi_register_gsi` of a PV dom0.
///
/// # Safety
///
/// To be called as `__acpi_register_gsi`, with a valid device or null.
pub(crate) unsafe extern "C" fn register_pv_dom0(
    dev: *mut k::device,
    gsi: u32,
    trigger: c_int,
    polarity: c_int,
) -> c_int {
    if !hypervisor::is_pv() {
        return -1;
    }
    let irq_type = IrqType::from_acpi(trigger, polarity);
    pr_trace!("registering gsi {gsi} triggering {trigger} polarity {polarity}\n");
    let irq = register(gsi, irq_type, PirqNumber::SameAsGsi);
    let setup = gsi::set_up(&Hypervisor, gsi, irq_type);
    match setup {
        GsiSetup::Existed => pr_info!("Already setup the GSI :{gsi}\n"),
        GsiSetup::Refused(error) => pr_err!("Failed to setup GSI :{gsi}, err_code:{error}\n"),
        GsiSetup::Done | GsiSetup::None => (),
    }
    // SAFETY: By the requirement of this function.
    let source = unsafe { source(dev) };
    REQUESTS.record(gsi, Request { irq_type, source }, setup);
    if setup == GsiSetup::Existed && source == Source::Prt {
        correct(gsi, irq, irq_type);
    }
    irq
}

/// `__acpi_register_gsi` of an HVM domain with pirqs. Its GSIs are virtual, so nothing is
/// programmed.
///
/// # Safety
///
/// To be called as `__acpi_register_gsi`, with a valid device or null.
pub(crate) unsafe extern "C" fn register_hvm(
    dev: *mut k::device,
    gsi: u32,
    trigger: c_int,
    polarity: c_int,
) -> c_int {
    if !hypervisor::is_hvm() {
        return -1;
    }
    let irq_type = IrqType::from_acpi(trigger, polarity);
    // SAFETY: By the requirement of this function.
    let source = unsafe { source(dev) };
    REQUESTS.record(gsi, Request { irq_type, source }, GsiSetup::None);
    register(gsi, irq_type, PirqNumber::Any)
}

/// The number of ISA interrupts, which drivers use without ACPI.
const LEGACY: u32 = 16;

/// Registers the ISA interrupts, with trigger and polarity from the MADT. To be called at boot.
pub(crate) fn register_legacy() {
    for gsi in 0..LEGACY {
        let (mut level, mut low) = (0, 0);
        // SAFETY: Both pointers are to locals.
        if unsafe { k::acpi_get_override_irq(gsi, &mut level, &mut low) } == -1 {
            continue;
        }
        let irq_type = IrqType::new(level != 0, low != 0);
        let source = Source::Madt;
        REQUESTS.record(gsi, Request { irq_type, source }, GsiSetup::None);
        register(gsi, irq_type, PirqNumber::SameAsGsi);
    }
    // SAFETY: Both are written at boot before this is called.
    let (apics, legacy) = unsafe {
        let pic = addr_of!(bindings::legacy_pic).read();
        (addr_of!(bindings::nr_ioapics).read(), (*pic).nr_legacy_irqs)
    };
    if apics == 0 {
        for gsi in 0..legacy as u32 {
            bind(gsi, gsi, false, c"xt-pic");
        }
    }
}

/// `pcibios_enable_irq` of a PV domU: the backend emulates the interrupt line register, which holds
/// the pirq.
///
/// # Safety
///
/// To be called as `pcibios_enable_irq`, with a valid device.
pub(crate) unsafe extern "C" fn enable_passed_through(dev: *mut k::pci_dev) -> c_int {
    // SAFETY: By the requirement of this function.
    let function = unsafe { Function::from_raw(dev) };
    let pirq = match function.config(k::PCI_INTERRUPT_LINE) {
        Ok(pirq) => u32::from(pirq),
        Err(error) => {
            dev_warn!(
                function.device(),
                "Xen PCI: failed to read interrupt line: {error}\n"
            );
            return error;
        }
    };
    // SAFETY: Written at boot, before devices are found.
    let legacy = unsafe { (*addr_of!(bindings::legacy_pic).read()).nr_legacy_irqs };
    let irq = bind(pirq, pirq, pirq >= legacy as u32, c"pcifront");
    if irq < 0 {
        dev_warn!(
            function.device(),
            "Xen PCI: failed to bind GSI{pirq} (PIRQ{pirq}) to IRQ: {irq}\n"
        );
        return irq;
    }
    function.set_irq(irq as u32);
    dev_info!(function.device(), "Xen PCI mapped GSI{pirq} to IRQ{irq}\n");
    0
}
