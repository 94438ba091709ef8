// SPDX-License-Identifier: GPL-2.0
/*
 * Bodies of the shims declared in xdp.h.
 */

#include <linux/bpf.h>
#include <linux/bpf_trace.h>
#include <linux/export.h>
#include <linux/filter.h>
#include <linux/netdevice.h>
#include <net/page_pool/helpers.h>
#include <net/xdp.h>

#include "netdevice.h"
#include "xdp.h"

int xen_rs_xdp_register(struct net_device *dev, unsigned int queue, struct page_pool *pool)
{
	struct xdp_rxq_info *rxq = xen_rs_netdev_xdp_rxq(dev, queue);
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
	xdp_rxq_info_unreg(xen_rs_netdev_xdp_rxq(dev, queue));
}
EXPORT_SYMBOL_GPL(xen_rs_xdp_unregister);

void xen_rs_xdp_prepare(struct xdp_buff *xdp, struct net_device *dev, unsigned int queue,
			void *page, unsigned int offset, unsigned int len)
{
	xdp_init_buff(xdp, PAGE_SIZE, xen_rs_netdev_xdp_rxq(dev, queue));
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
	NL_SET_ERR_MSG(command->extack,
		       "The MTU is too large: packets must fit into a page with room around");
}
EXPORT_SYMBOL_GPL(xen_rs_bpf_message);

void xen_rs_bpf_put(struct bpf_prog *program)
{
	bpf_prog_put(program);
}
EXPORT_SYMBOL_GPL(xen_rs_bpf_put);

