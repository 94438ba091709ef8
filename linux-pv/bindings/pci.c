// SPDX-License-Identifier: GPL-2.0
/*
 * Bodies of the shims declared in pci.h.
 */

#include <linux/export.h>
#include <linux/msi.h>

#include "pci.h"

#if defined(CONFIG_PCI_XEN) && defined(CONFIG_PCI_MSI)
int xen_rs_msix_entries(struct pci_dev *dev, u16 *entries, int room)
{
	struct msi_desc *desc;
	int count = 0;

	msi_for_each_desc(desc, &dev->dev, MSI_DESC_NOTASSOCIATED) {
		if (count < room)
			entries[count] = desc->msi_index;
		count++;
	}
	return count;
}
EXPORT_SYMBOL_GPL(xen_rs_msix_entries);
#endif
