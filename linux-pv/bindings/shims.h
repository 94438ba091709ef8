/* SPDX-License-Identifier: GPL-2.0 */
/*
 * C functions around what bindgen cannot translate: macros and static inline functions. A shim is
 * one expression of the kernel's API with a name that Rust can call, without a decision of its own.
 */
#ifndef XEN_RS_SHIMS_H
#define XEN_RS_SHIMS_H

#include <linux/device.h>
#include <linux/mm_types.h>
#include <linux/spinlock_types.h>
#include <linux/spinlock.h>
#include <linux/types.h>

/* xen/page.h: the number of a page's frame for other domains (PV: of the machine frame). */
unsigned long xen_rs_page_to_gfn(struct page *page);

/* The same of a page by its kernel address, which is one of the direct mapping. */
unsigned long xen_rs_virt_to_gfn(const void *virt);
/* linux/mm.h: kernel address of a page that is not in high memory. */
void *xen_rs_page_address(struct page *page);
/* linux/vmalloc.h: maps pages to consecutive kernel addresses. */
void *xen_rs_vmap(struct page **pages, unsigned int count);
/* memcpy() and memset() of memory that another domain may change meanwhile. */
void xen_rs_copy(void *to, const void *from, size_t len);
/* linux/highmem.h: memcpy_from_page() and memcpy_to_page(), to and from such memory. */
void xen_rs_copy_from_page(void *to, struct page *page, size_t offset, size_t len);
void xen_rs_copy_to_page(struct page *page, size_t offset, const void *from, size_t len);
void xen_rs_zero(void *to, size_t len);

/* linux/sched/mm.h: allocations of this task do not start I/O. */
unsigned int xen_rs_noio_save(void);
void xen_rs_noio_restore(unsigned int flags);

/* linux/spinlock.h */
unsigned long xen_rs_spin_lock_irqsave(spinlock_t *lock);
int xen_rs_spin_trylock_irqsave(spinlock_t *lock, unsigned long *flags);
void xen_rs_spin_unlock_irqrestore(spinlock_t *lock, unsigned long flags);
void xen_rs_raw_spin_lock_init(raw_spinlock_t *lock, const char *name, struct lock_class_key *key);
int xen_rs_raw_spin_trylock_irqsave(raw_spinlock_t *lock, unsigned long *flags);
void xen_rs_spin_lock_bh(spinlock_t *lock);
int xen_rs_spin_trylock_bh(spinlock_t *lock);
void xen_rs_spin_unlock_bh(spinlock_t *lock);

/* linux/device.h */
void xen_rs_device_lock(struct device *dev);
bool xen_rs_device_trylock(struct device *dev);
void xen_rs_device_unlock(struct device *dev);

/*
 * linux/preempt.h: whether the caller may sleep; false as well if the kernel does not count
 * preemption.
 */
bool xen_rs_may_sleep(void);

/* linux/nodemask.h */
int xen_rs_first_online_node(void);

/* asm/barrier.h: a full barrier between this domain and another, in uniprocessor kernels too. */
void xen_rs_virt_mb(void);

/* linux/interrupt.h: binds an interrupt to a CPU; -EINVAL if there is no such CPU. */
int xen_rs_irq_set_cpu(unsigned int irq, unsigned int cpu);

/* linux/blkdev.h */
struct gendisk;
void xen_rs_disk_set_dead(struct gendisk *disk);

/* xen/xen.h: what kind of domain this is. */
bool xen_rs_domain(void);
bool xen_rs_hvm_domain(void);
bool xen_rs_pvh_domain(void);
bool xen_rs_initial_domain(void);
/* xen/platform_pci.h: whether the platform leaves this class of devices to PV drivers. */
bool xen_rs_has_pv_devices(void);
bool xen_rs_has_pv_disk_devices(void);
bool xen_rs_has_pv_nic_devices(void);
bool xen_rs_has_pv_and_legacy_disk_devices(void);

#endif
