// SPDX-License-Identifier: GPL-2.0
/*
 * Bodies of the shims declared in memory.h.
 */

#include <linux/atomic.h>
#include <linux/export.h>
#include <linux/mm.h>
#include <linux/mmap_lock.h>
#include <linux/security.h>
#include <linux/uaccess.h>
#include <xen/balloon.h>
#include <xen/xen.h>
#include <xen/xen-ops.h>

#include "memory.h"

int xen_rs_mmap_write_lock_killable(struct mm_struct *mm)
{
	return mmap_write_lock_killable(mm);
}
EXPORT_SYMBOL_GPL(xen_rs_mmap_write_lock_killable);

void xen_rs_mmap_write_unlock(struct mm_struct *mm)
{
	mmap_write_unlock(mm);
}
EXPORT_SYMBOL_GPL(xen_rs_mmap_write_unlock);

void xen_rs_vma_set_flags(struct vm_area_struct *vma, unsigned long flags)
{
	vm_flags_set(vma, flags);
}
EXPORT_SYMBOL_GPL(xen_rs_vma_set_flags);

static int stop_at_mapped(pte_t *pte, unsigned long addr, void *data)
{
	return pte_none(ptep_get(pte)) ? 0 : -EBUSY;
}

bool xen_rs_range_is_mapped(struct vm_area_struct *vma, unsigned long addr, unsigned long pages)
{
	return apply_to_page_range(vma->vm_mm, addr, pages << PAGE_SHIFT, stop_at_mapped, NULL);
}
EXPORT_SYMBOL_GPL(xen_rs_range_is_mapped);

bool xen_rs_access_ok(unsigned long addr, unsigned long len)
{
	return access_ok((void __user *)addr, len);
}
EXPORT_SYMBOL_GPL(xen_rs_access_ok);

unsigned long xen_rs_clear_user(unsigned long addr, unsigned long len)
{
	return clear_user((void __user *)addr, len);
}
EXPORT_SYMBOL_GPL(xen_rs_clear_user);

int xen_rs_remap_gfns(struct vm_area_struct *vma, unsigned long addr, u64 *gfns, int count,
		      int *errs, unsigned int domid, struct page **pages)
{
	BUILD_BUG_ON(sizeof(*gfns) != sizeof(xen_pfn_t));
	return xen_remap_domain_gfn_array(vma, addr, (xen_pfn_t *)gfns, count, errs,
					  vma->vm_page_prot, domid, pages);
}
EXPORT_SYMBOL_GPL(xen_rs_remap_gfns);

int xen_rs_remap_mfns(struct vm_area_struct *vma, unsigned long addr, u64 *mfns, int count,
		      int *errs, unsigned int domid)
{
	return xen_remap_domain_mfn_array(vma, addr, (xen_pfn_t *)mfns, count, errs,
					  vma->vm_page_prot, domid);
}
EXPORT_SYMBOL_GPL(xen_rs_remap_mfns);

int xen_rs_remap_gfn_range(struct vm_area_struct *vma, unsigned long addr, u64 gfn, int count,
			   unsigned int domid)
{
	return xen_remap_domain_gfn_range(vma, addr, gfn, count, vma->vm_page_prot, domid, NULL);
}
EXPORT_SYMBOL_GPL(xen_rs_remap_gfn_range);

int xen_rs_remap_pages(struct vm_area_struct *vma, unsigned long addr, unsigned long len)
{
#if defined(CONFIG_XEN_AUTO_XLATE) || !defined(XEN_RS_XLATES_BY_OPTION)
	return xen_remap_vma_range(vma, addr, len);
#else
	return -EOPNOTSUPP;
#endif
}
EXPORT_SYMBOL_GPL(xen_rs_remap_pages);

int xen_rs_alloc_unpopulated(unsigned int count, struct page **pages)
{
	return xen_alloc_unpopulated_pages(count, pages);
}
EXPORT_SYMBOL_GPL(xen_rs_alloc_unpopulated);

void xen_rs_free_unpopulated(unsigned int count, struct page **pages)
{
	xen_free_unpopulated_pages(count, pages);
}
EXPORT_SYMBOL_GPL(xen_rs_free_unpopulated);

bool xen_rs_replace_byte(u8 *at, u8 old, u8 new)
{
	return sync_cmpxchg(at, old, new) == old;
}
EXPORT_SYMBOL_GPL(xen_rs_replace_byte);

bool xen_rs_is_locked_down(void)
{
	return security_locked_down(LOCKDOWN_XEN_USER_ACTIONS);
}
EXPORT_SYMBOL_GPL(xen_rs_is_locked_down);
