/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Inline functions around the hypercalls that the device files of the toolstack make.
 */
#ifndef XEN_RS_HYPERCALL_H
#define XEN_RS_HYPERCALL_H

#include <linux/types.h>

/* asm/xen/hypercall.h: event_channel_op with a command's structure. */
int xen_rs_event_channel_op(int cmd, void *arg);
/* xen/xen-ops.h: the hypervisor's number of a CPU of this domain. */
unsigned int xen_rs_vcpu_nr(int cpu);

/*
 * asm/xen/hypercall.h: hypercalls that may take long. The hypervisor may access user memory in
 * privcmd_call() and dm_op(). A kernel without preemption may be preempted in them.
 */
long xen_rs_privcmd_call(unsigned int op, const u64 *args);
int xen_rs_dm_op(u16 domid, unsigned int count, void *bufs);
int xen_rs_memory_op(unsigned int cmd, void *arg);

/* asm/xen/hypercall.h: dm_op for operations that do not take long. Any context. */
int xen_rs_dm_op_brief(u16 domid, unsigned int count, void *bufs);

/* xen/acpi.h: GSI of a PCI device, or an error. */
int xen_rs_gsi_of_pci(u32 sbdf);

#endif
