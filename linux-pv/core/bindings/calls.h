/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Shims for hypercalls (core/calls). A shim is one expression of the kernel's API with a name that
 * Rust can call; its comment says why it cannot be Rust.
 */
#ifndef XEN_CORE_CALLS_H
#define XEN_CORE_CALLS_H

#include <linux/types.h>

struct multicall_space;

/* linux/irqflags.h: macros, with hooks for lockdep. */
unsigned long xen_core_irq_save(void);
void xen_core_irq_restore(unsigned long flags);

/* linux/percpu.h: a macro. */
void __percpu *xen_core_alloc_percpu(size_t size, size_t align);

/* linux/panic.h: panics with a text. Variable arguments. */
void xen_core_stop(const char *text);

/* trace/events/xen.h: tracepoints. Macros. */
void xen_core_trace_mc_entry_alloc(size_t args);
void xen_core_trace_mc_extend_args(unsigned long op, size_t args, int result);
void xen_core_trace_mc_flush_reason(int reason);
void xen_core_trace_mc_flush(unsigned int calls, unsigned int args, unsigned int callbacks);
void xen_core_trace_mc_callback(void (*fn)(void *), void *data);

/* Function of core/calls/multicalls.rs: __xen_mc_entry() and who has called it. */
struct multicall_space xen_core_mc_entry(size_t args, unsigned long caller);

#endif /* XEN_CORE_CALLS_H */
