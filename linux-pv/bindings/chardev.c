// SPDX-License-Identifier: GPL-2.0
/*
 * Bodies of the shims declared in chardev.h.
 */

#include <linux/export.h>
#include <linux/string.h>

#include "chardev.h"

void xen_rs_current_comm(char *name)
{
	strscpy_pad(name, current->comm, TASK_COMM_LEN);
}
EXPORT_SYMBOL_GPL(xen_rs_current_comm);
