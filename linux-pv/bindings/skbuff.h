/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Packets and the pages they are made of: what bindgen cannot translate of linux/skbuff.h and
 * net/page_pool.
 */
#ifndef XEN_RS_SKBUFF_H
#define XEN_RS_SKBUFF_H

#include <linux/skbuff.h>

/* What a driver needs of a packet that is to be sent. */
struct xen_rs_tx_info {
	unsigned char *data;
	const skb_frag_t *frags;
	unsigned int headlen;
	unsigned int nr_frags;
	unsigned int gso_type;
	u16 gso_size;
	u8 ip_summed;
	/* A notification is due when the pages are free (MSG_ZEROCOPY, io_uring). */
	bool zerocopy;
};
void xen_rs_skb_tx_info(const struct sk_buff *skb, struct xen_rs_tx_info *info);
static const u8 XEN_RS_CHECKSUM_NONE = CHECKSUM_NONE;
static const u8 XEN_RS_CHECKSUM_UNNECESSARY = CHECKSUM_UNNECESSARY;
static const u8 XEN_RS_CHECKSUM_PARTIAL = CHECKSUM_PARTIAL;
static const unsigned int XEN_RS_SKB_GSO_TCPV4 = SKB_GSO_TCPV4;
static const unsigned int XEN_RS_SKB_GSO_TCPV6 = SKB_GSO_TCPV6;
static const unsigned int XEN_RS_SKB_GSO_DODGY = SKB_GSO_DODGY;
static const unsigned int XEN_RS_MAX_SKB_FRAGS = MAX_SKB_FRAGS;

struct page *xen_rs_frag_page(const skb_frag_t *frag);
struct page *xen_rs_virt_to_page(const void *address);
struct page *xen_rs_page_next(struct page *page, unsigned long count);
u16 xen_rs_skb_queue(const struct sk_buff *skb);
u32 xen_rs_skb_hash(struct sk_buff *skb);
void xen_rs_skb_get(struct sk_buff *skb);
bool xen_rs_skb_needs_gso(struct sk_buff *skb);
void xen_rs_skb_tx_timestamp(struct sk_buff *skb);
/* Lets go of the socket and the connection, which a packet keeps until it is freed. */
void xen_rs_skb_disown(struct sk_buff *skb);
void xen_rs_skb_drop(struct sk_buff *skb);
void xen_rs_skb_consume(struct sk_buff *skb);

/* Received packets. */
void xen_rs_skb_add_page(struct sk_buff *skb, struct page *page, unsigned int offset,
			 unsigned int len, unsigned int truesize);
void xen_rs_skb_mark_for_recycle(struct sk_buff *skb);
unsigned int xen_rs_skb_nr_frags(const struct sk_buff *skb);
/* Copies from a page, which another domain may change meanwhile, to the end of the linear part. */
void xen_rs_skb_put_page(struct sk_buff *skb, const struct page *page, size_t offset,
			 unsigned int len);
void xen_rs_skb_set_gso(struct sk_buff *skb, u16 size, unsigned int type);
void xen_rs_skb_set_hash(struct sk_buff *skb, u32 hash, bool l4);
/* Sets what the stack wants to know of any packet; false if it has no Ethernet header. */
bool xen_rs_skb_describe(struct sk_buff *skb, struct net_device *dev, u8 ip_summed, u16 queue);

/* net/page_pool: pages that the stack gives back. */
struct page_pool *xen_rs_page_pool_create(unsigned int pages, int node, struct device *dev);
struct page *xen_rs_page_pool_alloc(struct page_pool *pool);
void xen_rs_page_pool_put(struct page_pool *pool, struct page *page);

#endif
