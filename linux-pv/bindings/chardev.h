/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Constants and inline functions around open files and device files.
 */
#ifndef XEN_RS_CHARDEV_H
#define XEN_RS_CHARDEV_H

#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/poll.h>
#include <linux/sched.h>

/* uapi/linux/eventpoll.h: events that poll() reports. */
static const __u32 XEN_RS_EPOLLIN = (__force __u32)(EPOLLIN | EPOLLRDNORM);
static const __u32 XEN_RS_EPOLLOUT = (__force __u32)(EPOLLOUT | EPOLLWRNORM);
static const __u32 XEN_RS_EPOLLERR = (__force __u32)EPOLLERR;

/* linux/fs.h: reads that must not wait (RWF_NOWAIT), and files that support them. */
static const int XEN_RS_IOCB_NOWAIT = IOCB_NOWAIT;
static const fmode_t XEN_RS_FMODE_NOWAIT = FMODE_NOWAIT;

/* linux/sched.h: name of the current task, TASK_COMM_LEN bytes. */
void xen_rs_current_comm(char *name);

#endif
