// SPDX-License-Identifier: GPL-2.0

//! PCI devices and their interrupts in a Xen domain, in place of `arch/x86/pci/xen.c` and
//! `drivers/xen/pci.c`.
//!
//! | module | concept |
//! |---|---|
//! | [`start`] | installs the callbacks of the other modules at boot, by type of domain |
//! | [`gsi`] | GSIs: `__acpi_register_gsi` and `pcibios_enable_irq` |
//! | [`msi`] | MSI and MSI-X: the kernel's MSI domain |
//! | [`functions`] | reports PCI functions to the hypervisor |
//! | [`owners`] | the domains that devices are passed to |
//! | [`table`] | the debugfs file `interrupts` |
//! | [`hypervisor`], [`device`] | hypercalls; the kernel's structures |
//!
//! The arguments of hypercalls are made in `xen_irq`, which is tested on the host. Functions with C
//! names are declared in `asm/xen/pci.h`, `asm/xen/hypervisor.h` and `xen/pci.h`; exports are in
//! `exports.c`.

mod device;
pub mod functions;
mod gsi;
mod hypervisor;
pub mod msi;
pub mod owners;
pub mod start;
mod table;

/// Prefix of messages in the log, that of the C objects.
const __LOG_PREFIX: &[u8] = b"xen\0";

/// Logs at level "debug". Unlike `pr_debug!` not compiled out, as in the C objects.
#[macro_export]
macro_rules! pr_trace {
    ($($arg:tt)*) => {
        kernel::print_macro!(kernel::print::format_strings::DEBUG, false, $($arg)*)
    };
}
