// SPDX-License-Identifier: GPL-2.0
/*
 * Bodies of the shims declared in debugfs.h.
 */

#include <linux/export.h>
#include <linux/module.h>

#include "debugfs.h"

static int xen_rs_debugfs_show(struct seq_file *m, void *unused)
{
	struct xen_rs_debugfs_file *file = m->private;

	return file->show(m, file->data);
}
DEFINE_SHOW_ATTRIBUTE(xen_rs_debugfs);

struct dentry *xen_rs_debugfs_create_file(const char *name, struct dentry *parent,
					  struct xen_rs_debugfs_file *file)
{
	return debugfs_create_file(name, 0400, parent, file, &xen_rs_debugfs_fops);
}
EXPORT_SYMBOL_GPL(xen_rs_debugfs_create_file);
