/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Shims for event channels (core/events). A shim is one expression of the kernel's API with a name
 * that Rust can call; its comment says why it cannot be Rust.
 */
#ifndef XEN_CORE_EVENTS_H
#define XEN_CORE_EVENTS_H

#include <linux/param.h>
#include <linux/types.h>
#include <linux/workqueue.h>

struct irq_data;

/* linux/workqueue.h: a macro with a static variable. */
void xen_core_init_rcu_work(struct rcu_work *work, work_func_t function);

/* linux/irq.h: inline, for masks whose place depends on the configuration. */
void xen_core_irq_set_affinity(struct irq_data *data, unsigned int cpu);
void xen_core_irq_set_effective_affinity(struct irq_data *data, unsigned int cpu);

/* asm/idtentry.h: a macro, for an entry that has two names. */
void xen_core_install_upcall_vector(void);

/* Parameters of the command line, in core/events/tables.c. */
extern unsigned int xen_core_event_loop_timeout;
extern unsigned int xen_core_event_eoi_delay;

/* asm/param.h: jiffies of a second. The kernel's bindings have the number for programs. */
static const unsigned int __maybe_unused XEN_CORE_HZ = HZ;

#endif /* XEN_CORE_EVENTS_H */
