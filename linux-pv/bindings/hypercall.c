// SPDX-License-Identifier: GPL-2.0
/*
 * Bodies of the shims declared in hypercall.h.
 */

#include <linux/export.h>
#include <asm/xen/hypercall.h>
#include <xen/xen-ops.h>

#include "hypercall.h"

int xen_rs_event_channel_op(int cmd, void *arg)
{
	return HYPERVISOR_event_channel_op(cmd, arg);
}
EXPORT_SYMBOL_GPL(xen_rs_event_channel_op);

unsigned int xen_rs_vcpu_nr(int cpu)
{
	return xen_vcpu_nr(cpu);
}
EXPORT_SYMBOL_GPL(xen_rs_vcpu_nr);
