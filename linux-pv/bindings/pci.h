/* SPDX-License-Identifier: GPL-2.0 */
/*
 * C functions around PCI buses whose devices are another domain's. Without CONFIG_PCI_XEN there are none.
 */
#ifndef XEN_RS_PCI_H
#define XEN_RS_PCI_H

#include <linux/types.h>

#if defined(CONFIG_PCI_XEN) && defined(CONFIG_PCI_MSI)
#include <linux/pci.h>
#include <asm/xen/pci.h>

/* linux/msi.h: the entries of its table that a device is about to use, up to `room`; how many there are. */
int xen_rs_msix_entries(struct pci_dev *dev, u16 *entries, int room);
#endif

#endif
