// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of references: single ones, lists, sequences, all that there are, and mistakes.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/mm.h>
#include <linux/vmalloc.h>
#include <xen/page.h>

#include "grant_test.h"

/* Whether a page is granted and ended, and its reference freed. */
const char *test_single(void)
{
	struct page *page = new_page(1);
	int ref = gnttab_grant_foreign_access(test_domid, xen_page_to_gfn(page), 0);
	const char *why = NULL;

	if (ref < GNTTAB_NR_RESERVED_ENTRIES)
		why = "no reference";
	else if (!gnttab_end_foreign_access_ref(ref))
		why = "in use, and nobody uses it";
	else
		gnttab_free_grant_reference(ref);
	if (!why) {
		ref = gnttab_grant_foreign_access(test_domid, xen_page_to_gfn(page), 1);
		get_page(page);
		gnttab_end_foreign_access(ref, page);
		if (page_count(page) != 1)
			why = "the page was not put";
	}
	__free_page(page);
	return why;
}

/* A private list: every reference of it once, and those that are released again. */
#define LISTED 1000

const char *test_lists(void)
{
	u8 *seen = vzalloc(1 << 20);
	const char *why = NULL;
	grant_ref_t head, copy;
	int ref = 0;

	if (!seen || gnttab_alloc_grant_references(LISTED, &head)) {
		vfree(seen);
		return "no references";
	}
	for (unsigned int i = 0; i < LISTED && !why; i++) {
		ref = gnttab_claim_grant_reference(&head);
		if (ref < 0 || ref >= 1 << 20)
			why = "a list is too short";
		else if (seen[ref]++)
			why = "a reference was given out twice";
	}
	if (!why && !gnttab_empty_grant_references(&head))
		why = "a list is too long";
	if (!why && gnttab_claim_grant_reference(&head) != -ENOSPC)
		why = "a reference of an empty list";
	for (ref = 0; ref < 1 << 20; ref++)
		if (seen[ref])
			gnttab_release_grant_reference(&head, ref);
	copy = head;
	if (!why && (gnttab_empty_grant_references(&head) ||
		     gnttab_claim_grant_reference(&copy) != (int)head))
		why = "what was released is not first";
	if (!why)
		gnttab_release_grant_reference(&copy, head);
	gnttab_free_grant_references(head);
	vfree(seen);
	return why;
}

const char *test_sequences(void)
{
	static const unsigned int counts[] = { 1, 2, 7, 64, 700 };
	grant_ref_t first[ARRAY_SIZE(counts)], single;
	const char *why = NULL;
	int i, got = 0;

	for (i = 0; i < ARRAY_SIZE(counts); i++, got++) {
		if (gnttab_alloc_grant_reference_seq(counts[i], &first[i])) {
			why = "no references";
			break;
		}
		for (int before = 0; before < i; before++)
			if (first[i] < first[before] + counts[before] &&
			    first[before] < first[i] + counts[i])
				why = "two sequences overlap";
	}
	/* One that lies between two sequences would break a third. */
	single = gnttab_grant_foreign_access(test_domid, 0, 1);
	for (i = 0; i < got; i++) {
		if (single >= first[i] && single < first[i] + counts[i])
			why = "a reference of a sequence was given out";
		gnttab_free_grant_reference_seq(first[i], counts[i]);
	}
	if (!gnttab_try_end_foreign_access(single))
		why = "a single reference is in use";
	return why;
}

static void called(void *data)
{
	++*(unsigned int *)data;
}

const char *test_callbacks(void)
{
	struct gnttab_free_callback now = {}, never = {};
	unsigned int calls = 0, no_calls = 0;
	grant_ref_t head;

	gnttab_request_free_callback(&never, called, &no_calls, U16_MAX);
	gnttab_request_free_callback(&now, called, &calls, 1);
	if (gnttab_alloc_grant_references(10, &head))
		return "no references";
	gnttab_free_grant_references(head);
	gnttab_cancel_free_callback(&never);
	gnttab_cancel_free_callback(&now);
	if (calls != 1)
		return "who waits for one is not called once";
	return no_calls ? "who waits for too many is called" : NULL;
}

/* All references that the table can have, each once, and a page granted by the last one. */
#define MOST (1 << 18)

const char *test_uses_up(void)
{
	struct page *granted = new_page(8), *own = new_page(9);
	u8 *seen = vzalloc(MOST);
	const char *why = NULL;
	unsigned int count = 0;
	int ref, last = 0;

	while (seen && !why) {
		ref = gnttab_grant_foreign_access(test_domid, xen_page_to_gfn(granted), 1);
		if (ref < 0)
			break;
		if (ref >= MOST || seen[ref]++)
			why = "a reference was given out twice";
		last = max(last, ref);
		count++;
	}
	if (!why && (copy_granted(last, own, false) || !page_holds(own, 8)))
		why = "the last reference does not grant";
	for (ref = 0; seen && ref < MOST; ref++)
		if (seen[ref] && !gnttab_try_end_foreign_access(ref))
			why = "a reference is in use, and nobody uses it";
	pr_info("%u references, the last one %d\n", count, last);
	vfree(seen);
	__free_page(own);
	__free_page(granted);
	return why ?: count ? NULL : "no reference";
}

/* What a driver must not do: each has to leave the references as they were. */
const char *test_make_mistakes(void)
{
	struct page *page = new_page(10);
	grant_ref_t head, other;
	int first, second;

	first = gnttab_grant_foreign_access(test_domid, xen_page_to_gfn(page), 1);
	gnttab_end_foreign_access(first, NULL);
	/* Twice, and then with a page that would be put once too often. */
	gnttab_free_grant_reference(first);
	get_page(page);
	gnttab_end_foreign_access(first, page);
	if (page_count(page) != 2)
		return "the page of a reference that was free was put";
	put_page(page);
	/* One that is another's by now, in a list. */
	if (gnttab_alloc_grant_references(2, &head))
		return "no references";
	other = head;
	if (gnttab_try_end_foreign_access(head))
		return "a reference in a list was freed";
	gnttab_free_grant_references(head);
	gnttab_free_grant_references(other);
	gnttab_release_grant_reference(&other, 3);
	gnttab_free_grant_reference(1 << 30);
	/* With a loop in the free list both would be the same. */
	first = gnttab_grant_foreign_access(test_domid, xen_page_to_gfn(page), 1);
	second = gnttab_grant_foreign_access(test_domid, xen_page_to_gfn(page), 1);
	gnttab_end_foreign_access(first, NULL);
	gnttab_end_foreign_access(second, NULL);
	__free_page(page);
	return first == second ? "a reference was given out twice" : NULL;
}
