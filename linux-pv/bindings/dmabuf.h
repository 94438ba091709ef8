/* SPDX-License-Identifier: GPL-2.0 */
/*
 * C functions around dma-bufs, buffers that several drivers share.
 */
#ifndef XEN_RS_DMABUF_H
#define XEN_RS_DMABUF_H

#include <linux/dma-map-ops.h>
#include <linux/mm_types.h>
#include <linux/scatterlist.h>
#include <linux/types.h>

/* linux/dma-mapping.h: synchronises a table's memory for the CPUs, or for its device again. */
void xen_rs_sgtable_for_cpu(struct device *dev, struct sg_table *table,
			    enum dma_data_direction direction);
void xen_rs_sgtable_for_device(struct device *dev, struct sg_table *table,
			       enum dma_data_direction direction);

/* linux/scatterlist.h: an entry's physical address; making that its DMA address too. */
u64 xen_rs_sg_phys(struct scatterlist *entry);
void xen_rs_sg_map_there(struct scatterlist *entry);
/* linux/mm.h: the page of ordinary memory at a physical address, or NULL if there is none. */
struct page *xen_rs_memory_at(u64 phys);

#endif
