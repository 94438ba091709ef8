/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Files in debugfs whose content a Rust function writes. The kernel's own Rust files have no owner,
 * so that a module could be unloaded while one is open; these keep xen_rs.ko loaded, and the
 * function of another module is only called until the file is removed.
 */
#ifndef XEN_RS_DEBUGFS_H
#define XEN_RS_DEBUGFS_H

#include <linux/debugfs.h>
#include <linux/seq_file.h>

/* What a file is made with. It lives until the file is removed. */
struct xen_rs_debugfs_file {
	/* Writes the content; returns 0. */
	int (*show)(struct seq_file *m, void *data);
	void *data;
};

/* linux/debugfs.h: makes a file that root can read. An error pointer if that fails. */
struct dentry *xen_rs_debugfs_create_file(const char *name, struct dentry *parent,
					  struct xen_rs_debugfs_file *file);

#endif
