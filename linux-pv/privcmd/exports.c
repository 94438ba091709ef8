// SPDX-License-Identifier: GPL-2.0
/*
 * xenfs takes the operations of /proc/xen/privcmd from this table, which the C driver exports under
 * the same name. If a kernel's tree builds both drivers, only the C driver exports it.
 */

#include <linux/export.h>
#include <linux/fs.h>

#if defined(XEN_RS_OUT_OF_TREE) || !IS_ENABLED(CONFIG_XEN_PRIVCMD)
extern const struct file_operations xen_privcmd_fops;
EXPORT_SYMBOL_GPL(xen_privcmd_fops);
#endif
