// SPDX-License-Identifier: GPL-2.0
/*
 * Calls that a process of a guest might make by the hypervisor's device file. Prints what each came to: a result, or an
 * error number with a minus.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <xen/xen.h>
#include <xen/sys/privcmd.h>

static int answer(int result)
{
	return result < 0 ? -errno : result;
}

int main(void)
{
	privcmd_hypercall_t version = { .op = __HYPERVISOR_xen_version };
	privcmd_dm_op_t dm_op = { .dom = 0 };
	int fd = open("/dev/xen/privcmd", O_RDWR | O_CLOEXEC);

	if (fd < 0) {
		perror("/dev/xen/privcmd");
		return 1;
	}
	printf("hypercall %d\n", answer(ioctl(fd, IOCTL_PRIVCMD_HYPERCALL, &version)));
	printf("dm_op %d\n", answer(ioctl(fd, IOCTL_PRIVCMD_DM_OP, &dm_op)));
	return 0;
}
