// SPDX-License-Identifier: GPL-2.0

//! Initialisation: installing the callbacks of the other modules at boot. The functions are in
//! `.init.text`, since they write variables that exist only during boot.

use kernel::{
    bindings as k,
    ffi::c_int,
    prelude::*,
    sync::atomic::{
        Atomic,
        Relaxed, //
    },
};

use core_bindings as bindings;
use xen_abi::cpuid::hvm;
use xen_irq::table::Delivery;

use crate::{
    functions,
    gsi,
    hypervisor,
    msi,
    owners, //
};

/// How interrupts are delivered: 0 for `VirtualApic`, 1 for `Pirqs`, 2 for `GsiPirqs`.
static DELIVERY: Atomic<u32> = Atomic::new(0);

/// How interrupts are delivered to this domain.
pub(crate) fn delivery() -> Delivery {
    match DELIVERY.load(Relaxed) {
        0 => Delivery::VirtualApic,
        1 => Delivery::Pirqs,
        _ => Delivery::GsiPirqs,
    }
}

/// `x86_init.pci.arch_init` of PV domUs. Returns `-ENODEV` in other domains.
#[no_mangle]
#[link_section = ".init.text"]
pub extern "C" fn pci_xen_init() -> c_int {
    if !hypervisor::is_pv() || hypervisor::is_initial() {
        return -(k::ENODEV as c_int);
    }
    pr_info!("PCI: setting up Xen PCI frontend stub\n");
    DELIVERY.store(1, Relaxed);
    // SAFETY: Only one CPU runs at boot, and these are read when devices are found.
    unsafe {
        bindings::pcibios_set_cache_line_size();
        bindings::pcibios_enable_irq = Some(gsi::enable_passed_through);
        bindings::pcibios_disable_irq = None;
        // There is no ACPI: the backend emulates the interrupt registers.
        k::acpi_noirq = 1;
    }
    hook_msi();
    0
}

/// Initialises HVM domains with pirqs: replaces the function that registers GSIs.
#[no_mangle]
#[link_section = ".init.text"]
pub extern "C" fn pci_xen_hvm_init() -> c_int {
    if !hypervisor::has_hvm_pirqs() {
        return 0;
    }
    DELIVERY.store(1, Relaxed);
    // SAFETY: Only one CPU runs at boot. `apic_post_init` is called when x2APIC mode is decided.
    unsafe {
        k::__acpi_register_gsi = Some(gsi::register_hvm);
        k::__acpi_unregister_gsi = None;
        k::x86_platform.apic_post_init = Some(hook_hvm_msi);
    }
    0
}

/// Initialises PV dom0, when the kernel initialises its interrupts.
#[no_mangle]
#[link_section = ".init.text"]
pub extern "C" fn pci_xen_initial_domain() -> c_int {
    DELIVERY.store(2, Relaxed);
    hook_msi();
    // SAFETY: Only one CPU runs at boot.
    unsafe {
        k::__acpi_register_gsi = Some(gsi::register_pv_dom0);
        k::__acpi_unregister_gsi = None;
    }
    gsi::register_legacy();
    0
}

/// Selects pirqs for the MSIs of an HVM domain, unless the CPU virtualises APIC registers: then
/// vectors of the virtual APIC are faster.
///
/// # Safety
///
/// To be called at boot.
#[link_section = ".init.text"]
unsafe extern "C" fn hook_hvm_msi() {
    // SAFETY: Only reads CPUID and variables that are initialised by now.
    let (off, apic, x2apic, leaf) = unsafe {
        (
            bindings::apic_is_disabled,
            bindings::xen_core_has_apic(),
            bindings::xen_core_has_x2apic(),
            core::arch::x86_64::__cpuid(bindings::xen_core_cpuid_base() + 4).eax,
        )
    };
    let virtualised =
        (leaf & hvm::X2APIC_VIRT != 0 && x2apic) || (leaf & hvm::APIC_ACCESS_VIRT != 0 && apic);
    if off || !virtualised {
        hook_msi();
    }
}

/// Installs the function that creates the MSI domain.
#[link_section = ".init.text"]
fn hook_msi() {
    // SAFETY: Only one CPU runs at boot, and this is read later.
    unsafe { k::x86_init.irqs.create_pci_msi_domain = Some(msi::create_domain) };
}

/// An `arch_initcall`: runs before any device is found.
#[link_section = ".init.text"]
extern "C" fn before_devices() -> c_int {
    owners::init();
    if hypervisor::is_there() && delivery() == Delivery::VirtualApic {
        gsi::record_requests();
    }
    match hypervisor::is_initial() {
        true => functions::register_notifier(),
        false => 0,
    }
}

xen_core::initcall!(arch, before_devices);
