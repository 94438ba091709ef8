// SPDX-License-Identifier: GPL-2.0
/*
 * Bodies of the shims declared in netdevice.h.
 */

#include <linux/bpf.h>
#include <linux/etherdevice.h>
#include <linux/export.h>
#include <linux/netdevice.h>
#include <linux/rtnetlink.h>
#include <net/gro.h>
#include <net/xdp.h>

#include "netdevice.h"

struct xen_rs_queue {
	struct napi_struct napi;
	struct xdp_rxq_info xdp_rxq;
	struct net_device *dev;
	int (*poll)(struct net_device *dev, struct napi_struct *napi, unsigned int queue,
		    int budget);
	unsigned int index;
};

/* The private part of a device. */
struct xen_rs_netdev {
	void *data;
	struct net_device_ops ops;
	unsigned int queues;
	struct xen_rs_queue queue[];
};

static_assert(offsetof(struct xen_rs_netdev, data) == 0,
	      "XEN_RS_NETDEV_DATA is the offset of `data`");

static int xen_rs_poll(struct napi_struct *napi, int budget)
{
	struct xen_rs_queue *queue = container_of(napi, struct xen_rs_queue, napi);

	return queue->poll(queue->dev, napi, queue->index, budget);
}

unsigned int xen_rs_online_cpus(void)
{
	return num_online_cpus();
}
EXPORT_SYMBOL_GPL(xen_rs_online_cpus);

unsigned int xen_rs_cpu(void)
{
	return raw_smp_processor_id();
}
EXPORT_SYMBOL_GPL(xen_rs_cpu);

struct net_device *xen_rs_netdev_alloc(unsigned int queues, void *data, struct device *parent,
				       const struct xen_rs_netdev_callbacks *callbacks,
				       const struct ethtool_ops *ethtool)
{
	struct xen_rs_netdev *priv;
	struct net_device *dev;
	unsigned int i;

	dev = alloc_etherdev_mqs(struct_size(priv, queue, queues), queues, queues);
	if (!dev)
		return NULL;
	priv = netdev_priv(dev);
	priv->data = data;
	priv->queues = queues;
	priv->ops.ndo_open = callbacks->open;
	priv->ops.ndo_stop = callbacks->stop;
	priv->ops.ndo_start_xmit = callbacks->start_xmit;
	priv->ops.ndo_select_queue = callbacks->select_queue;
	priv->ops.ndo_change_mtu = callbacks->change_mtu;
	priv->ops.ndo_get_stats64 = callbacks->get_stats64;
	priv->ops.ndo_fix_features = callbacks->fix_features;
	priv->ops.ndo_set_features = callbacks->set_features;
	priv->ops.ndo_bpf = callbacks->bpf;
	priv->ops.ndo_xdp_xmit = callbacks->xdp_xmit;
	priv->ops.ndo_set_rx_mode_async = callbacks->set_rx_mode;
	/* The address is used by the stack only, so it may change while the device is up. */
	dev->priv_flags |= IFF_LIVE_ADDR_CHANGE;
	priv->ops.ndo_set_mac_address = eth_mac_addr;
	priv->ops.ndo_validate_addr = eth_validate_addr;
	dev->netdev_ops = &priv->ops;
	dev->ethtool_ops = ethtool;
	SET_NETDEV_DEV(dev, parent);
	netif_carrier_off(dev);
	for (i = 0; i < queues; i++) {
		struct xen_rs_queue *queue = &priv->queue[i];

		queue->dev = dev;
		queue->poll = callbacks->poll;
		queue->index = i;
		netif_napi_add(dev, &queue->napi, xen_rs_poll);
	}
	return dev;
}
EXPORT_SYMBOL_GPL(xen_rs_netdev_alloc);

void xen_rs_netdev_free(struct net_device *dev)
{
	/* This ends the NAPI contexts too. */
	free_netdev(dev);
}
EXPORT_SYMBOL_GPL(xen_rs_netdev_free);

struct napi_struct *xen_rs_netdev_napi(struct net_device *dev, unsigned int queue)
{
	struct xen_rs_netdev *priv = netdev_priv(dev);

	return &priv->queue[queue].napi;
}
EXPORT_SYMBOL_GPL(xen_rs_netdev_napi);

struct netdev_queue *xen_rs_netdev_txq(struct net_device *dev, unsigned int queue)
{
	return netdev_get_tx_queue(dev, queue);
}
EXPORT_SYMBOL_GPL(xen_rs_netdev_txq);

struct xdp_rxq_info *xen_rs_netdev_xdp_rxq(struct net_device *dev, unsigned int queue)
{
	struct xen_rs_netdev *priv = netdev_priv(dev);

	return &priv->queue[queue].xdp_rxq;
}

void xen_rs_netdev_set_address(struct net_device *dev, const u8 *address)
{
	rtnl_lock();
	eth_hw_addr_set(dev, address);
	rtnl_unlock();
}
EXPORT_SYMBOL_GPL(xen_rs_netdev_set_address);

void xen_rs_netdev_set_capabilities(struct net_device *dev, u64 features, u64 changeable,
				    u32 xdp, unsigned int max_mtu)
{
	dev->features = features | changeable;
	dev->hw_features = changeable;
	dev->xdp_features = xdp;
	dev->min_mtu = ETH_MIN_MTU;
	dev->max_mtu = max_mtu;
}
EXPORT_SYMBOL_GPL(xen_rs_netdev_set_capabilities);

