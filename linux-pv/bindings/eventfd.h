/* SPDX-License-Identifier: GPL-2.0 */
/*
 * C functions around eventfds. Without CONFIG_EVENTFD xen_rs_eventfd_of() refuses every file, so
 * the other functions are never called.
 */
#ifndef XEN_RS_EVENTFD_H
#define XEN_RS_EVENTFD_H

#include <linux/eventfd.h>
#include <linux/poll.h>
#include <linux/wait.h>

/* uapi/linux/eventpoll.h: events that an entry of an eventfd's wait queue is woken with. */
static const __u32 XEN_RS_EVENTFD_SIGNALLED = (__force __u32)EPOLLIN;
static const __u32 XEN_RS_EVENTFD_CLOSED = (__force __u32)EPOLLHUP;

/* linux/eventfd.h: a reference to the eventfd behind a file, or an error pointer. */
struct eventfd_ctx *xen_rs_eventfd_of(struct file *file);
void xen_rs_eventfd_put(struct eventfd_ctx *ctx);
void xen_rs_eventfd_signal(struct eventfd_ctx *ctx);
/* linux/eventfd.h: reads and clears the count, with the wait queue's lock held. */
u64 xen_rs_eventfd_take(struct eventfd_ctx *ctx);
/* linux/eventfd.h: removes an entry from the wait queue, and clears the count. */
void xen_rs_eventfd_leave(struct eventfd_ctx *ctx, wait_queue_entry_t *entry);
/* linux/poll.h */
void xen_rs_vfs_poll(struct file *file, struct poll_table_struct *table);

#endif
