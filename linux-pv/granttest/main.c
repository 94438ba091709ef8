// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of the kernel's grant table, which may be implemented in C or in Rust: of all functions
 * that it exports for granting, and of mapping and copying what this domain has granted to
 * itself.
 *
 * Written in C, so that the Rust code is not tested with its own types. Loading the module runs the
 * tests; the results are in the kernel's log, one line for each case, "done" at the end.
 *
 * With count=N the module grants N pages to domain peer instead, and ends that when it is unloaded.
 * With refs=A,B,... it maps what domain peer has granted so, and unmaps it then. With mistakes=1 it
 * does what a driver must not do.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/module.h>
#include <xen/xen.h>

#include "grant_test.h"

unsigned int test_domid;
module_param_named(domid, test_domid, uint, 0);
MODULE_PARM_DESC(domid, "the number of this domain");
static unsigned int peer;
module_param(peer, uint, 0);
MODULE_PARM_DESC(peer, "the number of the other domain");
static unsigned int count;
module_param(count, uint, 0);
MODULE_PARM_DESC(count, "grant so many pages to the other domain, and run no test");
static unsigned int refs[MAX_PEER_REFS], nr_refs;
module_param_array(refs, uint, &nr_refs, 0);
MODULE_PARM_DESC(refs, "map what the other domain has granted so, and run no test");
static bool mistakes;
module_param(mistakes, bool, 0);
MODULE_PARM_DESC(mistakes, "free references twice, and run no test");
static bool fill;
module_param(fill, bool, 0);
MODULE_PARM_DESC(fill, "use the table up before the other tests");

static unsigned int passed, failed;

static void result(const char *what, const char *why)
{
	if (why) {
		failed++;
		pr_err("FAILED %s: %s\n", what, why);
	} else {
		passed++;
		pr_info("passed %s\n", what);
	}
}

static void tests(void)
{
	if (fill)
		result("all references", test_uses_up());
	result("single references", test_single());
	result("private lists", test_lists());
	result("sequences", test_sequences());
	result("callbacks", test_callbacks());
	result("copies", test_copies(false));
	result("copies of what may be read", test_copies(true));
	if (xen_pv_domain()) {
		result("mapping", test_maps());
		result("unmapping waits", test_waits(false));
		result("unmapping is waited for", test_waits(true));
		result("a grant that is ended while it is in use", test_deferred(true));
		result("such a grant without a page", test_deferred(false));
	}
	result("caches of pages", test_caches());
	result("parts of pages", test_ranges());
}

static int __init test_init(void)
{
	if (!xen_domain())
		return -ENODEV;
	if (count)
		result("granting", test_grant_to(peer, min(count, MAX_PEER_REFS)));
	else if (nr_refs)
		result("mapping from another domain", test_map_from(peer, refs, nr_refs));
	else if (mistakes)
		result("mistakes", test_make_mistakes());
	else
		tests();
	pr_info("done: %u passed, %u failed\n", passed, failed);
	return 0;
}

static void __exit test_exit(void)
{
	if (count)
		result("what was granted", test_end_grants());
	if (nr_refs)
		result("unmapping", test_unmap_all());
}

module_init(test_init);
module_exit(test_exit);
MODULE_DESCRIPTION("Tests of a Xen domain's grant table");
MODULE_LICENSE("GPL");
