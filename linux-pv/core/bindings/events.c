// SPDX-License-Identifier: GPL-2.0
/*
 * Bodies of the shims declared in events.h.
 */

#include <linux/cpumask.h>
#include <linux/irq.h>
#include <asm/cpufeature.h>
#include <asm/desc.h>
#include <asm/idtentry.h>
#include <asm/irq_vectors.h>

#include "events.h"

void xen_core_init_rcu_work(struct rcu_work *work, work_func_t function)
{
	INIT_RCU_WORK(work, function);
}

void xen_core_irq_set_affinity(struct irq_data *data, unsigned int cpu)
{
	irq_data_update_affinity(data, cpumask_of(cpu));
}

void xen_core_irq_set_effective_affinity(struct irq_data *data, unsigned int cpu)
{
	irq_data_update_effective_affinity(data, cpumask_of(cpu));
}

void __init xen_core_install_upcall_vector(void)
{
	sysvec_install(HYPERVISOR_CALLBACK_VECTOR, sysvec_xen_hvm_callback);
}
