// SPDX-License-Identifier: GPL-2.0

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"

int calls, wrong;

long check(const char *file, int line, const char *what, long result, long wanted)
{
	long got = result < 0 ? -errno : result;

	calls++;
	if (got != wanted) {
		wrong++;
		printf("%s:%d: %s: %ld, not %ld\n", file, line, what, got, wanted);
	}
	errno = 0;
	return result;
}

bool is_pv(void)
{
	FILE *file = fopen("/sys/hypervisor/guest_type", "r");
	char type[8] = "";

	if (!file || !fgets(type, sizeof(type), file)) {
		fprintf(stderr, "this is no domain of Xen's\n");
		exit(2);
	}
	fclose(file);
	return !strcmp(type, "PV\n");
}

bool is_ours(void)
{
	return !access("/sys/module/xen_privcmd_rs", F_OK);
}

int open_device(const char *name, int flags)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/dev/xen/%s", name);
	fd = open(path, O_RDWR | O_CLOEXEC | flags);
	if (fd < 0) {
		perror(path);
		exit(2);
	}
	return fd;
}

void *map(int fd, size_t pages, int flags, off_t offset)
{
	return mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, flags, fd, offset);
}

bool comes(int fd, uint32_t port)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	bool found = false;
	uint32_t got;

	while (!found && poll(&poll_fd, 1, 2000) == 1 && read(fd, &got, sizeof(got)) == sizeof(got)) {
		found = got == port;
		if (write(fd, &got, sizeof(got)) != sizeof(got))
			return false;
	}
	return found;
}

long counted(int event)
{
	uint64_t count = 0;

	return read(event, &count, sizeof(count)) < 0 ? -1 : (long)count;
}
