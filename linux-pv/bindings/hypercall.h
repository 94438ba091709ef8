/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The kernel's hypercall inlines that the device nodes of the toolstack need.
 */
#ifndef XEN_RS_HYPERCALL_H
#define XEN_RS_HYPERCALL_H

#include <linux/types.h>

/* asm/xen/hypercall.h: event_channel_op with a command's structure. */
int xen_rs_event_channel_op(int cmd, void *arg);
/* xen/xen-ops.h: number that the hypervisor knows a CPU of ours by. */
unsigned int xen_rs_vcpu_nr(int cpu);

#endif
