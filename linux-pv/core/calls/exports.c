// SPDX-License-Identifier: GPL-2.0
/*
 * The export of xen_calls to modules, that of drivers/xen/features.c. It is in C because the
 * version of an export is computed from its declaration in a C header.
 */

#include <linux/export.h>
#include <xen/features.h>

EXPORT_SYMBOL_GPL(xen_features);
