/* SPDX-License-Identifier: GPL-2.0 */
/*
 * C functions around programs' eventfds. Without CONFIG_EVENTFD there are none: files are refused, and nothing else is
 * called.
 */
#ifndef XEN_RS_EVENTFD_H
#define XEN_RS_EVENTFD_H

#include <linux/eventfd.h>
#include <linux/poll.h>
#include <linux/wait.h>

/* uapi/linux/eventpoll.h: what a waiting entry of an eventfd is told. */
const __u32 XEN_RS_EVENTFD_SIGNALLED = (__force __u32)EPOLLIN;
const __u32 XEN_RS_EVENTFD_CLOSED = (__force __u32)EPOLLHUP;

/* linux/eventfd.h: a reference to the eventfd that a file is, or an error pointer. */
struct eventfd_ctx *xen_rs_eventfd_of(struct file *file);
void xen_rs_eventfd_put(struct eventfd_ctx *ctx);
void xen_rs_eventfd_signal(struct eventfd_ctx *ctx);
/* linux/eventfd.h: takes the count, with the lock of the eventfd's waiting queue held. */
u64 xen_rs_eventfd_take(struct eventfd_ctx *ctx);
/* linux/eventfd.h: takes an entry off the waiting queue, and the count. */
void xen_rs_eventfd_leave(struct eventfd_ctx *ctx, wait_queue_entry_t *entry);
/* linux/poll.h */
void xen_rs_vfs_poll(struct file *file, struct poll_table_struct *table);

#endif
