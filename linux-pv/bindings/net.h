/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Network devices: what bindgen cannot translate of linux/netdevice.h and linux/skbuff.h. A device made
 * here carries, in its private part, its table of operations and a NAPI context for each queue, since the
 * kernel's own bindings know these structures by name only.
 */
#ifndef XEN_RS_NET_H
#define XEN_RS_NET_H

#include <linux/ethtool.h>
#include <linux/netdevice.h>
#include <linux/skbuff.h>
#include <net/xdp.h>

/* What a driver is asked. A null pointer leaves the kernel's default. */
struct xen_rs_netdev_callbacks {
	int (*open)(struct net_device *dev);
	int (*stop)(struct net_device *dev);
	netdev_tx_t (*start_xmit)(struct sk_buff *skb, struct net_device *dev);
	u16 (*select_queue)(struct net_device *dev, struct sk_buff *skb, struct net_device *upper);
	int (*change_mtu)(struct net_device *dev, int mtu);
	void (*get_stats64)(struct net_device *dev, struct rtnl_link_stats64 *stats);
	u64 (*fix_features)(struct net_device *dev, u64 features);
	int (*set_features)(struct net_device *dev, u64 features);
	int (*bpf)(struct net_device *dev, struct netdev_bpf *command);
	int (*set_rx_mode)(struct net_device *dev, struct netdev_hw_addr_list *unicast,
			   struct netdev_hw_addr_list *multicast);
	int (*xdp_xmit)(struct net_device *dev, int count, struct xdp_frame **frames, u32 flags);
	int (*poll)(struct net_device *dev, struct napi_struct *napi, unsigned int queue, int budget);
};

/* Where the driver's pointer is behind a struct net_device. */
const size_t XEN_RS_NETDEV_DATA = offsetof(struct net_device, priv);

/* linux/netdev_features.h: bits of an interface's features. */
const u64 XEN_RS_NETIF_F_SG = NETIF_F_SG;
const u64 XEN_RS_NETIF_F_IP_CSUM = NETIF_F_IP_CSUM;
const u64 XEN_RS_NETIF_F_IPV6_CSUM = NETIF_F_IPV6_CSUM;
const u64 XEN_RS_NETIF_F_RXCSUM = NETIF_F_RXCSUM;
const u64 XEN_RS_NETIF_F_TSO = NETIF_F_TSO;
const u64 XEN_RS_NETIF_F_TSO6 = NETIF_F_TSO6;
const u64 XEN_RS_NETIF_F_GSO_ROBUST = NETIF_F_GSO_ROBUST;
const u64 XEN_RS_NETIF_F_RXHASH = NETIF_F_RXHASH;
/* uapi/linux/if_link.h, net/xdp.h */
const u32 XEN_RS_XDP_FEATURES =
	NETDEV_XDP_ACT_BASIC | NETDEV_XDP_ACT_REDIRECT | NETDEV_XDP_ACT_NDO_XMIT;
const unsigned int XEN_RS_XDP_HEADROOM = XDP_PACKET_HEADROOM;

unsigned int xen_rs_online_cpus(void);

/* A device with that many queues each way, not registered, carrier off. */
struct net_device *xen_rs_netdev_alloc(unsigned int queues, void *data, struct device *parent,
				       const struct xen_rs_netdev_callbacks *callbacks,
				       const struct ethtool_ops *ethtool);
/* To be called when the device is not registered (any more). */
void xen_rs_netdev_free(struct net_device *dev);
struct napi_struct *xen_rs_netdev_napi(struct net_device *dev, unsigned int queue);
struct netdev_queue *xen_rs_netdev_txq(struct net_device *dev, unsigned int queue);
/* Takes the RTNL lock. */
void xen_rs_netdev_set_address(struct net_device *dev, const u8 *address);
/* To be called before the device is registered. */
void xen_rs_netdev_set_capabilities(struct net_device *dev, u64 features, u64 changeable,
				    u32 xdp, unsigned int max_mtu);
u64 xen_rs_netdev_features(const struct net_device *dev);
unsigned int xen_rs_netdev_mtu(const struct net_device *dev);
void xen_rs_netdev_set_mtu(struct net_device *dev, unsigned int mtu);
const char *xen_rs_netdev_name(const struct net_device *dev);
/* Whether the device was never registered, and can be. */
bool xen_rs_netdev_is_new(const struct net_device *dev);
unsigned int xen_rs_netdev_tx_queues(const struct net_device *dev);
int xen_rs_netdev_set_queues(struct net_device *dev, unsigned int queues);
void xen_rs_netdev_start_queues(struct net_device *dev);
void xen_rs_netdev_detach(struct net_device *dev);
void xen_rs_netdev_attach(struct net_device *dev);
bool xen_rs_netdev_wants_all_multicast(const struct net_device *dev);
/* Copies the first addresses of the list, at most that many, and returns how many there are. */
unsigned int xen_rs_hw_addrs(const struct netdev_hw_addr_list *list, u8 (*to)[ETH_ALEN],
			     unsigned int room);

/* The lock of a transmit queue, and what is done under it. */
void xen_rs_txq_lock(struct netdev_queue *txq);
void xen_rs_txq_unlock(struct netdev_queue *txq);
/* These two for netpoll, which comes with interrupts off. */
bool xen_rs_txq_trylock_irqs_off(struct netdev_queue *txq);
void xen_rs_txq_unlock_irqs_off(struct netdev_queue *txq);
void xen_rs_txq_stop(struct netdev_queue *txq);
bool xen_rs_txq_stopped(const struct netdev_queue *txq);
bool xen_rs_xmit_more(void);

void xen_rs_napi_schedule(struct napi_struct *napi);
void xen_rs_napi_receive(struct napi_struct *napi, struct sk_buff *skb);

