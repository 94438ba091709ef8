// SPDX-License-Identifier: GPL-2.0
/*
 * The four verdicts of XDP, one program each, to be attached to a network device with
 * `ip link set dev eth0 xdp object xdp.o program NAME`.
 *
 * They decide about UDP over IPv4 to port 7 (echo) and let everything else pass, so that a device stays
 * reachable while a program is attached.
 */

enum { XDP_ABORTED, XDP_DROP, XDP_PASS, XDP_TX, XDP_REDIRECT };

struct xdp_md {
	unsigned int data;
	unsigned int data_end;
	unsigned int data_meta;
	unsigned int ingress_ifindex;
	unsigned int rx_queue_index;
	unsigned int egress_ifindex;
};

struct frame {
	unsigned char to[6];
	unsigned char from[6];
	unsigned short type;
	/* IPv4 without options. */
	unsigned char version_and_length;
	unsigned char service;
	unsigned short total;
	unsigned short id;
	unsigned short fragment;
	unsigned char ttl;
	unsigned char protocol;
	unsigned short header_sum;
	unsigned short source_address[2];
	unsigned short target_address[2];
	/* UDP. */
	unsigned short source_port;
	unsigned short target_port;
	unsigned short length;
	unsigned short sum;
} __attribute__((packed));

/* The kernel's functions are called by number (include/uapi/linux/bpf.h). */
static long (*const redirect)(unsigned int ifindex, unsigned long long flags) = (void *)23;

#define SWAP(a, b)                  \
	do {                        \
		__typeof__(a) t = a; \
		a = b;              \
		b = t;              \
	} while (0)

#define PROGRAM(name) __attribute__((section("xdp"), used)) int name(struct xdp_md *context)

/* The frame if it is one to decide about. The verifier wants to see the comparison with the end. */
static inline __attribute__((always_inline)) struct frame *ours(struct xdp_md *context)
{
	struct frame *frame = (void *)(long)context->data;

	if ((void *)(frame + 1) > (void *)(long)context->data_end)
		return 0;
	if (frame->type != __builtin_bswap16(0x0800) || frame->version_and_length != 0x45)
		return 0;
	if (frame->protocol != 17 || frame->target_port != __builtin_bswap16(7))
		return 0;
	return frame;
}

PROGRAM(pass)
{
	return XDP_PASS;
}

PROGRAM(drop)
{
	return ours(context) ? XDP_DROP : XDP_PASS;
}

/* Sends the datagram back to where it came from. Exchanging words changes neither checksum. */
PROGRAM(tx)
{
	struct frame *frame = ours(context);
	int i;

	if (!frame)
		return XDP_PASS;
#pragma unroll
	for (i = 0; i < 6; i++)
		SWAP(frame->to[i], frame->from[i]);
	for (i = 0; i < 2; i++)
		SWAP(frame->source_address[i], frame->target_address[i]);
	SWAP(frame->source_port, frame->target_port);
	return XDP_TX;
}

/* Sends the datagram out of the device whose number is the source port less 20000. */
PROGRAM(onward)
{
	struct frame *frame = ours(context);

	if (!frame)
		return XDP_PASS;
	return redirect(__builtin_bswap16(frame->source_port) - 20000, 0);
}

char _license[] __attribute__((section("license"), used)) = "GPL";
