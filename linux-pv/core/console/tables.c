// SPDX-License-Identifier: GPL-2.0
/*
 * What of the console has to be C: a function with a variable number of arguments, and two tables
 * whose types the kernel's bindings do not have.
 */

#include <linux/console.h>
#include <linux/init.h>
#include <linux/serial_core.h>
#include <linux/sprintf.h>
#include <xen/hvc-console.h>

#include "../bindings/console.h"

void xen_raw_printk(const char *fmt, ...)
{
	static char buf[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(buf, sizeof(buf), fmt, ap);
	va_end(ap);
	xen_raw_console_write(buf);
}

#ifdef CONFIG_EARLY_PRINTK
struct console xenboot_console = {
	.name = "xenboot",
	.write = xen_core_xenboot_write,
	.setup = xen_core_xenboot_setup,
	.flags = CON_PRINTBUFFER | CON_BOOT | CON_ANYTIME,
	.index = -1,
};
#endif

static int __init xen_core_earlycon_setup(struct earlycon_device *device, const char *options)
{
	device->con->write = xen_core_earlycon_write;
	return 0;
}
EARLYCON_DECLARE(xenboot, xen_core_earlycon_setup);
