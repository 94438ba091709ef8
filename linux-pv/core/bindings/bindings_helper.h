/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The C headers that bindgen reads for crate core_bindings. What comes out of them is selected in bindgen_parameters;
 * types that the kernel's own bindings know are taken from there.
 */

#include <linux/dma-map-ops.h>
#include <linux/scatterlist.h>
#include <linux/swiotlb.h>
#include <xen/page.h>
#include <xen/swiotlb-xen.h>

#include "shims.h"