/* What a driver wants to know of a packet it has to send. */
struct xen_rs_tx_facts {
	unsigned char *data;
	const skb_frag_t *frags;
	unsigned int headlen;
	unsigned int nr_frags;
	unsigned int gso_type;
	u16 gso_size;
	u8 ip_summed;
	/* Somebody wants to know when the pages are free. */
	bool zerocopy;
};
void xen_rs_skb_tx_facts(const struct sk_buff *skb, struct xen_rs_tx_facts *facts);
const u8 XEN_RS_CHECKSUM_NONE = CHECKSUM_NONE;
const u8 XEN_RS_CHECKSUM_UNNECESSARY = CHECKSUM_UNNECESSARY;
const u8 XEN_RS_CHECKSUM_PARTIAL = CHECKSUM_PARTIAL;
const unsigned int XEN_RS_SKB_GSO_TCPV4 = SKB_GSO_TCPV4;
const unsigned int XEN_RS_SKB_GSO_TCPV6 = SKB_GSO_TCPV6;
const unsigned int XEN_RS_SKB_GSO_DODGY = SKB_GSO_DODGY;
const unsigned int XEN_RS_MAX_SKB_FRAGS = MAX_SKB_FRAGS;

struct page *xen_rs_frag_page(const skb_frag_t *frag);
struct page *xen_rs_virt_to_page(const void *address);
struct page *xen_rs_page_next(struct page *page, unsigned long count);
u16 xen_rs_skb_queue(const struct sk_buff *skb);
u32 xen_rs_skb_hash(struct sk_buff *skb);
void xen_rs_skb_get(struct sk_buff *skb);
bool xen_rs_skb_needs_gso(struct sk_buff *skb);
void xen_rs_skb_tx_timestamp(struct sk_buff *skb);
void xen_rs_skb_disown(struct sk_buff *skb);
void xen_rs_skb_drop(struct sk_buff *skb);
void xen_rs_skb_consume(struct sk_buff *skb);

/* A packet that was received. */
void xen_rs_skb_add_page(struct sk_buff *skb, struct page *page, unsigned int offset,
			 unsigned int len, unsigned int truesize);
void xen_rs_skb_mark_for_recycle(struct sk_buff *skb);
unsigned int xen_rs_skb_nr_frags(const struct sk_buff *skb);
void xen_rs_skb_set_csum(struct sk_buff *skb, u8 ip_summed);
void xen_rs_skb_set_gso(struct sk_buff *skb, u16 size, unsigned int type);
void xen_rs_skb_set_hash(struct sk_buff *skb, u32 hash, bool l4);
bool xen_rs_skb_may_pull(struct sk_buff *skb, unsigned int len);
void xen_rs_skb_eth_type(struct sk_buff *skb, struct net_device *dev);
void xen_rs_skb_record_rx_queue(struct sk_buff *skb, u16 queue);

/* net/page_pool: pages that come back from the stack. */
struct page_pool *xen_rs_page_pool_create(unsigned int pages, int node, struct device *dev);
struct page *xen_rs_page_pool_alloc(struct page_pool *pool);
void xen_rs_page_pool_put(struct page_pool *pool, struct page *page);

/* uapi/linux/ethtool.h: the hash that spreads packets over queues. */
const u8 XEN_RS_RSS_TOEPLITZ = ETH_RSS_HASH_TOP;
const u8 XEN_RS_RSS_NO_CHANGE = ETH_RSS_HASH_NO_CHANGE;

/* net/xdp.h, linux/filter.h: programs that look at packets before the stack does. */
int xen_rs_xdp_register(struct net_device *dev, unsigned int queue, struct page_pool *pool);
void xen_rs_xdp_unregister(struct net_device *dev, unsigned int queue);
void xen_rs_xdp_prepare(struct xdp_buff *xdp, struct net_device *dev, unsigned int queue,
			void *page, unsigned int offset, unsigned int len);
void *xen_rs_xdp_data(const struct xdp_buff *xdp);
unsigned int xen_rs_xdp_len(const struct xdp_buff *xdp);
u32 xen_rs_xdp_run(const struct bpf_prog *program, struct xdp_buff *xdp);
struct xdp_frame *xen_rs_xdp_to_frame(struct xdp_buff *xdp);
void *xen_rs_xdp_frame_data(const struct xdp_frame *frame);
unsigned int xen_rs_xdp_frame_len(const struct xdp_frame *frame);
bool xen_rs_xdp_frame_is_plain(const struct xdp_frame *frame);
void xen_rs_xdp_exception(const struct net_device *dev, const struct bpf_prog *program, u32 action);
bool xen_rs_bpf_is_setup(const struct netdev_bpf *command);
struct bpf_prog *xen_rs_bpf_program(const struct netdev_bpf *command);
void xen_rs_bpf_message(const struct netdev_bpf *command);
void xen_rs_bpf_put(struct bpf_prog *program);
unsigned int xen_rs_cpu(void);
void xen_rs_move(void *to, const void *from, size_t len);
/* Bytes at the end of a page that a packet's fragments take when it becomes a struct sk_buff. */
const unsigned int XEN_RS_XDP_TAILROOM = SKB_DATA_ALIGN(sizeof(struct skb_shared_info));
const u32 XEN_RS_XDP_DROP = XDP_DROP;
const u32 XEN_RS_XDP_PASS = XDP_PASS;
const u32 XEN_RS_XDP_TX = XDP_TX;
const u32 XEN_RS_XDP_REDIRECT = XDP_REDIRECT;
const u32 XEN_RS_XDP_XMIT_FLAGS = XDP_XMIT_FLAGS_MASK;

#endif
