// SPDX-License-Identifier: GPL-2.0
/*
 * Bodies of the shims declared in grants.h.
 */

#include <linux/memory_hotplug.h>
#include <linux/mm.h>
#include <linux/page-flags.h>
#include <linux/vmalloc.h>
#include <xen/grant_table.h>
#include <xen/mem-reservation.h>
#include <xen/page.h>
#include <xen/xen.h>

#include "grants.h"

void xen_core_map_table_frame(pte_t *pte, unsigned long address, unsigned long mfn)
{
	set_pte_at(&init_mm, address, pte, mfn_pte(mfn, PAGE_KERNEL));
}

void xen_core_unmap_table_frame(pte_t *pte, unsigned long address)
{
	set_pte_at(&init_mm, address, pte, __pte(0));
}

void *xen_core_vmap(struct page **pages, unsigned int count)
{
	return vmap(pages, count, 0, PAGE_KERNEL);
}

unsigned long xen_core_page_to_gfn(struct page *page)
{
	return xen_page_to_gfn(page);
}

struct page *xen_core_gfn_to_page(unsigned long gfn)
{
	return pfn_to_online_page(gfn_to_pfn(gfn));
}

struct page *xen_core_pfn_to_page(unsigned long pfn)
{
	return pfn_to_page(pfn);
}

void xen_core_get_page(struct page *page)
{
	get_page(page);
}

void xen_core_put_page(struct page *page)
{
	put_page(page);
}

int xen_core_page_count(struct page *page)
{
	return page_count(page);
}

void xen_core_set_page_has_private(struct page *page)
{
	SetPagePrivate(page);
}

void xen_core_clear_page_has_private(struct page *page)
{
	ClearPagePrivate(page);
}

void xen_core_set_page_foreign(struct page *page)
{
	SetPageForeign(page);
}

void xen_core_clear_page_foreign(struct page *page)
{
	ClearPageForeign(page);
}

void xen_core_set_page_private(struct page *page, unsigned long value)
{
	set_page_private(page, value);
}

void *xen_core_page_link(struct page *page)
{
	return IS_ENABLED(CONFIG_XEN_UNPOPULATED_ALLOC) ? (void *)&page->zone_device_data :
							  (void *)&page->lru;
}

int xen_core_alloc_unpopulated(unsigned int count, struct page **pages)
{
	return xen_alloc_unpopulated_pages(count, pages);
}

void xen_core_free_unpopulated(unsigned int count, struct page **pages)
{
	xen_free_unpopulated_pages(count, pages);
}

int xen_core_set_foreign_p2m(struct gnttab_map_grant_ref *maps,
			     struct gnttab_map_grant_ref *kernel_maps, struct page **pages,
			     unsigned int count)
{
	return set_foreign_p2m_mapping(maps, kernel_maps, pages, count);
}

int xen_core_clear_foreign_p2m(struct gnttab_unmap_grant_ref *unmaps,
			       struct gnttab_unmap_grant_ref *kernel_unmaps, struct page **pages,
			       unsigned int count)
{
	return clear_foreign_p2m_mapping(unmaps, kernel_unmaps, pages, count);
}

void xen_core_scrub_page(struct page *page)
{
	xenmem_reservation_scrub_page(page);
}

void xen_core_reset_va_mapping(unsigned long count, struct page **pages)
{
	xenmem_reservation_va_mapping_reset(count, pages);
}

void xen_core_update_va_mapping(unsigned long count, struct page **pages, xen_pfn_t *frames)
{
	xenmem_reservation_va_mapping_update(count, pages, frames);
}

void xen_core_timer_setup(struct timer_list *timer, void (*fn)(struct timer_list *))
{
	timer_setup(timer, fn, 0);
}

void xen_core_schedule_delayed_work(struct delayed_work *work, unsigned long jiffies)
{
	schedule_delayed_work(work, jiffies);
}
