// SPDX-License-Identifier: GPL-2.0
/*
 * Tests with another domain: one grants pages, whose references are in its log, and the other one
 * maps and changes them, until the module is unloaded there.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/mm.h>
#include <linux/slab.h>
#include <xen/page.h>
#include <xen/xen.h>

#include "grant_test.h"

/* What a page has at first, and after it was changed. Every second one may be read only. */
#define SEED(i) (1000 + (i))
#define CHANGED(i) (2000 + (i))

static bool is_readonly(unsigned int i)
{
	return i & 1;
}

static struct page *granted[MAX_PEER_REFS];
static grant_ref_t refs[MAX_PEER_REFS];
static unsigned int granted_count;

const char *test_grant_to(unsigned int peer, unsigned int count)
{
	pr_info("refs ");
	for (unsigned int i = 0; i < count; i++) {
		int ref;

		granted[i] = new_page(SEED(i));
		ref = gnttab_grant_foreign_access(peer, xen_page_to_gfn(granted[i]),
						  is_readonly(i));
		if (ref < 0)
			return "no reference";
		refs[i] = ref;
		granted_count++;
		pr_cont("%s%u", i ? "," : "", ref);
	}
	pr_cont("\n");
	return NULL;
}

/* Ends the grants, whether or not the pages are still mapped. */
const char *test_end_grants(void)
{
	const char *why = NULL;

	for (unsigned int i = 0; i < granted_count; i++) {
		if (!page_holds(granted[i], is_readonly(i) ? SEED(i) : CHANGED(i)))
			why = "a page is not as the other domain should have left it";
		gnttab_end_foreign_access(refs[i], granted[i]);
	}
	return why;
}

static struct page *mapped[MAX_PEER_REFS];
static struct gnttab_map_grant_ref maps[MAX_PEER_REFS];
static struct gnttab_unmap_grant_ref unmaps[MAX_PEER_REFS];
static unsigned int mapped_count;

const char *test_map_from(unsigned int peer, const unsigned int *list, unsigned int count)
{
	const char *why = NULL;

	if (gnttab_alloc_pages(count, mapped))
		return "no pages to map at";
	for (unsigned int i = 0; i < count; i++) {
		unsigned long at = (unsigned long)page_address(mapped[i]);
		u32 flags = GNTMAP_host_map | (is_readonly(i) ? GNTMAP_readonly : 0);

		gnttab_set_map_op(&maps[i], at, flags, list[i], peer);
	}
	mapped_count = count;
	if (gnttab_map_refs(maps, NULL, mapped, count))
		return "not mapped";
	for (unsigned int i = 0; i < count; i++) {
		unsigned long at = (unsigned long)page_address(mapped[i]);

		if (maps[i].status != GNTST_okay)
			return "a page was not mapped";
		gnttab_set_unmap_op(&unmaps[i], at, GNTMAP_host_map, maps[i].handle);
		if (!PageForeign(mapped[i]) || xen_page_foreign(mapped[i])->gref != list[i] ||
		    xen_page_foreign(mapped[i])->domid != peer)
			why = "a page does not say whose grant it is";
		else if (!page_holds(mapped[i], SEED(i)))
			why = "what is mapped differs";
		if (!is_readonly(i))
			fill_page(mapped[i], CHANGED(i));
	}
	return why;
}

/* Unmaps all, the first half when nobody else uses the pages. */
const char *test_unmap_all(void)
{
	unsigned int half = mapped_count / 2, rest = mapped_count - half;
	struct gntab_unmap_queue_data item = {
		.unmap_ops = unmaps,
		.pages = mapped,
		.count = half,
	};
	const char *why = NULL;

	if (!mapped_count)
		return NULL;
	if (gnttab_unmap_refs_sync(&item) ||
	    gnttab_unmap_refs(unmaps + half, NULL, mapped + half, rest))
		return "not unmapped";
	for (unsigned int i = 0; i < mapped_count; i++)
		if (unmaps[i].status != GNTST_okay || PageForeign(mapped[i]))
			why = "a page is still mapped, or says so";
	if (!why)
		gnttab_free_pages(mapped_count, mapped);
	return why;
}
