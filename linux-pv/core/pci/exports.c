// SPDX-License-Identifier: GPL-2.0
/*
 * Exports of xen_pci to modules: those of arch/x86/pci/xen.c and drivers/xen/pci.c. They are in C
 * because the version of an export is computed from its declaration in a C header.
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
