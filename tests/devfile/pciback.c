// SPDX-License-Identifier: GPL-2.0
/*
 * test-pciback DOMAIN REFERENCE PORT: a back end of the PCI protocol with one device, 0000:00:01.0, which does nothing. It
 * is as honest, slow or hostile as lines on its standard input tell it to be:
 *
 *	honest			answers as it should
 *	sleep MILLISECONDS	looks at nothing for so long
 *	error NUMBER		answers everything with this error
 *	garbage			answers with numbers that make no sense
 *	storm COUNT		sends so many events for nothing
 *	report STEP STATE BUS FUNCTION
 *				reports an error of a device, waits, and prints "reply NUMBER"
 *	count			prints "operations NUMBER"
 *
 * Prints "done" after each, and "ready" at first. It ends with its input.
 */

#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <xen/xen.h>
#include <xen/event_channel.h>
#include <xen/io/pciif.h>
#include <xen/sys/evtchn.h>
#include <xen/sys/gntdev.h>

#include "check.h"

#define DEVFN 0x08

static volatile struct xen_pci_sharedinfo *page;
static int events;
static uint32_t port;
static unsigned long operations;
static uint8_t space[4096];
static enum { HONEST, ERROR, GARBAGE } manner;
static int error;

static void die(const char *what)
{
	perror(what);
	exit(2);
}

static void notify(void)
{
	struct ioctl_evtchn_notify request = { .port = port };

	if (ioctl(events, IOCTL_EVTCHN_NOTIFY, &request))
		die("IOCTL_EVTCHN_NOTIFY");
}

static void access_space(volatile struct xen_pci_op *op)
{
	uint32_t value = 0, offset = op->offset, size = op->size;

	op->err = XEN_PCI_ERR_success;
	if (op->domain || op->bus || op->devfn != DEVFN) {
		op->err = XEN_PCI_ERR_dev_not_found;
	} else if (op->cmd == XEN_PCI_OP_conf_read) {
		if (size > 4 || offset > sizeof(space) - size) {
			op->err = XEN_PCI_ERR_invalid_offset;
			return;
		}
		memcpy(&value, space + offset, size);
		op->value = value;
	} else if (op->cmd != XEN_PCI_OP_conf_write) {
		op->err = XEN_PCI_ERR_not_implemented;
	}
}

static void answer(void)
{
	if (!(__atomic_load_n(&page->flags, __ATOMIC_ACQUIRE) & XEN_PCIF_active))
		return;
	operations++;
	access_space(&page->op);
	if (manner == ERROR) {
		page->op.err = error;
	} else if (manner == GARBAGE) {
		page->op.err = random() % 4 ? 0 : random() - RAND_MAX / 2;
		page->op.value = random();
	}
	__atomic_fetch_and(&page->flags, ~XEN_PCIF_active, __ATOMIC_SEQ_CST);
	notify();
}

static void report(int step, int state, unsigned int bus, unsigned int devfn)
{
	page->aer_op.cmd = step;
	page->aer_op.err = state;
	page->aer_op.domain = 0;
	page->aer_op.bus = bus;
	page->aer_op.devfn = devfn;
	__atomic_fetch_or(&page->flags, XEN_PCIB_active, __ATOMIC_SEQ_CST);
	notify();
	for (int tries = 0; tries < 5000; tries++) {
		answer();
		if (!(__atomic_load_n(&page->flags, __ATOMIC_ACQUIRE) & XEN_PCIB_active)) {
			printf("reply %d\n", page->aer_op.err);
			return;
		}
		usleep(1000);
	}
	printf("no reply\n");
}

static void obey(char *line)
{
	int numbers[4] = { 0 };
	char word[16] = "";

	sscanf(line, "%15s %i %i %i %i", word, &numbers[0], &numbers[1], &numbers[2], &numbers[3]);
	if (!strcmp(word, "honest")) {
		manner = HONEST;
	} else if (!strcmp(word, "sleep")) {
		/* The tester goes on meanwhile. */
		printf("asleep\n");
		usleep(numbers[0] * 1000);
	} else if (!strcmp(word, "error")) {
		manner = ERROR;
		error = numbers[0];
	} else if (!strcmp(word, "garbage")) {
		manner = GARBAGE;
	} else if (!strcmp(word, "storm")) {
		while (numbers[0]--)
			notify();
	} else if (!strcmp(word, "report")) {
		report(numbers[0], numbers[1], numbers[2], numbers[3]);
	} else if (!strcmp(word, "count")) {
		printf("operations %lu\n", operations);
	} else {
		printf("what is %s?\n", word);
	}
	printf("done\n");
}

static void connect_to(char **argv)
{
	struct ioctl_gntdev_map_grant_ref grant = {
		.count = 1, .refs = { { .domid = atoi(argv[1]), .ref = atoi(argv[2]) } },
	};
	struct ioctl_evtchn_bind_interdomain bind = {
		.remote_domain = atoi(argv[1]), .remote_port = atoi(argv[3]),
	};
	int grants = open_device("gntdev", 0);

	if (ioctl(grants, IOCTL_GNTDEV_MAP_GRANT_REF, &grant))
		die("IOCTL_GNTDEV_MAP_GRANT_REF");
	page = map(grants, 1, MAP_SHARED, grant.index);
	if (page == MAP_FAILED)
		die("mmap");
	events = open_device("evtchn", 0);
	port = ioctl(events, IOCTL_EVTCHN_BIND_INTERDOMAIN, &bind);
	if ((int)port < 0)
		die("IOCTL_EVTCHN_BIND_INTERDOMAIN");
}

int main(int argc, char **argv)
{
	struct pollfd fds[2] = { { .fd = STDIN_FILENO, .events = POLLIN }, { .events = POLLIN } };
	static char line[256];
	size_t used = 0;
	uint32_t got;

	if (argc != 4) {
		fprintf(stderr, "usage: test-pciback DOMAIN REFERENCE PORT\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	/* Vendor, device, and a class that no driver is for. */
	memcpy(space, (uint8_t[]){ 0x34, 0x12, 0x01, 0x00 }, 4);
	space[0x0b] = 0xff;
	connect_to(argv);
	fds[1].fd = events;
	printf("ready\n");
	for (;;) {
		answer();
		if (poll(fds, 2, 1000) < 0)
			die("poll");
		if (fds[1].revents & POLLIN) {
			if (read(events, &got, sizeof(got)) != sizeof(got))
				die("reading events");
			if (write(events, &got, sizeof(got)) != sizeof(got))
				die("writing events");
		}
		if (fds[0].revents) {
			/* A byte at a time: what is not read yet is polled for again. */
			if (used == sizeof(line) - 1 || read(STDIN_FILENO, line + used, 1) != 1)
				return 0;
			if (line[used++] != '\n')
				continue;
			line[used] = 0;
			used = 0;
			obey(line);
		}
	}
}
