/* SPDX-License-Identifier: GPL-2.0 */
/*
 * C functions around mapping grants of other domains.
 */
#ifndef XEN_RS_GRANT_H
#define XEN_RS_GRANT_H

#include <linux/mm_types.h>
#include <linux/mmu_notifier.h>
#include <linux/types.h>
#include <xen/interface/grant_table.h>

/* xen/grant_table.h: the host address for mapping a grant in place of a page of the kernel. */
u64 xen_rs_grant_address(struct page *page);
/*
 * linux/mm.h: sets the host address of as many operations as an area has pages: the machine
 * addresses of its page table entries (PV).
 */
int xen_rs_pte_addresses(struct vm_area_struct *vma, struct gnttab_map_grant_ref *ops);

/* linux/module.h: keeps xen_rs.ko loaded while the kernel may call it back. */
bool xen_rs_module_get(void);
void xen_rs_module_put(void);

#endif
