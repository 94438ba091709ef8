// SPDX-License-Identifier: GPL-2.0
/*
 * Bodies of the shims declared in shims.h. They are exported because generic Rust code of crate xen
 * is compiled into the drivers that use it.
 */

#include <linux/export.h>
#include <xen/page.h>
#include <xen/xen.h>

#include "shims.h"

unsigned long xen_rs_page_to_gfn(struct page *page)
{
	return xen_page_to_gfn(page);
}
EXPORT_SYMBOL_GPL(xen_rs_page_to_gfn);

bool xen_rs_domain(void)
{
	return xen_domain();
}
EXPORT_SYMBOL_GPL(xen_rs_domain);

bool xen_rs_pv_domain(void)
{
	return xen_pv_domain();
}
EXPORT_SYMBOL_GPL(xen_rs_pv_domain);

bool xen_rs_pvh_domain(void)
{
	return xen_pvh_domain();
}
EXPORT_SYMBOL_GPL(xen_rs_pvh_domain);

bool xen_rs_hvm_domain(void)
{
	return xen_hvm_domain();
}
EXPORT_SYMBOL_GPL(xen_rs_hvm_domain);

bool xen_rs_initial_domain(void)
{
	return xen_initial_domain();
}
EXPORT_SYMBOL_GPL(xen_rs_initial_domain);
