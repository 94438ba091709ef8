// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of a PV domain's batches of hypercalls, which may be implemented in C or in Rust: of what
 * becomes of a batch in which the hypervisor refuses a call.
 *
 * Written in C, so that the Rust code is not tested with its own types. The calls are changes of a
 * page table, as any code of the kernel makes them; one of them would map a frame that is not the
 * domain's. Loading the module runs the tests; the results are in the
 * kernel's log, one line for each case, "done" at the end. The kernel warns of each refused call.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/irqflags.h>
#include <linux/module.h>
#include <linux/pgtable.h>
#include <linux/vmalloc.h>
#include <xen/xen.h>

/* Pages whose entries are changed, and which of them to what is refused. */
#define PAGES 3
#define REFUSED 1

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

/* The entry in the page table that maps a page. */
static pte_t *entry_of(void *page)
{
	unsigned int level;
	pte_t *pte = lookup_address((unsigned long)page, &level);

	return pte && level == PG_LEVEL_4K ? pte : NULL;
}

/* Maps the first frame of the machine, which a guest has no right to. */
static pte_t foreign(void)
{
	return native_make_pte(_PAGE_PRESENT | _PAGE_RW | _PAGE_USER);
}

/* Begins to collect calls. Nothing else may collect any meanwhile. */
static struct lazy_mmu_state begin(unsigned long *flags)
{
	struct lazy_mmu_state before;

	local_irq_save(*flags);
	before = current->lazy_mmu_state;
	/*
	 * In 7.2 and 7.3 a task's collecting is paused for ever: the first switch to a new task
	 * ends a pause that has not begun.
	 */
	current->lazy_mmu_state.pause_count = 0;
	lazy_mmu_mode_enable();
	return before;
}

/* Makes the calls. */
static void end(unsigned long flags, struct lazy_mmu_state before)
{
	lazy_mmu_mode_disable();
	current->lazy_mmu_state = before;
	local_irq_restore(flags);
}

/*
 * Changes entries in one batch, with a call of another kind after each, so that none is joined to
 * the one before. Each changes, except for what is refused.
 */
static const char *test_batch(u8 *pages, bool refuse)
{
	pte_t *entry[PAGES], before[PAGES];
	struct lazy_mmu_state state;
	const char *why = NULL;
	unsigned long flags;

	for (int i = 0; i < PAGES; i++) {
		entry[i] = entry_of(pages + i * PAGE_SIZE);
		if (!entry[i])
			return "a page has no entry of its own";
		before[i] = ptep_get(entry[i]);
		if (!pte_write(before[i]))
			return "a page is not writable";
	}
	state = begin(&flags);
	for (int i = 0; i < PAGES; i++) {
		pte_t to = refuse && i == REFUSED ? foreign() : pte_wrprotect(before[i]);

		set_pte(entry[i], to);
		pv_ops.mmu.flush_tlb_one_user((unsigned long)pages + i * PAGE_SIZE);
	}
	for (int i = 0; i < PAGES; i++)
		if (!pte_write(ptep_get(entry[i])))
			why = "the calls were not collected";
	end(flags, state);
	for (int i = 0; i < PAGES && !why; i++)
		if (pte_write(ptep_get(entry[i])) != (refuse && i == REFUSED))
			why = refuse && i == REFUSED ? "the refused call had an effect"
						      : "a call had no effect";
	for (int i = 0; i < PAGES; i++) {
		set_pte(entry[i], before[i]);
		pv_ops.mmu.flush_tlb_one_user((unsigned long)pages + i * PAGE_SIZE);
		pages[i * PAGE_SIZE] = i;
	}
	return why;
}

/* The same by a batch with this call only. */
static const char *test_single(u8 *page)
{
	pte_t *entry = entry_of(page), before;
	struct lazy_mmu_state state;
	unsigned long flags;

	if (!entry)
		return "a page has no entry of its own";
	before = ptep_get(entry);
	state = begin(&flags);
	set_pte(entry, foreign());
	end(flags, state);
	if (!pte_same(ptep_get(entry), before))
		return "the refused call had an effect";
	*page = 1;
	return NULL;
}

static int __init test_init(void)
{
	u8 *pages;

	/* dom0 may map what belongs to devices. */
	if (!xen_pv_domain() || xen_initial_domain())
		return -ENODEV;
	pages = vmalloc(PAGES * PAGE_SIZE);
	if (!pages)
		return -ENOMEM;
	result("a batch", test_batch(pages, false));
	result("a batch with a call that is refused", test_batch(pages, true));
	result("a refused call by itself", test_single(pages));
	result("a batch afterwards", test_batch(pages, false));
	vfree(pages);
	pr_info("collecting is paused %u times\n", current->lazy_mmu_state.pause_count);
	pr_info("done: %u passed, %u failed\n", passed, failed);
	return 0;
}

static void __exit test_exit(void)
{
}

module_init(test_init);
module_exit(test_exit);
MODULE_DESCRIPTION("Tests of a Xen PV domain's batches of hypercalls");
MODULE_LICENSE("GPL");
