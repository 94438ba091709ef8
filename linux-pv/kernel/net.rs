// SPDX-License-Identifier: GPL-2.0

//! Network devices.
//!
//! The kernel has no Rust abstraction of them. This one is kept free of driver policy so that it can be
//! proposed upstream. A driver implements [`Operations`], makes a [`Device`] and registers it:
//!
//! - A packet to send arrives as a [`SkBuff`], with the [`Transmit`] context that proves that the queue's lock
//!   is held. What the driver keeps for a transmit queue ([`Operations::Transmitter`]) can be had from that,
//!   or by taking the lock with [`Device::lock_tx`]; there is no other way to it and no second lock.
//! - NAPI contexts belong to the device, one for each queue, and are enabled exactly while it is up.
//!   [`Operations::poll`] gets a [`Poll`], with which packets are made, received and freed;
//!   [`Operations::rearm`] is called when there is nothing more to do.
//! - Pages for received packets come from a [`PagePool`] as [`PoolPage`]s, which return to it when dropped, or
//!   from the network stack when the packet that they were added to is freed.
//! - An XDP program that the user attached is there during a poll ([`Poll::program`]), and says what becomes of a
//!   page with a packet.
//! - Packets are values. One that is dropped is counted by the kernel as dropped, and never leaks.
//!
//! C headers: `include/linux/netdevice.h`, `include/linux/skbuff.h`, `include/net/page_pool/`.

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
mod transmit;
mod xdp;

pub use self::device::Device;
pub use self::ethtool::{random_rss_key, Counters, Rss, RssChange, RssSize};
pub use self::features::{Capabilities, Feature, Features};
pub use self::napi::Poll;
pub use self::operations::{LinkStats, Operations};
pub use self::outgoing::{Fragment, Outgoing};
pub use self::page_pool::{PagePool, PoolPage};
pub use self::receive::{Gso, Incoming, Received};
pub use self::registration::Registration;
pub use self::rx_mode::{Address, RxMode};
pub use self::skbuff::{Checksum, SharedPacket, SkBuff, SkBuffRef};
pub use self::transmit::{Transmit, TxGuard};
pub use self::xdp::{Program, XdpAction, XdpFrame, XdpQueue, MAX_XDP_LEN, XDP_HEADROOM};

/// Bytes of an Ethernet header (`ETH_HLEN`).
pub const ETH_HLEN: u32 = 14;

/// The same with a VLAN tag (`VLAN_ETH_HLEN`).
pub const VLAN_ETH_HLEN: u32 = 18;

/// Most payload of an Ethernet frame without jumbo frames, in bytes (`ETH_DATA_LEN`).
pub const ETH_DATA_LEN: u32 = 1500;

/// Bytes of a hardware address (`ETH_ALEN`).
pub const ETH_ALEN: usize = 6;

/// How many queues make sense on this machine: one a CPU, `most` at most.
pub fn online_queues(most: u32) -> u32 {
    // SAFETY: Only counts CPUs.
    most.min(unsafe { xen_bindings::xen_rs_online_cpus() })
}
