// SPDX-License-Identifier: GPL-2.0
/*
 * Bodies of the shims declared in shims.h.
 */

#include <linux/dma-direct.h>
#include <linux/dma-map-ops.h>
#include <linux/mm.h>
#include <linux/page-flags.h>
#include <linux/scatterlist.h>
#include <linux/spinlock.h>
#include <linux/swiotlb.h>
#include <linux/workqueue.h>
#include <asm/xen/hypervisor.h>
#include <trace/events/swiotlb.h>
#include <xen/page.h>

#include "shims.h"

/*
 * DMA on x86 is coherent with the caches, so no buffer of kmalloc() is bounced for its alignment.
 */
static_assert(!IS_ENABLED(CONFIG_DMA_BOUNCE_UNALIGNED_KMALLOC));

unsigned long xen_core_bfn_to_local_pfn(unsigned long mfn)
{
	return bfn_to_local_pfn(mfn);
}

void *xen_core_phys_to_virt(phys_addr_t phys)
{
	return phys_to_virt(phys);
}

phys_addr_t xen_core_virt_to_phys(void *virt)
{
	return virt_to_phys(virt);
}

phys_addr_t xen_core_sg_phys(struct scatterlist *sg)
{
	return sg_phys(sg);
}

unsigned long xen_core_virt_to_gfn(void *virt)
{
	return virt_to_gfn(virt);
}

u32 xen_core_xen_cpuid_base(void)
{
	return xen_cpuid_base();
}

void xen_core_raw_spin_lock_init(raw_spinlock_t *lock)
{
	raw_spin_lock_init(lock);
}

void xen_core_init_delayed_work(struct delayed_work *work, work_func_t function)
{
	INIT_DELAYED_WORK(work, function);
}

void xen_core_set_exchanged(void *virt)
{
	SetPageXenRemapped(virt_to_page(virt));
}

bool xen_core_is_exchanged(void *virt)
{
	return PageXenRemapped(virt_to_page(virt));
}

bool xen_core_test_clear_exchanged(void *virt)
{
	return TestClearPageXenRemapped(virt_to_page(virt));
}

dma_addr_t xen_core_phys_to_dma(struct device *dev, phys_addr_t phys)
{
	return phys_to_dma(dev, phys);
}

phys_addr_t xen_core_dma_to_phys(struct device *dev, dma_addr_t dma)
{
	return dma_to_phys(dev, dma);
}

void xen_core_reset_need_sync(struct device *dev)
{
	dma_reset_need_sync(dev);
}

struct io_tlb_pool *xen_core_find_pool(struct device *dev, phys_addr_t phys)
{
	return swiotlb_find_pool(dev, phys);
}

void xen_core_trace_bounced(struct device *dev, dma_addr_t dma, size_t size)
{
	trace_swiotlb_bounced(dev, dma, size);
}
