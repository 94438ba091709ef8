// SPDX-License-Identifier: GPL-2.0
/*
 * Bodies of the shims declared in hypercall.h.
 */

#include <linux/errno.h>
#include <linux/export.h>
#include <asm/xen/hypercall.h>
#include <xen/acpi.h>
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

long xen_rs_privcmd_call(unsigned int op, const u64 *args)
{
	long ret;

	xen_preemptible_hcall_begin();
	ret = privcmd_call(op, args[0], args[1], args[2], args[3], args[4]);
	xen_preemptible_hcall_end();
	return ret;
}
EXPORT_SYMBOL_GPL(xen_rs_privcmd_call);

int xen_rs_dm_op(u16 domid, unsigned int count, void *bufs)
{
	int ret;

	xen_preemptible_hcall_begin();
	ret = HYPERVISOR_dm_op(domid, count, bufs);
	xen_preemptible_hcall_end();
	return ret;
}
EXPORT_SYMBOL_GPL(xen_rs_dm_op);

int xen_rs_dm_op_brief(u16 domid, unsigned int count, void *bufs)
{
	return HYPERVISOR_dm_op(domid, count, bufs);
}
EXPORT_SYMBOL_GPL(xen_rs_dm_op_brief);

int xen_rs_memory_op(unsigned int cmd, void *arg)
{
	int ret;

	xen_preemptible_hcall_begin();
	ret = HYPERVISOR_memory_op(cmd, arg);
	xen_preemptible_hcall_end();
	return ret;
}
EXPORT_SYMBOL_GPL(xen_rs_memory_op);

int xen_rs_gsi_of_pci(u32 sbdf)
{
#ifdef CONFIG_XEN_ACPI
	return xen_acpi_get_gsi_from_sbdf(sbdf);
#else
	return -EINVAL;
#endif
}
EXPORT_SYMBOL_GPL(xen_rs_gsi_of_pci);
