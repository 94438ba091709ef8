/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Files in debugfs whose content a Rust function writes. Files of the kernel's own Rust abstraction
 * have no owner, so a module could be unloaded while one of its files is open. These keep xen_rs.ko
 * loaded, and the function of another module is not called after the file was removed.
 */
#ifndef XEN_RS_DEBUGFS_H
#define XEN_RS_DEBUGFS_H

#include <linux/debugfs.h>
#include <linux/seq_file.h>

/* The content of a file. It must live until the file is removed. */
struct xen_rs_debugfs_file {
	/* Prints the content; returns 0. */
	int (*show)(struct seq_file *m, void *data);
	void *data;
};

/* linux/debugfs.h: creates a file that root can read; returns an error pointer if that fails. */
struct dentry *xen_rs_debugfs_create_file(const char *name, struct dentry *parent,
					  struct xen_rs_debugfs_file *file);

#endif
