// SPDX-License-Identifier: GPL-2.0
/*
 * Bodies of the shims declared in calls.h.
 */

#include <linux/instruction_pointer.h>
#include <linux/irqflags.h>
#include <linux/panic.h>
#include <linux/percpu.h>
#include <trace/events/xen.h>

/* arch/x86/xen, a folder that the rules name. */
#include <xen-ops.h>

#include "calls.h"

unsigned long xen_core_irq_save(void)
{
	unsigned long flags;

	local_irq_save(flags);
	return irqs_disabled_flags(flags) ? 0 : flags;
}

void xen_core_irq_restore(unsigned long flags)
{
	local_irq_restore(flags);
}

void __percpu *xen_core_alloc_percpu(size_t size, size_t align)
{
	return __alloc_percpu(size, align);
}

void xen_core_stop(const char *text)
{
	panic("%s\n", text);
}

void xen_core_trace_mc_entry_alloc(size_t args)
{
	trace_xen_mc_entry_alloc(args);
}

void xen_core_trace_mc_extend_args(unsigned long op, size_t args, int result)
{
	trace_xen_mc_extend_args(op, args, result);
}

void xen_core_trace_mc_flush_reason(int reason)
{
	trace_xen_mc_flush_reason(reason);
}

void xen_core_trace_mc_flush(unsigned int calls, unsigned int args, unsigned int callbacks)
{
	trace_xen_mc_flush(calls, args, callbacks);
}

void xen_core_trace_mc_callback(void (*fn)(void *), void *data)
{
	trace_xen_mc_callback(fn, data);
}

struct multicall_space __xen_mc_entry(size_t args)
{
	return xen_core_mc_entry(args, _RET_IP_);
}
