/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The C headers that bindgen reads for crate core_bindings. bindgen_parameters selects what it
 * emits; types that the kernel's own bindings have are taken from there.
 */

#include <linux/acpi.h>
#include <linux/console.h>
#include <linux/dma-map-ops.h>
#include <linux/interrupt.h>
#include <linux/irq.h>
#include <linux/msi.h>
#include <linux/pci.h>
#include <linux/scatterlist.h>
#include <linux/memblock.h>
#include <linux/sched/clock.h>
#include <linux/sched/cputime.h>
#include <linux/static_call.h>
#include <linux/swiotlb.h>
#include <linux/vmalloc.h>
#include <acpi/acpi_drivers.h>
#include <asm/apic.h>
#include <asm/i8259.h>
#include <asm/io_apic.h>
#include <asm/pci_x86.h>
#include <asm/xen/pci.h>
#include <xen/acpi.h>
#include <xen/events.h>
#include <xen/features.h>
#include <xen/grant_table.h>
#include <xen/hvc-console.h>
#include <xen/hvm.h>
#include <xen/interface/vcpu.h>
#include <xen/interface/xen.h>
#include <xen/mem-reservation.h>
#include <xen/page.h>
#include <xen/pci.h>
#include <xen/swiotlb-xen.h>
#include <xen/xen.h>
#include <xen/xen-ops.h>
#include <xen/xenbus.h>

/* drivers/tty/hvc and arch/x86/xen, folders that the rules name. */
#include <hvc_console.h>
#include <xen-ops.h>

#include "calls.h"
#include "console.h"
#include "events.h"
#include "grants.h"
#include "pci.h"
#include "shims.h"
#include "time.h"
