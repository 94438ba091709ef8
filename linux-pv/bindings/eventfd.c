// SPDX-License-Identifier: GPL-2.0
/*
 * Bodies of the shims declared in eventfd.h.
 */

#include <linux/err.h>
#include <linux/errno.h>
#include <linux/export.h>

#include "eventfd.h"

struct eventfd_ctx *xen_rs_eventfd_of(struct file *file)
{
#ifdef CONFIG_EVENTFD
	return eventfd_ctx_fileget(file);
#else
	return ERR_PTR(-EOPNOTSUPP);
#endif
}
EXPORT_SYMBOL_GPL(xen_rs_eventfd_of);

void xen_rs_eventfd_put(struct eventfd_ctx *ctx)
{
	eventfd_ctx_put(ctx);
}
EXPORT_SYMBOL_GPL(xen_rs_eventfd_put);

void xen_rs_eventfd_signal(struct eventfd_ctx *ctx)
{
	eventfd_signal(ctx);
}
EXPORT_SYMBOL_GPL(xen_rs_eventfd_signal);

u64 xen_rs_eventfd_take(struct eventfd_ctx *ctx)
{
	u64 count = 0;

	eventfd_ctx_do_read(ctx, &count);
	return count;
}
EXPORT_SYMBOL_GPL(xen_rs_eventfd_take);

void xen_rs_eventfd_leave(struct eventfd_ctx *ctx, wait_queue_entry_t *entry)
{
	u64 count;

	eventfd_ctx_remove_wait_queue(ctx, entry, &count);
}
EXPORT_SYMBOL_GPL(xen_rs_eventfd_leave);

void xen_rs_vfs_poll(struct file *file, struct poll_table_struct *table)
{
	vfs_poll(file, table);
}
EXPORT_SYMBOL_GPL(xen_rs_vfs_poll);
