/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the programs that make calls on the device files in dom0's /dev/xen have in common.
 */
#ifndef CHECK_H
#define CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <xen/xen.h>

#include "requests.h"

#define PAGE 4096
/* The number of no domain, and not a reserved one. */
#define NOBODY 0x7000

/* Calls so far, and those whose result was not as expected. */
extern int calls, wrong;

/* Notes a call; `wanted` is a result or an error number with a minus. */
long check(const char *file, int line, const char *what, long result, long wanted);

#define CHECK(call, wanted) check(__FILE_NAME__, __LINE__, #call, (long)(call), wanted)
#define TRUE(condition) check(__FILE_NAME__, __LINE__, #condition, !!(condition), 1)
#define MAPPED(call) check(__FILE_NAME__, __LINE__, #call, (long)(call) == -1 ? -1 : 0, 0)
#define UNMAPPED(call, wanted) check(__FILE_NAME__, __LINE__, #call, (call) == MAP_FAILED ? -1 : 0, wanted)

/* Whether this is a PV domain. Ends the program if it is no domain of Xen's. */
bool is_pv(void);
/* Whether /dev/xen/privcmd is ours. */
bool is_ours(void);
/* Opens a device file. */
int open_device(const char *name, int flags);
void *map(int fd, size_t pages, int flags, off_t offset);
/* Waits for an event of `port` and answers all that come before it. */
bool comes(int fd, uint32_t port);
/* Reads the count of a non-blocking eventfd, which is zero then; -1 if it is zero already. */
long counted(int event);

/* In eventfd_calls.c: what has to come of irqfds and ioeventfds. */
void irqfd_calls(int fd);
void ioeventfd_calls(int fd);
/* Both with a file that is restricted to NOBODY. */
void restricted_eventfd_calls(int fd);

/* Two grants of another domain's, and their pages, mapped by privcmd. */
struct granted {
	domid_t domain;
	uint32_t refs[2];
	unsigned char *area;
};

/* In dmabuf_calls.c: what has to come of the requests about dma-bufs; grants are exported only if there are some. */
void dmabuf_calls(const struct granted *granted);

#endif
