/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Shims for the console (core/console). A shim is one expression of the kernel's API with a name
 * that Rust can call; its comment says why it cannot be Rust.
 */
#ifndef XEN_CORE_CONSOLE_H
#define XEN_CORE_CONSOLE_H

#include <linux/types.h>

struct console;
struct earlycon_device;

/* xen/hvm.h: an inline function around one of assembler. */
int xen_core_hvm_parameter(int index, u64 *value);

/* xen/page.h: macros that depend on the kernel's place in memory, or with exception handlers. */
void *xen_core_pv_console_page(void);
u32 xen_core_pv_console_port(void);
/* linux/mm.h: a macro that depends on the memory model, for the page that is freed in the end. */
void xen_core_end_foreign_access(u32 ref, void *virt);

/* Functions of core/console/xen_console.rs that core/console/tables.c names. */
int xen_core_xenboot_setup(struct console *console, char *options);
void xen_core_xenboot_write(struct console *console, const char *text, unsigned int len);
void xen_core_earlycon_write(struct console *console, const char *text, unsigned int len);

#endif /* XEN_CORE_CONSOLE_H */
