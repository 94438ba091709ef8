/* SPDX-License-Identifier: GPL-2.0 */
/*
 * C functions around a process's address space, and frames of other domains in it.
 */
#ifndef XEN_RS_MEMORY_H
#define XEN_RS_MEMORY_H

#include <linux/mm_types.h>
#include <linux/types.h>

/* linux/mmap_lock.h */
int xen_rs_mmap_write_lock_killable(struct mm_struct *mm);
void xen_rs_mmap_write_unlock(struct mm_struct *mm);
/* linux/mm.h: sets flags of an area. The lock of the area must be held. */
void xen_rs_vma_set_flags(struct vm_area_struct *vma, unsigned long flags);
/* linux/mm.h: whether any page of a range is mapped; true as well if that cannot be determined. */
bool xen_rs_range_is_mapped(struct vm_area_struct *vma, unsigned long addr, unsigned long pages);

/* linux/uaccess.h */
bool xen_rs_access_ok(unsigned long addr, unsigned long len);
unsigned long xen_rs_clear_user(unsigned long addr, unsigned long len);

/* xen/xen-ops.h: maps frames into an area with VM_IO and VM_PFNMAP, with the area's protection. */
int xen_rs_remap_gfns(struct vm_area_struct *vma, unsigned long addr, u64 *gfns, int count,
		      int *errs, unsigned int domid, struct page **pages);
int xen_rs_remap_mfns(struct vm_area_struct *vma, unsigned long addr, u64 *mfns, int count,
		      int *errs, unsigned int domid);
int xen_rs_remap_gfn_range(struct vm_area_struct *vma, unsigned long addr, u64 gfn, int count,
			   unsigned int domid);
/* xen/xen-ops.h: maps the pages of the array that vm_private_data points to. */
int xen_rs_remap_pages(struct vm_area_struct *vma, unsigned long addr, unsigned long len);
/* xen/xen.h: pages of unpopulated address space, without memory behind them. */
int xen_rs_alloc_unpopulated(unsigned int count, struct page **pages);
void xen_rs_free_unpopulated(unsigned int count, struct page **pages);

/* asm/sync_bitops.h: cmpxchg of a byte in memory shared with the hypervisor; a full barrier. */
bool xen_rs_replace_byte(u8 *at, u8 old, u8 new);

/* linux/security.h: LOCKDOWN_XEN_USER_ACTIONS. */
bool xen_rs_is_locked_down(void);

#endif
