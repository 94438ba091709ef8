// SPDX-License-Identifier: GPL-2.0

//! Virtual network interfaces, `io/netif.h`: the messages of the two packet rings.

use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Slots a back end has to accept for one packet (`XEN_NETIF_NR_SLOTS_MIN`).
pub const NR_SLOTS_MIN: u32 = 18;
/// Largest packet in bytes (`XEN_NETIF_MAX_TX_SIZE`).
pub const MAX_TX_SIZE: u32 = 0xffff;

/// Flags of a transmit request (`NETTXF_*`, `XEN_NETTXF_*`).
pub mod tx_flag {
    /// The checksum is to be filled in.
    pub const CSUM_BLANK: u16 = 1 << 0;
    /// The data are known to be intact.
    pub const DATA_VALIDATED: u16 = 1 << 1;
    /// The packet goes on in the next request.
    pub const MORE_DATA: u16 = 1 << 2;
    /// The next slot is an [`ExtraInfo`](super::ExtraInfo).
    pub const EXTRA_INFO: u16 = 1 << 3;
}

/// Flags of a receive response (`NETRXF_*`, `XEN_NETRXF_*`).
pub mod rx_flag {
    /// The data are known to be intact.
    pub const DATA_VALIDATED: u16 = 1 << 0;
    /// The checksum is to be filled in.
    pub const CSUM_BLANK: u16 = 1 << 1;
    /// The packet goes on in the next response.
    pub const MORE_DATA: u16 = 1 << 2;
    /// The next slot is an [`ExtraInfo`](super::ExtraInfo).
    pub const EXTRA_INFO: u16 = 1 << 3;
    /// The slot is a prefix with the GSO size only.
    pub const GSO_PREFIX: u16 = 1 << 4;
}

/// Types of [`ExtraInfo`] (`XEN_NETIF_EXTRA_TYPE_*`).
pub mod extra {
    /// Invalid.
    pub const NONE: u8 = 0;
    /// Segmentation offload.
    pub const GSO: u8 = 1;
    /// Subscribes to a multicast address.
    pub const MCAST_ADD: u8 = 2;
    /// Unsubscribes from one.
    pub const MCAST_DEL: u8 = 3;
    /// Hash of the flow.
    pub const HASH: u8 = 4;
    /// Head room for XDP (Linux's copy of the header only).
    pub const XDP: u8 = 5;
    /// Flag: another one follows (`XEN_NETIF_EXTRA_FLAG_MORE`).
    pub const FLAG_MORE: u8 = 1 << 0;
}

/// Types of segmentation offload (`XEN_NETIF_GSO_TYPE_*`).
pub mod gso {
    /// None.
    pub const NONE: u8 = 0;
    /// TCP over IPv4.
    pub const TCPV4: u8 = 1;
    /// TCP over IPv6.
    pub const TCPV6: u8 = 2;
}

/// Status of a response (`NETIF_RSP_*`, `XEN_NETIF_RSP_*`). A receive response that is good
/// carries the number of bytes instead.
pub mod rsp {
    /// Dropped.
    pub const DROPPED: i16 = -2;
    /// Failed.
    pub const ERROR: i16 = -1;
    /// Done.
    pub const OKAY: i16 = 0;
    /// Answers a slot that held an [`ExtraInfo`](super::ExtraInfo).
    pub const NULL: i16 = 1;
}

/// A transmit request (`struct netif_tx_request`).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct TxRequest {
    /// Grant of the page.
    pub gref: u32,
    /// Offset of the data in the page, in bytes.
    pub offset: u16,
    /// See [`tx_flag`].
    pub flags: u16,
    /// Echoed in the response.
    pub id: u16,
    /// First request of a packet: size of the whole packet; others: of this piece. In bytes.
    pub size: u16,
}

/// A transmit response (`struct netif_tx_response`).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct TxResponse {
    /// Id of the request.
    pub id: u16,
    /// See [`rsp`].
    pub status: i16,
}

/// A receive request: an empty buffer (`struct netif_rx_request`).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct RxRequest {
    /// Echoed in the response.
    pub id: u16,
    /// Zero.
    pub pad: u16,
    /// Grant of the page.
    pub gref: u32,
}

/// A receive response (`struct netif_rx_response`).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct RxResponse {
    /// Id of the request.
    pub id: u16,
    /// Offset of the data in the page, in bytes.
    pub offset: u16,
    /// See [`rx_flag`].
    pub flags: u16,
    /// Number of bytes, or an error of [`rsp`].
    pub status: i16,
}

/// Additional facts about a packet, in a slot of their own (`struct netif_extra_info`).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct ExtraInfo {
    /// See [`extra`].
    pub kind: u8,
    /// Zero or [`extra::FLAG_MORE`].
    pub flags: u8,
    /// What the type says: for [`extra::GSO`] the segment size (16 bits), the [`gso`] type, a
    /// zero byte and features (16 bits); for multicast the address; for [`extra::HASH`] type,
    /// algorithm and four bytes of value; for [`extra::XDP`] the head room (16 bits).
    pub detail: [u8; 6],
}
