// SPDX-License-Identifier: GPL-2.0
/*
 * Exports of xen_acpi to modules: those of drivers/xen/acpi.c. They are in C because the version of
 * an export is computed from its declaration in a C header.
 */

#include <linux/export.h>
#include <linux/pci.h>
#include <xen/acpi.h>

EXPORT_SYMBOL_GPL(xen_acpi_get_gsi_info);
EXPORT_SYMBOL_GPL(xen_acpi_register_get_gsi_func);
EXPORT_SYMBOL_GPL(xen_acpi_get_gsi_from_sbdf);
