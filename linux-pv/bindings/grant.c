// SPDX-License-Identifier: GPL-2.0
/*
 * Bodies of the shims declared in grant.h.
 */

#include <linux/export.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <xen/grant_table.h>
#include <xen/page.h>

#include "grant.h"

u64 xen_rs_grant_address(struct page *page)
{
	struct gnttab_map_grant_ref op;

	gnttab_set_map_op(&op, (unsigned long)page_address(page), GNTMAP_host_map, 0, 0);
	return op.host_addr;
}
EXPORT_SYMBOL_GPL(xen_rs_grant_address);

static int set_pte_address(pte_t *pte, unsigned long addr, void *data)
{
	struct gnttab_map_grant_ref **next = data;

	(*next)++->host_addr = arbitrary_virt_to_machine(pte).maddr;
	return 0;
}

int xen_rs_pte_addresses(struct vm_area_struct *vma, struct gnttab_map_grant_ref *ops)
{
	return apply_to_page_range(vma->vm_mm, vma->vm_start, vma->vm_end - vma->vm_start,
				   set_pte_address, &ops);
}
EXPORT_SYMBOL_GPL(xen_rs_pte_addresses);

bool xen_rs_module_get(void)
{
	return try_module_get(THIS_MODULE);
}
EXPORT_SYMBOL_GPL(xen_rs_module_get);

void xen_rs_module_put(void)
{
	module_put(THIS_MODULE);
}
EXPORT_SYMBOL_GPL(xen_rs_module_put);
