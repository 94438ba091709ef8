// SPDX-License-Identifier: GPL-2.0
/*
 * Bodies of the shims declared in net.h.
 */

#include <linux/bpf.h>
#include <linux/bpf_trace.h>
#include <linux/etherdevice.h>
#include <linux/export.h>
#include <linux/filter.h>
#include <linux/mm.h>
#include <linux/netdevice.h>
#include <linux/rtnetlink.h>
#include <linux/skbuff.h>
#include <linux/slab.h>
#include <net/gro.h>
#include <net/page_pool/helpers.h>
#include <net/xdp.h>

#include "net.h"

struct xen_rs_queue {
	struct napi_struct napi;
	struct xdp_rxq_info xdp_rxq;
	struct net_device *dev;
	int (*poll)(struct net_device *dev, struct napi_struct *napi, unsigned int queue, int budget);
	unsigned int index;
};

/* The private part of a device. */
struct xen_rs_netdev {
	void *data;
	struct net_device_ops ops;
	unsigned int queues;
	struct xen_rs_queue queue[];
};

static_assert(offsetof(struct xen_rs_netdev, data) == 0, "XEN_RS_NETDEV_DATA says so");

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
	/* Nobody has to be told of another address, so that a device that is up may get one too. */
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
	 * A softirq that a task raises waits for the next interrupt of this CPU, and the context cannot be
	 * polled elsewhere meanwhile. Enabling softirqs runs it at once.
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

void xen_rs_skb_tx_facts(const struct sk_buff *skb, struct xen_rs_tx_facts *facts)
{
	const struct skb_shared_info *shared = skb_shinfo(skb);

	facts->data = skb->data;
	facts->frags = shared->frags;
	facts->headlen = skb_headlen(skb);
	facts->nr_frags = shared->nr_frags;
	facts->gso_type = shared->gso_type;
	facts->gso_size = shared->gso_size;
	facts->ip_summed = skb->ip_summed;
	facts->zerocopy = skb_zcopy((struct sk_buff *)skb);
}
EXPORT_SYMBOL_GPL(xen_rs_skb_tx_facts);

struct page *xen_rs_frag_page(const skb_frag_t *frag)
{
	return skb_frag_page(frag);
}
EXPORT_SYMBOL_GPL(xen_rs_frag_page);

struct page *xen_rs_virt_to_page(const void *address)
{
	return virt_to_page(address);
}
EXPORT_SYMBOL_GPL(xen_rs_virt_to_page);

struct page *xen_rs_page_next(struct page *page, unsigned long count)
{
	return page + count;
}
EXPORT_SYMBOL_GPL(xen_rs_page_next);

u16 xen_rs_skb_queue(const struct sk_buff *skb)
{
	return skb_get_queue_mapping(skb);
}
EXPORT_SYMBOL_GPL(xen_rs_skb_queue);

u32 xen_rs_skb_hash(struct sk_buff *skb)
{
	return skb_get_hash(skb);
}
EXPORT_SYMBOL_GPL(xen_rs_skb_hash);

void xen_rs_skb_get(struct sk_buff *skb)
{
	skb_get(skb);
}
EXPORT_SYMBOL_GPL(xen_rs_skb_get);

bool xen_rs_skb_needs_gso(struct sk_buff *skb)
{
	return netif_needs_gso(skb, netif_skb_features(skb));
}
EXPORT_SYMBOL_GPL(xen_rs_skb_needs_gso);

void xen_rs_skb_tx_timestamp(struct sk_buff *skb)
{
	skb_tx_timestamp(skb);
}
EXPORT_SYMBOL_GPL(xen_rs_skb_tx_timestamp);

/* What holds the packet's socket or a connection up until the packet is freed. */
void xen_rs_skb_disown(struct sk_buff *skb)
{
	skb_orphan(skb);
	nf_reset_ct(skb);
}
EXPORT_SYMBOL_GPL(xen_rs_skb_disown);

void xen_rs_skb_drop(struct sk_buff *skb)
{
	dev_kfree_skb_any(skb);
}
EXPORT_SYMBOL_GPL(xen_rs_skb_drop);

