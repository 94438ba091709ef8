/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Shims for grant tables (core/grants). A shim is one expression of the kernel's API with a name
 * that Rust can call; its comment says why it cannot be Rust.
 */
#ifndef XEN_CORE_GRANTS_H
#define XEN_CORE_GRANTS_H

#include <linux/pgtable.h>
#include <linux/timer.h>
#include <linux/types.h>
#include <linux/workqueue.h>

struct gnttab_map_grant_ref;
struct gnttab_unmap_grant_ref;
struct page;

/* linux/pgtable.h, asm/xen/page.h: inline, with the paravirtualised operations. */
void xen_core_map_table_frame(pte_t *pte, unsigned long address, unsigned long mfn);
void xen_core_unmap_table_frame(pte_t *pte, unsigned long address);
/* linux/vmalloc.h: the protection is a macro that depends on the processor. */
void *xen_core_vmap(struct page **pages, unsigned int count);

/* xen/page.h: inline, by the memory model. */
unsigned long xen_core_page_to_gfn(struct page *page);
/* linux/memory_hotplug.h: the page of a frame of ours, or null. By the memory model. */
struct page *xen_core_gfn_to_page(unsigned long gfn);
struct page *xen_core_pfn_to_page(unsigned long pfn);

/* linux/mm.h: inline. */
void xen_core_get_page(struct page *page);
void xen_core_put_page(struct page *page);
int xen_core_page_count(struct page *page);

/* linux/page-flags.h: macros. */
void xen_core_set_page_has_private(struct page *page);
void xen_core_clear_page_has_private(struct page *page);
void xen_core_set_page_foreign(struct page *page);
void xen_core_clear_page_foreign(struct page *page);
/* linux/mm.h: a macro. */
void xen_core_set_page_private(struct page *page, unsigned long value);
/* linux/mm_types.h: a word of a page that its owner may use. In unions without names. */
void *xen_core_page_link(struct page *page);

/* xen/xen.h: functions, or inline around others. */
int xen_core_alloc_unpopulated(unsigned int count, struct page **pages);
void xen_core_free_unpopulated(unsigned int count, struct page **pages);
/* asm/xen/page.h: likewise. */
int xen_core_set_foreign_p2m(struct gnttab_map_grant_ref *maps,
			     struct gnttab_map_grant_ref *kernel_maps, struct page **pages,
			     unsigned int count);
int xen_core_clear_foreign_p2m(struct gnttab_unmap_grant_ref *unmaps,
			       struct gnttab_unmap_grant_ref *kernel_unmaps, struct page **pages,
			       unsigned int count);

/* xen/mem-reservation.h: inline. */
void xen_core_scrub_page(struct page *page);
void xen_core_reset_va_mapping(unsigned long count, struct page **pages);
void xen_core_update_va_mapping(unsigned long count, struct page **pages, xen_pfn_t *frames);

/* linux/timer.h: a macro with a static variable. */
void xen_core_timer_setup(struct timer_list *timer, void (*fn)(struct timer_list *));
/* linux/workqueue.h: inline; the queue is another variable in some series. */
void xen_core_schedule_delayed_work(struct delayed_work *work, unsigned long jiffies);

/* Variables of core/grants that core/grants/exports.c makes module parameters of. */
extern unsigned int xen_core_grant_version;
extern unsigned int xen_core_grant_free_per_iteration;

#endif /* XEN_CORE_GRANTS_H */
