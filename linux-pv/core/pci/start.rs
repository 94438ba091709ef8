// SPDX-License-Identifier: GPL-2.0

//! What the kernel calls while it boots, to hook the rest in. These functions are in `.init.text`, since they write what is
//! only there until the kernel has booted.

use core_bindings as bindings;
use kernel::bindings as k;
use kernel::ffi::c_int;
use kernel::prelude::*;
use kernel::sync::atomic::{Atomic, Relaxed};
use xen_abi::cpuid::hvm;
use xen_irq::table::Way;

use crate::{functions, hypervisor, lines, messages, owners, table};

/// How interrupts reach this domain: 0 by its own controllers, 1 by pirqs, 2 by pirqs of the lines' numbers.
static WAY: Atomic<u32> = Atomic::new(0);

/// How interrupts reach this domain.
pub(crate) fn way() -> Way {
    match WAY.load(Relaxed) {
        0 => Way::Controllers,
        1 => Way::Pirqs,
        _ => Way::SamePirqs,
    }
}

/// For PV guests, in place of the PCI code's own start: what `x86_init.pci.arch_init` is then. `-ENODEV` in other domains.
#[no_mangle]
#[link_section = ".init.text"]
pub extern "C" fn pci_xen_init() -> c_int {
    if !hypervisor::is_pv() || hypervisor::is_initial() {
        return -(k::ENODEV as c_int);
    }
    pr_info!("PCI: setting up Xen PCI frontend stub\n");
    WAY.store(1, Relaxed);
    // SAFETY: The kernel boots on one processor, and reads these when it finds devices.
    unsafe {
        bindings::pcibios_set_cache_line_size();
        bindings::pcibios_enable_irq = Some(lines::enable_passed);
        bindings::pcibios_disable_irq = None;
        // There is no ACPI: interrupts are what the back end says.
        k::acpi_noirq = 1;
    }
    hook_messages();
    0
}

/// For HVM domains whose hypervisor offers pirqs: how lines are registered. Nothing else of ACPI changes.
#[no_mangle]
#[link_section = ".init.text"]
pub extern "C" fn pci_xen_hvm_init() -> c_int {
    if !hypervisor::has_hvm_pirqs() {
        return 0;
    }
    WAY.store(1, Relaxed);
    // SAFETY: The kernel boots on one processor. Whether there is an x2APIC is known when the last of these is called.
    unsafe {
        k::__acpi_register_gsi = Some(lines::register_virtual);
        k::__acpi_unregister_gsi = None;
        k::x86_platform.apic_post_init = Some(hook_virtual_messages);
    }
    0
}

/// For dom0, when the kernel makes its interrupts.
#[no_mangle]
#[link_section = ".init.text"]
pub extern "C" fn pci_xen_initial_domain() -> c_int {
    WAY.store(2, Relaxed);
    hook_messages();
    // SAFETY: The kernel boots on one processor.
    unsafe {
        k::__acpi_register_gsi = Some(lines::register_machines);
        k::__acpi_unregister_gsi = None;
    }
    lines::register_legacy();
    0
}

/// Messages of an HVM domain come by event channels, unless the processor serves the APIC's registers without the hypervisor:
/// then its own vectors are faster.
///
/// # Safety
///
/// The kernel calls it while it boots.
#[link_section = ".init.text"]
unsafe extern "C" fn hook_virtual_messages() {
    // SAFETY: Only reads, of the processor and of what is known by now.
    let (off, apic, x2apic, leaf) = unsafe {
        (
            bindings::apic_is_disabled,
            bindings::xen_core_has_apic(),
            bindings::xen_core_has_x2apic(),
            core::arch::x86_64::__cpuid(bindings::xen_core_cpuid_base() + 4).eax,
        )
    };
    let served =
        (leaf & hvm::X2APIC_VIRT != 0 && x2apic) || (leaf & hvm::APIC_ACCESS_VIRT != 0 && apic);
    if off || !served {
        hook_messages();
    }
}

/// The kernel makes its MSI domain by our function instead of one that nobody would use.
#[link_section = ".init.text"]
fn hook_messages() {
    // SAFETY: The kernel boots on one processor, and reads this later.
    unsafe { k::x86_init.irqs.create_pci_msi_domain = Some(messages::create_domain) };
}

/// An `arch_initcall`: before any device is found.
#[no_mangle]
#[link_section = ".init.text"]
extern "C" fn __xen_pci_early_init() -> c_int {
    owners::init();
    if hypervisor::is_there() && way() == Way::Controllers {
        lines::watch();
    }
    match hypervisor::is_initial() {
        true => functions::watch(),
        false => 0,
    }
}

/// A `device_initcall`: when there is debugfs.
#[no_mangle]
#[link_section = ".init.text"]
extern "C" fn __xen_pci_init() -> c_int {
    if hypervisor::is_there() {
        match table::Files::new() {
            // They stay for ever.
            Ok(files) => core::mem::forget(files),
            Err(error) => return error.to_errno(),
        }
    }
    0
}

// What the C macros for such calls make: the distance of the function from the place where it is noted.
core::arch::global_asm!(
    r#".section ".initcall3.init", "a"
    __xen_pci_early_initcall:
        .long __xen_pci_early_init - .
        .previous
        .section ".initcall6.init", "a"
    __xen_pci_initcall:
        .long __xen_pci_init - .
        .previous
    "#
);
