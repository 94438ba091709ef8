// SPDX-License-Identifier: GPL-2.0

//! Network devices.
//!
//! The kernel has no Rust abstraction of them. A driver implements [`Operations`], makes a
//! [`Device`] and registers it:
//!
//! - A packet to send arrives as a [`SkBuff`], with a [`Transmit`] context, which proves that the
//!   lock of the transmit queue is held. The driver's data of the queue
//!   ([`Operations::Transmitter`]) is accessed through it, or after taking the lock with
//!   [`Device::lock_tx`]. There is no second lock.
//! - NAPI contexts belong to the device, one for each queue, and are enabled while it is up.
//!   [`Operations::poll`] gets a [`Poll`], which makes, receives and frees packets;
//!   [`Operations::rearm`] is called when there is no more work.
//! - Pages for received packets are from a [`PagePool`]. A [`PoolPage`] returns to it when it is
//!   dropped, or when the stack frees the packet that it was added to.
//! - An attached XDP program is available during a poll ([`Poll::program`]), and decides what
//!   happens to a packet in a page.
//! - Packets are values. A packet that is dropped does not leak, and the kernel counts it.
//!
//! C headers: `include/linux/netdevice.h`, `include/linux/skbuff.h`, `include/net/page_pool/`.

mod callbacks;
mod device;
mod ethtool;
mod features;
mod napi;
mod operations;
mod outgoing;
mod page_pool;
mod receive;
mod registration;
mod rx_mode;
mod skbuff;
mod stats;
mod transmit;
mod xdp;

pub use self::device::Device;
pub use self::ethtool::{
    random_rss_key,
    Counters,
    Rss,
    RssChange,
    RssSize, //
};
pub use self::features::{
    Capabilities,
    Feature,
    Features, //
};
pub use self::napi::Poll;
pub use self::operations::Operations;
pub use self::outgoing::{
    Fragment,
    Outgoing, //
};
pub use self::page_pool::{
    PagePool,
    PoolPage, //
};
pub use self::receive::{
    Gso,
    Incoming,
    Received, //
};
pub use self::registration::Registration;
pub use self::rx_mode::{
    Address,
    RxMode, //
};
pub use self::skbuff::{
    Checksum,
    SharedPacket,
    SkBuff,
    SkBuffRef, //
};
pub use self::stats::LinkStats;
pub use self::transmit::{
    Transmit,
    TxGuard, //
};
pub use self::xdp::{
    Program,
    XdpAction,
    XdpFrame,
    XdpQueue,
    MAX_XDP_LEN,
    XDP_HEADROOM, //
};

/// Bytes of an Ethernet header with a VLAN tag (`VLAN_ETH_HLEN`).
pub const VLAN_ETH_HLEN: u32 = 18;

/// Maximum payload of an Ethernet frame without jumbo frames, in bytes (`ETH_DATA_LEN`).
pub const ETH_DATA_LEN: u32 = 1500;

/// Bytes of a hardware address (`ETH_ALEN`).
pub const ETH_ALEN: usize = 6;

/// The number of queues for this machine: one for each CPU, but at most `max`.
pub fn online_queues(max: u32) -> u32 {
    // SAFETY: Only counts CPUs.
    max.min(unsafe { xen_bindings::xen_rs_online_cpus() })
}
