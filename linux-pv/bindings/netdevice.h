/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Network devices: what bindgen cannot translate of linux/netdevice.h. The private part of a device
 * made here holds its table of operations and a NAPI context for each queue, since the kernel's own
 * bindings know these structures by name only.
 */
#ifndef XEN_RS_NETDEVICE_H
#define XEN_RS_NETDEVICE_H

#include <linux/ethtool.h>
#include <linux/netdevice.h>
#include <net/xdp.h>

/* A driver's operations. A null pointer leaves the kernel's default. */
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
	int (*poll)(struct net_device *dev, struct napi_struct *napi, unsigned int queue,
		    int budget);
};

/* Offset of the driver's pointer from the struct net_device. */
static const size_t XEN_RS_NETDEV_DATA = offsetof(struct net_device, priv);

/* linux/netdev_features.h: bits of an interface's features. */
static const u64 XEN_RS_NETIF_F_SG = NETIF_F_SG;
static const u64 XEN_RS_NETIF_F_IP_CSUM = NETIF_F_IP_CSUM;
static const u64 XEN_RS_NETIF_F_IPV6_CSUM = NETIF_F_IPV6_CSUM;
static const u64 XEN_RS_NETIF_F_RXCSUM = NETIF_F_RXCSUM;
static const u64 XEN_RS_NETIF_F_TSO = NETIF_F_TSO;
static const u64 XEN_RS_NETIF_F_TSO6 = NETIF_F_TSO6;
static const u64 XEN_RS_NETIF_F_GSO_ROBUST = NETIF_F_GSO_ROBUST;
static const u64 XEN_RS_NETIF_F_RXHASH = NETIF_F_RXHASH;
/* uapi/linux/ethtool.h: the hash that selects a receive queue. */
static const u8 XEN_RS_RSS_TOEPLITZ = ETH_RSS_HASH_TOP;
static const u8 XEN_RS_RSS_NO_CHANGE = ETH_RSS_HASH_NO_CHANGE;
/* The size of the machine's random key in bytes, which differs between kernels. */
static const size_t XEN_RS_MAX_RSS_KEY_LEN = NETDEV_RSS_KEY_LEN;

unsigned int xen_rs_online_cpus(void);
/* The CPU that this runs on, or ran on a moment ago. */
unsigned int xen_rs_cpu(void);

/* Allocates a device with `queues` queues in each direction and its carrier off. */
struct net_device *xen_rs_netdev_alloc(unsigned int queues, void *data, struct device *parent,
				       const struct xen_rs_netdev_callbacks *callbacks,
				       const struct ethtool_ops *ethtool);
/* Frees a device that is not registered, or not any more. */
void xen_rs_netdev_free(struct net_device *dev);
struct napi_struct *xen_rs_netdev_napi(struct net_device *dev, unsigned int queue);
struct xdp_rxq_info *xen_rs_netdev_xdp_rxq(struct net_device *dev, unsigned int queue);
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
/* Copies at most `room` addresses of the list; returns how many there are. */
unsigned int xen_rs_hw_addrs(const struct netdev_hw_addr_list *list, u8 (*to)[ETH_ALEN],
			     unsigned int room);

/* The lock of a transmit queue, and functions to be called under it. */
void xen_rs_txq_lock(struct netdev_queue *txq);
void xen_rs_txq_unlock(struct netdev_queue *txq);
/* For netpoll, which polls with interrupts off. */
bool xen_rs_txq_trylock_irqs_off(struct netdev_queue *txq);
void xen_rs_txq_unlock_irqs_off(struct netdev_queue *txq);
void xen_rs_txq_stop(struct netdev_queue *txq);
bool xen_rs_txq_stopped(const struct netdev_queue *txq);
bool xen_rs_xmit_more(void);

void xen_rs_napi_schedule(struct napi_struct *napi);
void xen_rs_napi_receive(struct napi_struct *napi, struct sk_buff *skb);

#endif
