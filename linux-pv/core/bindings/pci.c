// SPDX-License-Identifier: GPL-2.0
/*
 * Bodies of the shims declared in pci.h.
 */

#include <linux/irqdomain.h>
#include <linux/pci.h>
#include <linux/pci-acpi.h>
#include <asm/apic.h>
#include <asm/cpufeature.h>
#include <asm/xen/hypervisor.h>
#include <xen/xen.h>

#include "pci.h"

bool xen_core_is_pv(void)
{
	return xen_pv_domain();
}

bool xen_core_has_apic(void)
{
	return boot_cpu_has(X86_FEATURE_APIC);
}

bool xen_core_has_x2apic(void)
{
	return x2apic_mode;
}

u32 xen_core_cpuid_base(void)
{
	return xen_cpuid_base();
}

int xen_core_pci_segment(struct pci_bus *bus)
{
	return pci_domain_nr(bus);
}

acpi_handle xen_core_acpi_handle(struct device *dev)
{
	return ACPI_HANDLE(dev);
}

acpi_handle xen_core_acpi_bridge(struct pci_bus *bus)
{
	return acpi_pci_get_bridge_handle(bus);
}

bool xen_core_is_pci(struct device *dev)
{
	return dev_is_pci(dev);
}

struct fwnode_handle *xen_core_named_fwnode(const char *name)
{
	return irq_domain_alloc_named_fwnode(name);
}
