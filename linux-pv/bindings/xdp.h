/* SPDX-License-Identifier: GPL-2.0 */
/*
 * XDP: what bindgen cannot translate of net/xdp.h and linux/filter.h.
 */
#ifndef XEN_RS_XDP_H
#define XEN_RS_XDP_H

#include <linux/netdevice.h>
#include <net/xdp.h>

/* uapi/linux/if_link.h, net/xdp.h */
static const u32 XEN_RS_XDP_FEATURES =
	NETDEV_XDP_ACT_BASIC | NETDEV_XDP_ACT_REDIRECT | NETDEV_XDP_ACT_NDO_XMIT;
static const unsigned int XEN_RS_XDP_HEADROOM = XDP_PACKET_HEADROOM;
/* Bytes at the end of a page for a packet's skb_shared_info when it becomes a struct sk_buff. */
static const unsigned int XEN_RS_XDP_TAILROOM = SKB_DATA_ALIGN(sizeof(struct skb_shared_info));
static const u32 XEN_RS_XDP_DROP = XDP_DROP;
static const u32 XEN_RS_XDP_PASS = XDP_PASS;
static const u32 XEN_RS_XDP_TX = XDP_TX;
static const u32 XEN_RS_XDP_REDIRECT = XDP_REDIRECT;
static const u32 XEN_RS_XDP_XMIT_FLAGS = XDP_XMIT_FLAGS_MASK;

/* net/xdp.h, linux/filter.h: XDP programs. */
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
/* Reports to user space why a program is refused. */
void xen_rs_bpf_message(const struct netdev_bpf *command);
void xen_rs_bpf_put(struct bpf_prog *program);

#endif
