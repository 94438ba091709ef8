// SPDX-License-Identifier: GPL-2.0
/*
 * Bodies of the shims declared in time.h.
 */

#include <linux/jump_label.h>
#include <asm/xen/hypercall.h>

#include "time.h"

int xen_core_vcpu_op(int cmd, int vcpu, void *arg)
{
	return HYPERVISOR_vcpu_op(cmd, vcpu, arg);
}

int xen_core_vm_assist(unsigned int cmd, unsigned int type)
{
	return HYPERVISOR_vm_assist(cmd, type);
}

void xen_core_static_key_inc(struct static_key *key)
{
	static_key_slow_inc(key);
}
