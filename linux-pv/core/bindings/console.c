// SPDX-License-Identifier: GPL-2.0
/*
 * Bodies of the shims declared in console.h.
 */

#include <linux/mm.h>
#include <xen/grant_table.h>
#include <xen/hvm.h>
#include <xen/page.h>
#include <xen/xen.h>

#include "console.h"

int xen_core_hvm_parameter(int index, u64 *value)
{
	return hvm_get_parameter(index, value);
}

void *xen_core_pv_console_page(void)
{
	return gfn_to_virt(xen_start_info->console.domU.mfn);
}

u32 xen_core_pv_console_port(void)
{
	return xen_start_info->console.domU.evtchn;
}

void xen_core_end_foreign_access(u32 ref, void *virt)
{
	gnttab_end_foreign_access(ref, virt_to_page(virt));
}
