// SPDX-License-Identifier: GPL-2.0

//! Interrupt lines of devices: their pirqs, and the kernel's numbers for those.

use core::mem;
use core::ptr::{self, addr_of};

use core_bindings as bindings;
use kernel::bindings as k;
use kernel::ffi::{c_int, c_void};
use kernel::prelude::*;
use kernel::str::{CStr, CStrExt};
use kernel::sync::atomic::{Atomic, Relaxed};
use kernel::sync::rcu;
use xen_irq::book::{Book, Requested, Source};
use xen_irq::gsi::{self, Number, Setup};
use xen_irq::line::Line;
use xen_irq::table::Way;

use crate::device::Function;
use crate::hypervisor::{self, Xen};
use crate::{pr_trace, start};

/// How many lines the table knows. Machines with more have them beyond those of their PCI devices' pins.
pub(crate) const LINES: usize = 1024;

/// What was asked for each line.
pub(crate) static BOOK: Book<LINES> = Book::new();

/// The kernel's number for a line, if it has one.
pub(crate) fn irq_of(gsi: u32) -> Option<u32> {
    if start::way() == Way::Controllers {
        let irq = CONTROLLED.get(gsi as usize)?.load(Relaxed);
        return Some(irq).filter(|irq| *irq != 0);
    }
    // SAFETY: Takes any number.
    u32::try_from(unsafe { bindings::xen_irq_from_gsi(gsi) })
        .ok()
        .filter(|irq| *irq != 0)
}

/// How the kernel registers lines.
type Register = unsafe extern "C" fn(*mut k::device, u32, c_int, c_int) -> c_int;

/// The kernel's numbers for lines of its own controllers.
static CONTROLLED: [Atomic<u32>; LINES] = [const { Atomic::new(0) }; LINES];
/// What registers those: a [`Register`].
static CONTROLLERS: Atomic<*mut c_void> = Atomic::new(ptr::null_mut());

/// In a domain with interrupt controllers of its own, has what is asked for lines noted, for the table. Before devices are
/// found; to be called once.
pub(crate) fn watch() {
    // SAFETY: The kernel boots, and nobody else writes this any more.
    unsafe {
        if let Some(register) = k::__acpi_register_gsi {
            CONTROLLERS.store(register as *mut c_void, Relaxed);
            k::__acpi_register_gsi = Some(register_noted);
        }
    }
}

/// `__acpi_register_gsi` of such a domain: what it was before, and noted.
///
/// # Safety
///
/// The kernel calls it, with a valid device or null.
unsafe extern "C" fn register_noted(
    dev: *mut k::device,
    gsi: u32,
    trigger: c_int,
    polarity: c_int,
) -> c_int {
    let register = CONTROLLERS.load(Relaxed);
    // SAFETY: It was stored in `watch`, before the kernel knew of this function.
    let register = unsafe { mem::transmute::<*mut c_void, Register>(register) };
    // SAFETY: The caller's promise.
    let (irq, source) = unsafe { (register(dev, gsi, trigger, polarity), source(dev)) };
    let line = Line::from_acpi(trigger, polarity);
    BOOK.note(gsi, Requested { line, source }, Setup::None);
    if let (Ok(irq), Some(of)) = (u32::try_from(irq), CONTROLLED.get(gsi as usize)) {
        of.store(irq, Relaxed);
    }
    irq
}

/// Binds a pirq to a number of the kernel's, under a name that `/proc/interrupts` shows. Returns that, or an error number.
fn bind(gsi: u32, pirq: u32, shareable: bool, name: &'static CStr) -> c_int {
    // SAFETY: Takes any numbers; the name lives for ever and is only read.
    unsafe {
        bindings::xen_bind_pirq_gsi_to_irq(
            gsi,
            pirq,
            shareable.into(),
            name.as_char_ptr().cast_mut(),
        )
    }
}

/// Maps a line to a pirq, and that to a number of the kernel's. Returns that, the one that the line has, or an error number.
fn register(gsi: u32, line: Line, number: Number) -> c_int {
    if let Some(irq) = irq_of(gsi) {
        return irq as c_int;
    }
    let pirq = match gsi::map(&Xen, gsi, number) {
        Ok(pirq) => pirq,
        Err(error) => {
            pr_warn!("map irq failed {error} (gsi={gsi})\n");
            return -1;
        }
    };
    let name = match line.is_level() {
        true => c"ioapic-level",
        false => c"ioapic-edge",
    };
    let irq = bind(gsi, pirq, line.is_shareable(), name);
    if irq >= 0 {
        pr_trace!("--> pirq={pirq} -> irq={irq} (gsi={gsi})\n");
    }
    irq
}

/// Whether somebody handles an interrupt.
pub(crate) fn is_handled(irq: u32) -> bool {
    let _guard = rcu::read_lock();
    // SAFETY: Takes any number; what it returns is freed after a grace period.
    unsafe {
        let desc = k::irq_to_desc(irq);
        !desc.is_null() && !addr_of!((*desc).action).read_volatile().is_null()
    }
}

