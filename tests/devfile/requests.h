/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Requests that libxen's headers do not know: uapi/xen/privcmd.h.
 */
#ifndef REQUESTS_H
#define REQUESTS_H

#include <stdint.h>
#include <sys/ioctl.h>
#include <xen/xen.h>

struct irqfd {
	uint64_t dm_op;
	uint32_t size, fd, flags;
	domid_t dom;
	uint8_t pad[2];
};

struct ioeventfd {
	uint64_t ioreq, ports, addr;
	uint32_t addr_len, event_fd, vcpus, vq, flags;
	domid_t dom;
	uint8_t pad[2];
};

#define PRIVCMD_IRQFD _IOC(_IOC_WRITE, 'P', 8, sizeof(struct irqfd))
#define PRIVCMD_IOEVENTFD _IOC(_IOC_WRITE, 'P', 9, sizeof(struct ioeventfd))

#endif
