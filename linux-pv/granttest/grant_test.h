/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the files of this test share. Each test returns why it has failed, or NULL.
 */
#ifndef XEN_GRANT_TEST_H
#define XEN_GRANT_TEST_H

#include <linux/mm_types.h>
#include <linux/types.h>
#include <xen/grant_table.h>

/* The number of this domain. */
extern unsigned int test_domid;

/* pages.c: pages with a content that a seed makes. */
void fill_page(struct page *page, u32 seed);
bool page_holds(struct page *page, u32 seed);
struct page *new_page(u32 seed);

/* references.c */
const char *test_single(void);
const char *test_lists(void);
const char *test_sequences(void);
const char *test_callbacks(void);
const char *test_uses_up(void);
const char *test_make_mistakes(void);

/* foreign.c */
s16 copy_granted(grant_ref_t ref, struct page *own, bool to_granted);
const char *test_copies(bool readonly);
const char *test_maps(void);
const char *test_deferred(bool with_page);
const char *test_waits(bool sync);

/* peers.c */
#define MAX_PEER_REFS 64u
const char *test_grant_to(unsigned int peer, unsigned int count);
const char *test_end_grants(void);
const char *test_map_from(unsigned int peer, const unsigned int *list, unsigned int count);
const char *test_unmap_all(void);

/* pages.c */
const char *test_caches(void);
const char *test_ranges(void);

#endif /* XEN_GRANT_TEST_H */
