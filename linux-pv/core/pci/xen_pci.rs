// SPDX-License-Identifier: GPL-2.0

//! PCI devices and their interrupts below the hypervisor, in place of `arch/x86/pci/xen.c` and `drivers/xen/pci.c`.
//!
//! | module | what it does |
//! |---|---|
//! | [`start`] | hooks the rest into the kernel while it boots, as the kind of domain wants |
//! | [`lines`] | interrupt lines: what `__acpi_register_gsi` and `pcibios_enable_irq` come to |
//! | [`messages`] | MSI and MSI-X: the kernel's MSI domain |
//! | [`functions`] | tells the hypervisor which devices there are |
//! | [`owners`] | which domain a device was given to |
//! | [`table`] | the bring-up table in debugfs |
//! | [`hypervisor`], [`device`] | the calls, and the kernel's structures |
//!
//! What is asked of the hypervisor is decided in `xen_irq`, which is tested on the host. Functions with C names are declared
//! in `asm/xen/pci.h`, `asm/xen/hypervisor.h` and `xen/pci.h`; exports are in `exports.c`.

mod device;
pub mod functions;
mod hypervisor;
mod lines;
pub mod messages;
pub mod owners;
pub mod start;
mod table;

/// What messages begin with, as those of the C objects do.
const __LOG_PREFIX: &[u8] = b"xen\0";

/// Writes to the log for those who debug, as the C objects do: also in a kernel without debugging.
#[macro_export]
macro_rules! pr_trace {
    ($($arg:tt)*) => {
        kernel::print_macro!(kernel::print::format_strings::DEBUG, false, $($arg)*)
    };
}
