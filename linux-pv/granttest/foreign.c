// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of mapping and copying what this domain has granted to itself.
 */

#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/mm.h>
#include <xen/page.h>

#include "grant_test.h"

/* Copies between a granted page and an own one. */
s16 copy_granted(grant_ref_t ref, struct page *own, bool to_granted)
{
	struct gnttab_copy op = {
		.len = PAGE_SIZE,
		.flags = to_granted ? GNTCOPY_dest_gref : GNTCOPY_source_gref,
	};

	if (to_granted) {
		op.source.u.gmfn = xen_page_to_gfn(own);
		op.source.domid = DOMID_SELF;
		op.dest.u.ref = ref;
		op.dest.domid = test_domid;
	} else {
		op.source.u.ref = ref;
		op.source.domid = test_domid;
		op.dest.u.gmfn = xen_page_to_gfn(own);
		op.dest.domid = DOMID_SELF;
	}
	gnttab_batch_copy(&op, 1);
	return op.status;
}

const char *test_copies(bool readonly)
{
	struct page *granted = new_page(2), *own = new_page(3);
	int ref = gnttab_grant_foreign_access(test_domid, xen_page_to_gfn(granted), readonly);
	const char *why = NULL;

	if (ref < 0)
		why = "no reference";
	else if (copy_granted(ref, own, false) || !page_holds(own, 2))
		why = "what was read differs";
	fill_page(own, 4);
	if (!why && readonly && (!copy_granted(ref, own, true) || !page_holds(granted, 2)))
		why = "it was written, and it is read-only";
	if (!why && !readonly && (copy_granted(ref, own, true) || !page_holds(granted, 4)))
		why = "what was written differs";
	if (ref >= 0)
		gnttab_end_foreign_access(ref, NULL);
	if (!why && !copy_granted(ref, own, false))
		why = "a grant that has ended is used";
	__free_page(own);
	__free_page(granted);
	return why;
}

/*
 * A page of this domain, granted to itself and mapped a second time. Only in PV domains: in others
 * Xen takes a page of the domain's own from where it was when it is mapped at another place.
 */
struct mapping {
	struct page *granted, *mapped;
	grant_ref_t ref;
	grant_handle_t handle;
};

static const char *map(struct mapping *m, bool readonly)
{
	struct gnttab_map_grant_ref op;
	u32 flags = GNTMAP_host_map | (readonly ? GNTMAP_readonly : 0);
	int ref;

	if (gnttab_alloc_pages(1, &m->mapped))
		return "no page to map at";
	m->granted = new_page(5);
	ref = gnttab_grant_foreign_access(test_domid, xen_page_to_gfn(m->granted), readonly);
	if (ref < 0)
		return "no reference";
	m->ref = ref;
	gnttab_set_map_op(&op, (unsigned long)page_address(m->mapped), flags, m->ref, test_domid);
	if (gnttab_map_refs(&op, NULL, &m->mapped, 1) || op.status != GNTST_okay)
		return "not mapped";
	m->handle = op.handle;
	if (!PageForeign(m->mapped) || xen_page_foreign(m->mapped)->gref != m->ref ||
	    xen_page_foreign(m->mapped)->domid != test_domid)
		return "the page does not say whose grant it is";
	return page_holds(m->mapped, 5) ? NULL : "what is mapped differs";
}

static void set_unmap_op(struct mapping *m, struct gnttab_unmap_grant_ref *op)
{
	gnttab_set_unmap_op(op, (unsigned long)page_address(m->mapped), GNTMAP_host_map, m->handle);
}

static const char *unmap(struct mapping *m)
{
	struct gnttab_unmap_grant_ref op;

	set_unmap_op(m, &op);
	if (gnttab_unmap_refs(&op, NULL, &m->mapped, 1) || op.status != GNTST_okay)
		return "not unmapped";
	if (PageForeign(m->mapped))
		return "the page still says whose grant it is";
	gnttab_free_pages(1, &m->mapped);
	return NULL;
}

const char *test_maps(void)
{
	struct mapping m = {};
	const char *why = map(&m, false);

	if (why)
		return why;
	fill_page(m.mapped, 6);
	if (!page_holds(m.granted, 6))
		why = "what was written differs";
	if (gnttab_try_end_foreign_access(m.ref))
		return "the grant was ended while it was in use";
	why = unmap(&m) ?: why;
	if (!gnttab_try_end_foreign_access(m.ref))
		return "the grant cannot be ended";
	__free_page(m.granted);
	return why;
}

/* A grant that is ended while it is in use: its page is put when it is not any more. */
const char *test_deferred(bool with_page)
{
	struct mapping m = {};
	const char *why = map(&m, false);

	if (why)
		return why;
	get_page(m.granted);
	gnttab_end_foreign_access(m.ref, with_page ? m.granted : NULL);
	if (!with_page)
		__free_page(m.granted);
	msleep(2500);
	if (page_count(m.granted) != 2)
		return "the page was put while it was in use";
	why = unmap(&m);
	for (int i = 0; i < 100 && page_count(m.granted) != 1; i++)
		msleep(100);
	if (!why && page_count(m.granted) != 1)
		why = "the page was not put";
	__free_page(m.granted);
	return why;
}

struct waiter {
	struct completion done;
	int result;
};

static void unmapped(int result, struct gntab_unmap_queue_data *data)
{
	struct waiter *waiter = data->data;

	waiter->result = result;
	complete(&waiter->done);
}

/* Unmapping waits until nobody else uses the page. */
const char *test_waits(bool sync)
{
	struct gnttab_unmap_grant_ref op;
	struct gntab_unmap_queue_data item = {
		.unmap_ops = &op,
		.count = 1,
		.done = unmapped,
	};
	struct mapping m = {};
	struct waiter waiter = { .result = -EINPROGRESS };
	const char *why = map(&m, false);

	if (why)
		return why;
	set_unmap_op(&m, &op);
	item.pages = &m.mapped;
	if (sync) {
		waiter.result = gnttab_unmap_refs_sync(&item);
	} else {
		init_completion(&waiter.done);
		item.data = &waiter;
		get_page(m.mapped);
		gnttab_unmap_refs_async(&item);
		msleep(300);
		if (!page_holds(m.mapped, 5))
			why = "a page in use was unmapped";
		put_page(m.mapped);
		wait_for_completion(&waiter.done);
	}
	if (!why && (waiter.result || op.status != GNTST_okay))
		why = "not unmapped";
	gnttab_free_pages(1, &m.mapped);
	if (!gnttab_try_end_foreign_access(m.ref) && !why)
		why = "the grant cannot be ended";
	__free_page(m.granted);
	return why;
}
