// SPDX-License-Identifier: GPL-2.0
/*
 * What modules may use of xen_acpi: the names that drivers/xen/acpi.c exports. In C because an export's version is made from
 * the declaration in the C header.
 */

#include <linux/export.h>
#include <linux/pci.h>
#include <xen/acpi.h>

EXPORT_SYMBOL_GPL(xen_acpi_get_gsi_info);
EXPORT_SYMBOL_GPL(xen_acpi_register_get_gsi_func);
EXPORT_SYMBOL_GPL(xen_acpi_get_gsi_from_sbdf);
