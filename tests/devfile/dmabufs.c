// SPDX-License-Identifier: GPL-2.0
/*
 * devfile-dmabufs DOMAIN: makes dma-bufs of grants of a domain that does not run, whose first frames dom0
 * grants for it, and shows that they are its pages. Prints and exits as devfile-calls does.
 */

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <xen/xen.h>
#include <xen/sys/privcmd.h>

#include "check.h"
#include "granted.h"

int main(int argc, char **argv)
{
	struct granted granted = { .domain = argc > 1 ? atoi(argv[1]) : 0, .refs = { FIRST_GRANT, FIRST_GRANT + 1 } };
	xen_pfn_t frames[2] = { FIRST_FRAME, FIRST_FRAME + 1 };
	privcmd_mmap_resource_t resource = { .dom = granted.domain, .type = GRANT_TABLE, .num = 1 };
	privcmd_mmapbatch_v2_t batch = { .num = 2, .dom = granted.domain, .arr = frames };
	int fd = open_device("privcmd", 0), errors[2] = { 0 };
	void *table = map(fd, 1, MAP_SHARED, 0);

	if (!granted.domain) {
		fprintf(stderr, "usage: devfile-dmabufs DOMAIN\n");
		return 2;
	}
	granted.area = map(fd, 2, MAP_SHARED, 0);
	batch.addr = (uintptr_t)granted.area;
	batch.err = errors;
	resource.addr = (uintptr_t)table;
	CHECK(ioctl(fd, IOCTL_PRIVCMD_MMAPBATCH_V2, &batch), 0);
	TRUE(!errors[0] && !errors[1]);
	CHECK(ioctl(fd, IOCTL_PRIVCMD_MMAP_RESOURCE, &resource), 0);
	if (!wrong) {
		grant_frames(table, 2, GTF_permit_access);
		dmabuf_calls(&granted);
		grant_frames(table, 2, 0);
	}
	printf("%d calls, %d wrong\n", calls, wrong);
	return wrong ? 1 : 0;
}
