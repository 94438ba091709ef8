// SPDX-License-Identifier: GPL-2.0
/*
 * Bodies of the shims declared in shims.h. They are exported because generic Rust code of crates
 * kernel_ext and xen is compiled into the drivers that use it.
 */

#include <linux/blk-mq.h>
#include <linux/export.h>
#include <linux/highmem.h>
#include <linux/spinlock.h>
#include <linux/interrupt.h>
#include <linux/mm.h>
#include <linux/nodemask.h>
#include <linux/preempt.h>
#include <linux/rcupdate.h>
#include <linux/sched/mm.h>
#include <linux/string.h>
#include <linux/vmalloc.h>
#include <asm/barrier.h>
#include <xen/page.h>
#include <xen/platform_pci.h>
#include <xen/xen.h>

#include "shims.h"

unsigned long xen_rs_page_to_gfn(struct page *page)
{
	return xen_page_to_gfn(page);
}
EXPORT_SYMBOL_GPL(xen_rs_page_to_gfn);

unsigned long xen_rs_virt_to_gfn(const void *virt)
{
	return xen_page_to_gfn(virt_to_page(virt));
}
EXPORT_SYMBOL_GPL(xen_rs_virt_to_gfn);

void *xen_rs_page_address(struct page *page)
{
	return page_address(page);
}
EXPORT_SYMBOL_GPL(xen_rs_page_address);

void *xen_rs_vmap(struct page **pages, unsigned int count)
{
	return vmap(pages, count, VM_MAP, PAGE_KERNEL);
}
EXPORT_SYMBOL_GPL(xen_rs_vmap);

static __always_inline void copy(void *to, const void *from, size_t len)
{
	/* Most copies are of whole pages, for which the kernel selects a function by CPU. */
	if (len == PAGE_SIZE && IS_ALIGNED((unsigned long)to | (unsigned long)from, PAGE_SIZE))
		copy_page(to, (void *)from);
	else
		memcpy(to, from, len);
}

void xen_rs_copy(void *to, const void *from, size_t len)
{
	copy(to, from, len);
}
EXPORT_SYMBOL_GPL(xen_rs_copy);

void xen_rs_copy_from_page(void *to, struct page *page, size_t offset, size_t len)
{
	const void *from = kmap_local_page(page);

	copy(to, from + offset, len);
	kunmap_local(from);
}
EXPORT_SYMBOL_GPL(xen_rs_copy_from_page);

void xen_rs_copy_to_page(struct page *page, size_t offset, const void *from, size_t len)
{
	void *to = kmap_local_page(page);

	copy(to + offset, from, len);
	kunmap_local(to);
}
EXPORT_SYMBOL_GPL(xen_rs_copy_to_page);

void xen_rs_zero(void *to, size_t len)
{
	memset(to, 0, len);
}
EXPORT_SYMBOL_GPL(xen_rs_zero);

unsigned int xen_rs_noio_save(void)
{
	return memalloc_noio_save();
}
EXPORT_SYMBOL_GPL(xen_rs_noio_save);

void xen_rs_noio_restore(unsigned int flags)
{
	memalloc_noio_restore(flags);
}
EXPORT_SYMBOL_GPL(xen_rs_noio_restore);

unsigned long xen_rs_spin_lock_irqsave(spinlock_t *lock)
{
	unsigned long flags;

	spin_lock_irqsave(lock, flags);
	return flags;
}
EXPORT_SYMBOL_GPL(xen_rs_spin_lock_irqsave);

int xen_rs_spin_trylock_irqsave(spinlock_t *lock, unsigned long *flags)
{
	unsigned long saved;

	if (!spin_trylock_irqsave(lock, saved))
		return 0;
	*flags = saved;
	return 1;
}
EXPORT_SYMBOL_GPL(xen_rs_spin_trylock_irqsave);

void xen_rs_spin_unlock_irqrestore(spinlock_t *lock, unsigned long flags)
{
	spin_unlock_irqrestore(lock, flags);
}
EXPORT_SYMBOL_GPL(xen_rs_spin_unlock_irqrestore);

void xen_rs_raw_spin_lock_init(raw_spinlock_t *lock, const char *name, struct lock_class_key *key)
{
#ifdef CONFIG_DEBUG_SPINLOCK
	__raw_spin_lock_init(lock, name, key, LD_WAIT_SPIN);
#else
	*lock = __RAW_SPIN_LOCK_UNLOCKED(lock);
#endif
}
EXPORT_SYMBOL_GPL(xen_rs_raw_spin_lock_init);