void xen_rs_skb_consume(struct sk_buff *skb)
{
	dev_consume_skb_any(skb);
}
EXPORT_SYMBOL_GPL(xen_rs_skb_consume);

void xen_rs_skb_add_page(struct sk_buff *skb, struct page *page, unsigned int offset,
			 unsigned int len, unsigned int truesize)
{
	skb_add_rx_frag(skb, skb_shinfo(skb)->nr_frags, page, offset, len, truesize);
}
EXPORT_SYMBOL_GPL(xen_rs_skb_add_page);

void xen_rs_skb_mark_for_recycle(struct sk_buff *skb)
{
	skb_mark_for_recycle(skb);
}
EXPORT_SYMBOL_GPL(xen_rs_skb_mark_for_recycle);

unsigned int xen_rs_skb_nr_frags(const struct sk_buff *skb)
{
	return skb_shinfo(skb)->nr_frags;
}
EXPORT_SYMBOL_GPL(xen_rs_skb_nr_frags);

void xen_rs_skb_set_csum(struct sk_buff *skb, u8 ip_summed)
{
	skb->ip_summed = ip_summed;
}
EXPORT_SYMBOL_GPL(xen_rs_skb_set_csum);

void xen_rs_skb_set_gso(struct sk_buff *skb, u16 size, unsigned int type)
{
	skb_shinfo(skb)->gso_size = size;
	skb_shinfo(skb)->gso_type = type;
	skb_shinfo(skb)->gso_segs = 0;
}
EXPORT_SYMBOL_GPL(xen_rs_skb_set_gso);

void xen_rs_skb_set_hash(struct sk_buff *skb, u32 hash, bool l4)
{
	skb_set_hash(skb, hash, l4 ? PKT_HASH_TYPE_L4 : PKT_HASH_TYPE_L3);
}
EXPORT_SYMBOL_GPL(xen_rs_skb_set_hash);

bool xen_rs_skb_may_pull(struct sk_buff *skb, unsigned int len)
{
	return pskb_may_pull(skb, len);
}
EXPORT_SYMBOL_GPL(xen_rs_skb_may_pull);

void xen_rs_skb_eth_type(struct sk_buff *skb, struct net_device *dev)
{
	skb->protocol = eth_type_trans(skb, dev);
	skb_reset_network_header(skb);
}
EXPORT_SYMBOL_GPL(xen_rs_skb_eth_type);

void xen_rs_skb_record_rx_queue(struct sk_buff *skb, u16 queue)
{
	skb_record_rx_queue(skb, queue);
}
EXPORT_SYMBOL_GPL(xen_rs_skb_record_rx_queue);

struct page_pool *xen_rs_page_pool_create(unsigned int pages, int node, struct device *dev)
{
	struct page_pool_params params = {
		.pool_size = pages,
		.nid = node,
		.dev = dev,
		.offset = XDP_PACKET_HEADROOM,
		.max_len = PAGE_SIZE - XDP_PACKET_HEADROOM,
	};

	return page_pool_create(&params);
}
EXPORT_SYMBOL_GPL(xen_rs_page_pool_create);

struct page *xen_rs_page_pool_alloc(struct page_pool *pool)
{
	return page_pool_alloc_pages(pool, GFP_ATOMIC | __GFP_NOWARN | __GFP_ZERO);
}
EXPORT_SYMBOL_GPL(xen_rs_page_pool_alloc);

void xen_rs_page_pool_put(struct page_pool *pool, struct page *page)
{
	page_pool_put_full_page(pool, page, false);
}
EXPORT_SYMBOL_GPL(xen_rs_page_pool_put);

static struct xdp_rxq_info *xen_rs_xdp_rxq(struct net_device *dev, unsigned int queue)
{
	struct xen_rs_netdev *priv = netdev_priv(dev);

	return &priv->queue[queue].xdp_rxq;
}