u64 xen_rs_netdev_features(const struct net_device *dev)
{
	return dev->features;
}
EXPORT_SYMBOL_GPL(xen_rs_netdev_features);

unsigned int xen_rs_netdev_mtu(const struct net_device *dev)
{
	return READ_ONCE(dev->mtu);
}
EXPORT_SYMBOL_GPL(xen_rs_netdev_mtu);

void xen_rs_netdev_set_mtu(struct net_device *dev, unsigned int mtu)
{
	WRITE_ONCE(dev->mtu, mtu);
}
EXPORT_SYMBOL_GPL(xen_rs_netdev_set_mtu);

const char *xen_rs_netdev_name(const struct net_device *dev)
{
	return netdev_name(dev);
}
EXPORT_SYMBOL_GPL(xen_rs_netdev_name);

bool xen_rs_netdev_is_new(const struct net_device *dev)
{
	return dev->reg_state == NETREG_UNINITIALIZED;
}
EXPORT_SYMBOL_GPL(xen_rs_netdev_is_new);

unsigned int xen_rs_netdev_tx_queues(const struct net_device *dev)
{
	return READ_ONCE(dev->real_num_tx_queues);
}
EXPORT_SYMBOL_GPL(xen_rs_netdev_tx_queues);

int xen_rs_netdev_set_queues(struct net_device *dev, unsigned int queues)
{
	int err;

	rtnl_lock();
	err = netif_set_real_num_queues(dev, queues, queues);
	rtnl_unlock();
	return err;
}
EXPORT_SYMBOL_GPL(xen_rs_netdev_set_queues);

void xen_rs_netdev_start_queues(struct net_device *dev)
{
	netif_tx_start_all_queues(dev);
}
EXPORT_SYMBOL_GPL(xen_rs_netdev_start_queues);

void xen_rs_netdev_detach(struct net_device *dev)
{
	/* No transmission is running when this returns. */
	netif_tx_lock_bh(dev);
	netif_device_detach(dev);
	netif_tx_unlock_bh(dev);
}
EXPORT_SYMBOL_GPL(xen_rs_netdev_detach);

void xen_rs_netdev_attach(struct net_device *dev)
{
	netif_tx_lock_bh(dev);
	netif_device_attach(dev);
	netif_tx_unlock_bh(dev);
}
EXPORT_SYMBOL_GPL(xen_rs_netdev_attach);

bool xen_rs_netdev_wants_all_multicast(const struct net_device *dev)
{
	return dev->flags & (IFF_PROMISC | IFF_ALLMULTI);
}
EXPORT_SYMBOL_GPL(xen_rs_netdev_wants_all_multicast);

unsigned int xen_rs_hw_addrs(const struct netdev_hw_addr_list *list, u8 (*to)[ETH_ALEN],
			     unsigned int room)
{
	const struct netdev_hw_addr *address;
	unsigned int count = 0;

	netdev_hw_addr_list_for_each(address, list)
		if (count++ < room)
			ether_addr_copy(*to++, address->addr);
	return count;
}
EXPORT_SYMBOL_GPL(xen_rs_hw_addrs);

void xen_rs_txq_lock(struct netdev_queue *txq)
{
	__netif_tx_lock_bh(txq);
}
EXPORT_SYMBOL_GPL(xen_rs_txq_lock);

void xen_rs_txq_unlock(struct netdev_queue *txq)
{
	__netif_tx_unlock_bh(txq);
}
EXPORT_SYMBOL_GPL(xen_rs_txq_unlock);

bool xen_rs_txq_trylock_irqs_off(struct netdev_queue *txq)
{
	return __netif_tx_trylock(txq);
}
EXPORT_SYMBOL_GPL(xen_rs_txq_trylock_irqs_off);

void xen_rs_txq_unlock_irqs_off(struct netdev_queue *txq)
{
	__netif_tx_unlock(txq);
}
EXPORT_SYMBOL_GPL(xen_rs_txq_unlock_irqs_off);

void xen_rs_txq_stop(struct netdev_queue *txq)
{
	netif_tx_stop_queue(txq);
}
EXPORT_SYMBOL_GPL(xen_rs_txq_stop);

bool xen_rs_txq_stopped(const struct netdev_queue *txq)
{
	return netif_tx_queue_stopped(txq);
}
EXPORT_SYMBOL_GPL(xen_rs_txq_stopped);

bool xen_rs_xmit_more(void)
{
	return netdev_xmit_more();
}
EXPORT_SYMBOL_GPL(xen_rs_xmit_more);

void xen_rs_napi_schedule(struct napi_struct *napi)
{
	/*
	 * A softirq raised by a task runs after the next interrupt of this CPU, and no other CPU
	 * can poll the context meanwhile. Enabling softirqs runs it at once.
	 */
	bool task = in_task() && !irqs_disabled();

	if (task)
		local_bh_disable();
	napi_schedule(napi);
	if (task)
		local_bh_enable();
}
EXPORT_SYMBOL_GPL(xen_rs_napi_schedule);

void xen_rs_napi_receive(struct napi_struct *napi, struct sk_buff *skb)
{
	napi_gro_receive(napi, skb);
}
EXPORT_SYMBOL_GPL(xen_rs_napi_receive);
