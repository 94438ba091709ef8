// SPDX-License-Identifier: GPL-2.0
/*
 * Bodies of the shims declared in dmabuf.h. The functions of dma-buf are exported in a namespace.
 */

#include <linux/dma-mapping.h>
#include <linux/export.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/module.h>

#include "dmabuf.h"

MODULE_IMPORT_NS("DMA_BUF");

void xen_rs_sgtable_for_cpu(struct device *dev, struct sg_table *table,
			    enum dma_data_direction direction)
{
	dma_sync_sgtable_for_cpu(dev, table, direction);
}
EXPORT_SYMBOL_GPL(xen_rs_sgtable_for_cpu);

void xen_rs_sgtable_for_device(struct device *dev, struct sg_table *table,
			       enum dma_data_direction direction)
{
	dma_sync_sgtable_for_device(dev, table, direction);
}
EXPORT_SYMBOL_GPL(xen_rs_sgtable_for_device);

u64 xen_rs_sg_phys(struct scatterlist *entry)
{
	return sg_phys(entry);
}
EXPORT_SYMBOL_GPL(xen_rs_sg_phys);

void xen_rs_sg_map_there(struct scatterlist *entry)
{
	sg_dma_address(entry) = sg_phys(entry);
	sg_dma_len(entry) = entry->length;
}
EXPORT_SYMBOL_GPL(xen_rs_sg_map_there);

struct page *xen_rs_memory_at(u64 phys)
{
	unsigned long pfn = PHYS_PFN(phys);
	struct page *page;

	if (PFN_PHYS(pfn) != (phys & PAGE_MASK) || !pfn_valid(pfn))
		return NULL;
	page = pfn_to_page(pfn);
	return is_zone_device_page(page) ? NULL : page;
}
EXPORT_SYMBOL_GPL(xen_rs_memory_at);
