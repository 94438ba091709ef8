// SPDX-License-Identifier: GPL-2.0
/*
 * Pages of the tests, and tests of what the grant table does with pages.
 */

#include <linux/gfp.h>
#include <linux/mm.h>
#include <xen/page.h>

#include "grant_test.h"

void fill_page(struct page *page, u32 seed)
{
	u32 *words = page_address(page);

	for (unsigned int i = 0; i < PAGE_SIZE / sizeof(*words); i++)
		words[i] = i * 2654435761u + seed;
}

bool page_holds(struct page *page, u32 seed)
{
	u32 *words = page_address(page);

	for (unsigned int i = 0; i < PAGE_SIZE / sizeof(*words); i++)
		if (words[i] != i * 2654435761u + seed)
			return false;
	return true;
}

struct page *new_page(u32 seed)
{
	struct page *page = alloc_page(GFP_KERNEL | __GFP_NOFAIL);

	fill_page(page, seed);
	return page;
}

const char *test_caches(void)
{
	struct gnttab_page_cache cache;
	struct page *pages[25];
	const char *why = NULL;
	unsigned int got = 0;

	gnttab_page_cache_init(&cache);
	while (got < ARRAY_SIZE(pages) && !gnttab_page_cache_get(&cache, &pages[got]))
		got++;
	if (got < ARRAY_SIZE(pages))
		why = "no pages";
	for (unsigned int i = 0; i < got; i++)
		if (!PagePrivate(pages[i]))
			why = "a page has no place for whose grant it is";
	gnttab_page_cache_put(&cache, pages, got);
	if (!why && (gnttab_page_cache_get(&cache, &pages[0]) || cache.num_pages != got - 1))
		why = "a page does not come from the cache";
	gnttab_page_cache_put(&cache, pages, 1);
	gnttab_page_cache_shrink(&cache, 3);
	if (!why && cache.num_pages != 3)
		why = "the cache does not shrink";
	gnttab_page_cache_shrink(&cache, 0);
	return why;
}

struct chunks {
	struct page *page;
	unsigned int calls, offset, len;
};

static void chunk(unsigned long gfn, unsigned int offset, unsigned int len, void *data)
{
	struct chunks *chunks = data;

	if (gfn == xen_page_to_gfn(chunks->page))
		chunks->calls++;
	chunks->offset = offset;
	chunks->len = len;
}

const char *test_ranges(void)
{
	struct chunks chunks = { .page = new_page(7) };
	const char *why = NULL;

	gnttab_foreach_grant_in_range(chunks.page, 100, 50, chunk, &chunks);
	if (chunks.calls != 1 || chunks.offset != 100 || chunks.len != 50)
		why = "a part of a page";
	gnttab_foreach_grant_in_range(chunks.page, 4000, 5000, chunk, &chunks);
	if (chunks.calls != 2 || chunks.offset != 4000 || chunks.len != 96)
		why = "the end of a page";
	gnttab_foreach_grant_in_range(chunks.page, 0, 0, chunk, &chunks);
	if (chunks.calls != 2)
		why = "nothing of a page";
	__free_page(chunks.page);
	return why;
}