int xen_rs_xdp_register(struct net_device *dev, unsigned int queue, struct page_pool *pool)
{
	struct xdp_rxq_info *rxq = xen_rs_xdp_rxq(dev, queue);
	int err = xdp_rxq_info_reg(rxq, dev, queue, 0);

	if (err)
		return err;
	err = xdp_rxq_info_reg_mem_model(rxq, MEM_TYPE_PAGE_POOL, pool);
	if (err)
		xdp_rxq_info_unreg(rxq);
	return err;
}
EXPORT_SYMBOL_GPL(xen_rs_xdp_register);

void xen_rs_xdp_unregister(struct net_device *dev, unsigned int queue)
{
	xdp_rxq_info_unreg(xen_rs_xdp_rxq(dev, queue));
}
EXPORT_SYMBOL_GPL(xen_rs_xdp_unregister);

void xen_rs_xdp_prepare(struct xdp_buff *xdp, struct net_device *dev, unsigned int queue,
			void *page, unsigned int offset, unsigned int len)
{
	xdp_init_buff(xdp, PAGE_SIZE, xen_rs_xdp_rxq(dev, queue));
	xdp_prepare_buff(xdp, page, offset, len, false);
}
EXPORT_SYMBOL_GPL(xen_rs_xdp_prepare);

void *xen_rs_xdp_data(const struct xdp_buff *xdp)
{
	return xdp->data;
}
EXPORT_SYMBOL_GPL(xen_rs_xdp_data);

unsigned int xen_rs_xdp_len(const struct xdp_buff *xdp)
{
	return xdp->data_end - xdp->data;
}
EXPORT_SYMBOL_GPL(xen_rs_xdp_len);

u32 xen_rs_xdp_run(const struct bpf_prog *program, struct xdp_buff *xdp)
{
	return bpf_prog_run_xdp(program, xdp);
}
EXPORT_SYMBOL_GPL(xen_rs_xdp_run);

struct xdp_frame *xen_rs_xdp_to_frame(struct xdp_buff *xdp)
{
	return xdp_convert_buff_to_frame(xdp);
}
EXPORT_SYMBOL_GPL(xen_rs_xdp_to_frame);

void *xen_rs_xdp_frame_data(const struct xdp_frame *frame)
{
	return frame->data;
}
EXPORT_SYMBOL_GPL(xen_rs_xdp_frame_data);

unsigned int xen_rs_xdp_frame_len(const struct xdp_frame *frame)
{
	return frame->len;
}
EXPORT_SYMBOL_GPL(xen_rs_xdp_frame_len);

bool xen_rs_xdp_frame_is_plain(const struct xdp_frame *frame)
{
	return !xdp_frame_has_frags(frame);
}
EXPORT_SYMBOL_GPL(xen_rs_xdp_frame_is_plain);

void xen_rs_xdp_exception(const struct net_device *dev, const struct bpf_prog *program, u32 action)
{
	if (action > XDP_REDIRECT)
		bpf_warn_invalid_xdp_action(dev, program, action);
	trace_xdp_exception(dev, program, action);
}
EXPORT_SYMBOL_GPL(xen_rs_xdp_exception);

bool xen_rs_bpf_is_setup(const struct netdev_bpf *command)
{
	return command->command == XDP_SETUP_PROG;
}
EXPORT_SYMBOL_GPL(xen_rs_bpf_is_setup);

struct bpf_prog *xen_rs_bpf_program(const struct netdev_bpf *command)
{
	return command->prog;
}
EXPORT_SYMBOL_GPL(xen_rs_bpf_program);

void xen_rs_bpf_message(const struct netdev_bpf *command)
{
	NL_SET_ERR_MSG(command->extack, "The MTU is too large: packets must fit into a page with room around");
}
EXPORT_SYMBOL_GPL(xen_rs_bpf_message);

void xen_rs_bpf_put(struct bpf_prog *program)
{
	bpf_prog_put(program);
}
EXPORT_SYMBOL_GPL(xen_rs_bpf_put);

unsigned int xen_rs_cpu(void)
{
	return raw_smp_processor_id();
}
EXPORT_SYMBOL_GPL(xen_rs_cpu);

void xen_rs_move(void *to, const void *from, size_t len)
{
	memmove(to, from, len);
}
EXPORT_SYMBOL_GPL(xen_rs_move);
