/* SPDX-License-Identifier: GPL-2.0 */
/*
 * C functions around a program's address space and other domains' frames in it.
 */
#ifndef XEN_RS_MEMORY_H
#define XEN_RS_MEMORY_H

#include <linux/mm_types.h>
#include <linux/types.h>

/* linux/mmap_lock.h */
int xen_rs_mmap_write_lock_killable(struct mm_struct *mm);
void xen_rs_mmap_write_unlock(struct mm_struct *mm);
/* linux/mm.h: sets flags of an area, whose lock is held. */
void xen_rs_vma_set_flags(struct vm_area_struct *vma, unsigned long flags);
/* linux/mm.h: whether any page of a range is mapped, or that could not be found out. */
bool xen_rs_range_is_mapped(struct vm_area_struct *vma, unsigned long addr, unsigned long pages);

/* linux/uaccess.h */
bool xen_rs_access_ok(unsigned long addr, unsigned long len);
unsigned long xen_rs_clear_user(unsigned long addr, unsigned long len);

/* xen/xen-ops.h: puts frames into an area that has VM_IO and VM_PFNMAP, with the area's protection. */
int xen_rs_remap_gfns(struct vm_area_struct *vma, unsigned long addr, u64 *gfns, int count, int *errs,
		      unsigned int domid, struct page **pages);
int xen_rs_remap_mfns(struct vm_area_struct *vma, unsigned long addr, u64 *mfns, int count, int *errs,
		      unsigned int domid);
int xen_rs_remap_gfn_range(struct vm_area_struct *vma, unsigned long addr, u64 gfn, int count,
			   unsigned int domid);
/* xen/xen-ops.h: puts the pages that the area's data is an array of into the area. */
int xen_rs_remap_pages(struct vm_area_struct *vma, unsigned long addr, unsigned long len);
/* xen/xen.h: pages without memory behind them. */
int xen_rs_alloc_unpopulated(unsigned int count, struct page **pages);
void xen_rs_free_unpopulated(unsigned int count, struct page **pages);

/* linux/atomic.h: stores a byte in memory shared with the hypervisor if it is `old`; a full barrier. */
bool xen_rs_replace_byte(u8 *at, u8 old, u8 new);

/* linux/security.h: whether user programs must not get at what the kernel protects from them. */
bool xen_rs_is_locked_down(void);

#endif
