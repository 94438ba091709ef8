// SPDX-License-Identifier: GPL-2.0
/*
 * What modules may use of xen_pci: the names that arch/x86/pci/xen.c and drivers/xen/pci.c export. In C because an export's
 * version is made from the declaration in the C header.
 */

#include <linux/export.h>
#include <linux/pci.h>
#include <asm/xen/pci.h>
#include <xen/pci.h>

EXPORT_SYMBOL_GPL(xen_pci_frontend);
EXPORT_SYMBOL_GPL(xen_reset_device);
EXPORT_SYMBOL_GPL(xen_find_device_domain_owner);
EXPORT_SYMBOL_GPL(xen_register_device_domain_owner);
EXPORT_SYMBOL_GPL(xen_unregister_device_domain_owner);
