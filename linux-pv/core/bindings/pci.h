/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Shims for PCI, ACPI and interrupts (core/pci, core/acpi). A shim is one expression of the
 * kernel's API with a name that Rust can call; its comment says why it cannot be Rust.
 */
#ifndef XEN_CORE_PCI_H
#define XEN_CORE_PCI_H

#include <linux/acpi.h>
#include <linux/msi.h>
#include <linux/types.h>

struct device;
struct fwnode_handle;
struct pci_bus;

/* xen/xen.h: a test of a CPU feature, which is patched into the code. */
bool xen_core_is_pv(void);
/* asm/cpufeature.h: likewise. */
bool xen_core_has_apic(void);
/* asm/apic.h: a variable or a macro, depending on the configuration. */
bool xen_core_has_x2apic(void);
/* asm/xen/hypervisor.h: an inline function that looks for the hypervisor's CPUID leaves. */
u32 xen_core_cpuid_base(void);

/* linux/pci.h: the segment of a bus. Inline, several versions. */
int xen_core_pci_segment(struct pci_bus *bus);
/*
 * linux/acpi.h, linux/pci-acpi.h: the ACPI object of a device, or of a bus's bridge. Macro; inline.
 */
acpi_handle xen_core_acpi_handle(struct device *dev);
acpi_handle xen_core_acpi_bridge(struct pci_bus *bus);
/* linux/pci.h: whether a device is a PCI device. A macro. */
bool xen_core_is_pci(struct device *dev);

/* linux/msi.h: enumerators without an enumeration, which bindgen numbers. */
static const u32 XEN_CORE_MSI_FLAGS = MSI_FLAG_PCI_MSIX | MSI_FLAG_FREE_MSI_DESCS |
				      MSI_FLAG_DEV_SYSFS | MSI_FLAG_NO_MASK;
/* linux/irqdomain.h: inline, around a function whose arguments differ between kernels. */
struct fwnode_handle *xen_core_named_fwnode(const char *name);

#endif /* XEN_CORE_PCI_H */
