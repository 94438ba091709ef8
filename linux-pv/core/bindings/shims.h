/* SPDX-License-Identifier: GPL-2.0 */
/*
 * C functions around what bindgen cannot translate, for built-in objects. A shim is one expression
 * of the kernel's API with a name that Rust can call; its comment says why it cannot be Rust.
 */
#ifndef XEN_CORE_SHIMS_H
#define XEN_CORE_SHIMS_H

#include <linux/dma-direction.h>
#include <linux/mm_types.h>
#include <linux/spinlock_types_raw.h>
#include <linux/types.h>
#include <linux/workqueue_types.h>

struct delayed_work;
struct device;
struct io_tlb_pool;
struct scatterlist;

/*
 * xen/page.h: the pfn of a machine frame, ~0 if the frame is not this domain's. Inline: reads a
 * table with an exception handler (assembler).
 */
unsigned long xen_core_bfn_to_local_pfn(unsigned long mfn);

/* asm/page.h: macros that depend on the kernel's place in memory (KASLR). */
void *xen_core_phys_to_virt(phys_addr_t phys);
phys_addr_t xen_core_virt_to_phys(void *virt);
/* linux/scatterlist.h: macros that depend on the memory model. */
phys_addr_t xen_core_sg_phys(struct scatterlist *sg);

/* xen/page.h: the frame of a page as the hypervisor knows it. Inline, with an exception handler. */
unsigned long xen_core_virt_to_gfn(void *virt);
/* asm/xen/hypervisor.h: where Xen's CPUID leaves begin. An inline function of assembler. */
u32 xen_core_xen_cpuid_base(void);

/* linux/spinlock.h, linux/workqueue.h: macros with static variables. */
void xen_core_raw_spin_lock_init(raw_spinlock_t *lock);
void xen_core_init_delayed_work(struct delayed_work *work, work_func_t function);

/* linux/page-flags.h: whether memory was exchanged, to be undone before it is freed. Macros. */
void xen_core_set_exchanged(void *virt);
bool xen_core_is_exchanged(void *virt);
bool xen_core_test_clear_exchanged(void *virt);

/* linux/dma-direct.h: between physical addresses and those on a device's bus. Inline. */
dma_addr_t xen_core_phys_to_dma(struct device *dev, phys_addr_t phys);
phys_addr_t xen_core_dma_to_phys(struct device *dev, dma_addr_t dma);
/* linux/dma-map-ops.h: ends skipping of a driver's sync calls. Inline, and not in all kernels. */
void xen_core_reset_need_sync(struct device *dev);
/* linux/swiotlb.h: the pool that an address is in, with dynamic pools. Inline, with a barrier. */
struct io_tlb_pool *xen_core_find_pool(struct device *dev, phys_addr_t phys);

/* trace/events/swiotlb.h: a tracepoint. Macros. */
void xen_core_trace_bounced(struct device *dev, dma_addr_t dma, size_t size);

#endif /* XEN_CORE_SHIMS_H */
