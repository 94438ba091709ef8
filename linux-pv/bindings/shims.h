/* SPDX-License-Identifier: GPL-2.0 */
/*
 * C functions around what bindgen cannot translate: macros, static inlines and variadic calls.
 * Nothing here decides anything; a shim is one expression of the kernel's API under a callable name.
 */
#ifndef XEN_RS_SHIMS_H
#define XEN_RS_SHIMS_H

#include <linux/mm_types.h>
#include <linux/types.h>

/* xen/page.h: the frame number other domains know a page by (machine frame for PV). */
unsigned long xen_rs_page_to_gfn(struct page *page);

/* xen/xen.h: what kind of domain this is. */
bool xen_rs_domain(void);
bool xen_rs_pv_domain(void);
bool xen_rs_pvh_domain(void);
bool xen_rs_hvm_domain(void);
bool xen_rs_initial_domain(void);

#endif
