/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The C headers that bindgen reads for crate xen_bindings. bindgen_parameters selects what it
 * emits; types that the kernel's own bindings have are taken from there.
 */

#include <linux/blk-mq.h>
#include <linux/etherdevice.h>
#include <linux/interrupt.h>
#include <linux/irq.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/netdevice.h>
#include <linux/rtnetlink.h>
#include <linux/vmalloc.h>
#include <xen/events.h>
#include <xen/grant_table.h>
#include <xen/page.h>
#include <xen/platform_pci.h>
#include <xen/xen-ops.h>
#include <xen/xen.h>
#include <xen/xenbus.h>

#include "block.h"
#include "chardev.h"
#include "debugfs.h"
#include "dmabuf.h"
#include "eventfd.h"
#include "grant.h"
#include "hypercall.h"
#include "memory.h"
#include "netdevice.h"
#include "pci.h"
#include "shims.h"
#include "skbuff.h"
#include "xdp.h"