int xen_rs_raw_spin_trylock_irqsave(raw_spinlock_t *lock, unsigned long *flags)
{
	unsigned long saved;

	if (!raw_spin_trylock_irqsave(lock, saved))
		return 0;
	*flags = saved;
	return 1;
}
EXPORT_SYMBOL_GPL(xen_rs_raw_spin_trylock_irqsave);

void xen_rs_spin_lock_bh(spinlock_t *lock)
{
	spin_lock_bh(lock);
}
EXPORT_SYMBOL_GPL(xen_rs_spin_lock_bh);

int xen_rs_spin_trylock_bh(spinlock_t *lock)
{
	return spin_trylock_bh(lock);
}
EXPORT_SYMBOL_GPL(xen_rs_spin_trylock_bh);

void xen_rs_spin_unlock_bh(spinlock_t *lock)
{
	spin_unlock_bh(lock);
}
EXPORT_SYMBOL_GPL(xen_rs_spin_unlock_bh);

void xen_rs_device_lock(struct device *dev)
{
	device_lock(dev);
}
EXPORT_SYMBOL_GPL(xen_rs_device_lock);

bool xen_rs_device_trylock(struct device *dev)
{
	return device_trylock(dev);
}
EXPORT_SYMBOL_GPL(xen_rs_device_trylock);

void xen_rs_device_unlock(struct device *dev)
{
	device_unlock(dev);
}
EXPORT_SYMBOL_GPL(xen_rs_device_unlock);

bool xen_rs_may_sleep(void)
{
	return preemptible() && !rcu_preempt_depth() && task_is_running(current);
}
EXPORT_SYMBOL_GPL(xen_rs_may_sleep);

int xen_rs_first_online_node(void)
{
	return first_online_node;
}
EXPORT_SYMBOL_GPL(xen_rs_first_online_node);

void xen_rs_virt_mb(void)
{
	virt_mb();
}
EXPORT_SYMBOL_GPL(xen_rs_virt_mb);

int xen_rs_irq_set_cpu(unsigned int irq, unsigned int cpu)
{
	if (cpu >= nr_cpu_ids)
		return -EINVAL;
	return irq_set_affinity(irq, cpumask_of(cpu));
}
EXPORT_SYMBOL_GPL(xen_rs_irq_set_cpu);

bool xen_rs_domain(void)
{
	return xen_domain();
}
EXPORT_SYMBOL_GPL(xen_rs_domain);

bool xen_rs_hvm_domain(void)
{
	return xen_hvm_domain();
}
EXPORT_SYMBOL_GPL(xen_rs_hvm_domain);

bool xen_rs_initial_domain(void)
{
	return xen_initial_domain();
}
EXPORT_SYMBOL_GPL(xen_rs_initial_domain);

bool xen_rs_pvh_domain(void)
{
	return xen_pvh_domain();
}
EXPORT_SYMBOL_GPL(xen_rs_pvh_domain);

bool xen_rs_has_pv_devices(void)
{
	return xen_has_pv_devices();
}
EXPORT_SYMBOL_GPL(xen_rs_has_pv_devices);

/*
 * blk_mark_disk_dead() without telling file systems, which would wait for I/O in flight. Once this
 * is done del_gendisk() tells none either.
 */
void xen_rs_disk_set_dead(struct gendisk *disk)
{
	blk_queue_flag_set(QUEUE_FLAG_DYING, disk->queue);
	if (test_and_set_bit(GD_DEAD, &disk->state))
		return;
	set_capacity(disk, 0);
	blk_freeze_queue_start_non_owner(disk->queue);
}
EXPORT_SYMBOL_GPL(xen_rs_disk_set_dead);

bool xen_rs_has_pv_disk_devices(void)
{
	return xen_has_pv_disk_devices();
}
EXPORT_SYMBOL_GPL(xen_rs_has_pv_disk_devices);

bool xen_rs_has_pv_nic_devices(void)
{
	return xen_has_pv_nic_devices();
}
EXPORT_SYMBOL_GPL(xen_rs_has_pv_nic_devices);

bool xen_rs_has_pv_and_legacy_disk_devices(void)
{
	return xen_has_pv_and_legacy_disk_devices();
}
EXPORT_SYMBOL_GPL(xen_rs_has_pv_and_legacy_disk_devices);