/// The I/O APIC that has a line, by its machine address, and its pin for that.
pub(crate) fn controller(gsi: u32) -> Option<(u64, u8)> {
    // SAFETY: Each takes any line, and the number of an I/O APIC that the one before has returned.
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

/// The hypervisor has set a line up for somebody who asked before, and keeps that. If it is not what a PCI device has by `_PRT`,
/// whoever asked before was wrong: the line would be as good as dead for the device. As long as nobody handles the line that
/// can be corrected, in the interrupt controller and in how the kernel handles it.
fn correct(gsi: u32, irq: c_int, line: Line) {
    let Some(((apic, pin), irq)) = controller(gsi).zip(u32::try_from(irq).ok()) else {
        return;
    };
    let Some(now) = gsi::programmed(&Xen, apic, pin).filter(|now| now.line != line) else {
        return;
    };
    let (was, is) = (now.line.name(), line.name());
    if is_handled(irq) || !gsi::correct(&Xen, apic, pin, line) {
        pr_warn!("gsi {gsi} is set up as {was}, a PCI device has it as {is}\n");
        return;
    }
    // As `xen_bind_pirq_gsi_to_irq` has it for the two kinds.
    let (handler, name): (k::irq_flow_handler_t, &'static CStr) = match line.is_level() {
        true => (Some(k::handle_fasteoi_irq), c"ioapic-level"),
        false => (Some(k::handle_edge_irq), c"ioapic-edge"),
    };
    // SAFETY: The number is that of a line, and the name lives for ever.
    unsafe { k::__irq_set_handler(irq, handler, 0, name.as_char_ptr()) };
    pr_warn!("gsi {gsi} was set up as {was}, corrected to {is}\n");
}

/// Who asks for a line.
///
/// # Safety
///
/// `dev` is a valid device or null.
unsafe fn source(dev: *mut k::device) -> Source {
    // SAFETY: The caller's promise.
    match !dev.is_null() && unsafe { bindings::xen_core_is_pci(dev) } {
        true => Source::Prt,
        false => Source::Acpi,
    }
}

/// `__acpi_register_gsi` of a PV dom0.
///
/// # Safety
///
/// The kernel calls it, with a valid device or null.
pub(crate) unsafe extern "C" fn register_machines(
    dev: *mut k::device,
    gsi: u32,
    trigger: c_int,
    polarity: c_int,
) -> c_int {
    if !hypervisor::is_pv() {
        return -1;
    }
    let line = Line::from_acpi(trigger, polarity);
    pr_trace!("registering gsi {gsi} triggering {trigger} polarity {polarity}\n");
    let irq = register(gsi, line, Number::Same);
    let setup = gsi::set_up(&Xen, gsi, line);
    match setup {
        Setup::Kept => pr_info!("Already setup the GSI :{gsi}\n"),
        Setup::Refused(error) => pr_err!("Failed to setup GSI :{gsi}, err_code:{error}\n"),
        Setup::Taken | Setup::None => (),
    }
    // SAFETY: The caller's promise.
    let source = unsafe { source(dev) };
    BOOK.note(gsi, Requested { line, source }, setup);
    if setup == Setup::Kept && source == Source::Prt {
        correct(gsi, irq, line);
    }
    irq
}

/// `__acpi_register_gsi` of an HVM domain whose interrupts come by event channels. The lines are those of its virtual machine,
/// so there is nothing to set up.
///
/// # Safety
///
/// The kernel calls it, with a valid device or null.
pub(crate) unsafe extern "C" fn register_virtual(
    dev: *mut k::device,
    gsi: u32,
    trigger: c_int,
    polarity: c_int,
) -> c_int {
    if !hypervisor::is_hvm() {
        return -1;
    }
    let line = Line::from_acpi(trigger, polarity);
    // SAFETY: The caller's promise.
    let source = unsafe { source(dev) };
    BOOK.note(gsi, Requested { line, source }, Setup::None);
    register(gsi, line, Number::Any)
}

/// The lines that drivers of old devices ask for without asking ACPI.
const LEGACY: u32 = 16;

/// Registers those, as the MADT has them. While the kernel boots.
pub(crate) fn register_legacy() {
    for gsi in 0..LEGACY {
        let (mut level, mut low) = (0, 0);
        // SAFETY: The function writes into the two.
        if unsafe { k::acpi_get_override_irq(gsi, &mut level, &mut low) } == -1 {
            continue;
        }
        let line = Line::new(level != 0, low != 0);
        let source = Source::Madt;
        BOOK.note(gsi, Requested { line, source }, Setup::None);
        register(gsi, line, Number::Same);
    }
    // SAFETY: Both are written while the kernel boots, before this is called.
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

/// `pcibios_enable_irq` of a PV guest: the back end has put the pirq where others have the line.
///
/// # Safety
///
/// The kernel calls it with a valid device.
pub(crate) unsafe extern "C" fn enable_passed(dev: *mut k::pci_dev) -> c_int {
    // SAFETY: The caller's promise.
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
    // SAFETY: Written while the kernel boots, before devices are found.
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
