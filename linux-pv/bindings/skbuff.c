// SPDX-License-Identifier: GPL-2.0
/*
 * Bodies of the shims declared in skbuff.h.
 */

#include <linux/etherdevice.h>
#include <linux/export.h>
#include <linux/mm.h>
#include <linux/netdevice.h>
#include <linux/skbuff.h>
#include <net/page_pool/helpers.h>
#include <net/xdp.h>

#include "skbuff.h"

void xen_rs_skb_tx_info(const struct sk_buff *skb, struct xen_rs_tx_info *info)
{
	const struct skb_shared_info *shared = skb_shinfo(skb);

	info->data = skb->data;
	info->frags = shared->frags;
	info->headlen = skb_headlen(skb);
	info->nr_frags = shared->nr_frags;
	info->gso_type = shared->gso_type;
	info->gso_size = shared->gso_size;
	info->ip_summed = skb->ip_summed;
	info->zerocopy = skb_zcopy((struct sk_buff *)skb);
}
EXPORT_SYMBOL_GPL(xen_rs_skb_tx_info);

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

void xen_rs_skb_put_page(struct sk_buff *skb, const struct page *page, size_t offset,
			 unsigned int len)
{
	memcpy(skb_put(skb, len), page_address(page) + offset, len);
}
EXPORT_SYMBOL_GPL(xen_rs_skb_put_page);

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

bool xen_rs_skb_describe(struct sk_buff *skb, struct net_device *dev, u8 ip_summed, u16 queue)
{
	if (!pskb_may_pull(skb, ETH_HLEN))
		return false;
	skb->ip_summed = ip_summed;
	skb->protocol = eth_type_trans(skb, dev);
	skb_reset_network_header(skb);
	skb_record_rx_queue(skb, queue);
	return true;
}
EXPORT_SYMBOL_GPL(xen_rs_skb_describe);

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
