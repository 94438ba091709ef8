// SPDX-License-Identifier: GPL-2.0
/*
 * Exports the Rust symbols of the crates in xen_rs.ko to the drivers, as the kernel's
 * rust/exports.c does for its crates. The list is generated from the object files.
 */

#include <linux/export.h>

#define EXPORT_SYMBOL_RUST_GPL(sym) extern int sym; EXPORT_SYMBOL_GPL(sym)

#include "exports_generated.h"
