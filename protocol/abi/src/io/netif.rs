// SPDX-License-Identifier: GPL-2.0

//! Virtual network interfaces, `io/netif.h`: the messages of the two packet rings and of the control
//! ring.

use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Slots a back end has to accept for one packet (`XEN_NETIF_NR_SLOTS_MIN`).
pub const NR_SLOTS_MIN: u32 = 18;
/// Largest packet in bytes (`XEN_NETIF_MAX_TX_SIZE`).
pub const MAX_TX_SIZE: u32 = 0xffff;
/// Largest head room in bytes that `xdp-headroom` may ask for (`XEN_NETIF_MAX_XDP_HEADROOM`,
/// Linux's copy of the header only).
pub const MAX_XDP_HEADROOM: u32 = 0x7fff;

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
    /// One more than the largest type (`XEN_NETIF_EXTRA_TYPE_MAX`; Xen's header, which does not
    /// know [`XDP`], has 5).
    pub const MAX: u8 = 6;
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

/// What a hash is calculated over, as the number in an [`ExtraInfo`]
/// (`_XEN_NETIF_CTRL_HASH_TYPE_*`). The control ring has sets of them, see [`hash_flag`].
pub mod hash_type {
    /// Addresses of IPv4.
    pub const IPV4: u8 = 0;
    /// Addresses and ports of TCP over IPv4.
    pub const IPV4_TCP: u8 = 1;
    /// Addresses of IPv6.
    pub const IPV6: u8 = 2;
    /// Addresses and ports of TCP over IPv6.
    pub const IPV6_TCP: u8 = 3;
}

/// The same as flags (`XEN_NETIF_CTRL_HASH_TYPE_*`).
pub mod hash_flag {
    /// Addresses of IPv4.
    pub const IPV4: u32 = 1 << 0;
    /// Addresses and ports of TCP over IPv4.
    pub const IPV4_TCP: u32 = 1 << 1;
    /// Addresses of IPv6.
    pub const IPV6: u32 = 1 << 2;
    /// Addresses and ports of TCP over IPv6.
    pub const IPV6_TCP: u32 = 1 << 3;
}

/// How a hash is calculated (`XEN_NETIF_CTRL_HASH_ALGORITHM_*`).
pub mod hash_algorithm {
    /// Not at all: the back end spreads packets as it likes.
    pub const NONE: u32 = 0;
    /// Toeplitz, which has a key.
    pub const TOEPLITZ: u32 = 1;
}

/// Types of control requests (`XEN_NETIF_CTRL_TYPE_*`), with what stands in the three words of
/// data.
pub mod ctrl {
    /// Invalid.
    pub const INVALID: u16 = 0;
    /// Asks for the hash types that the back end supports; the answer is a set of
    /// [`hash_flag`](super::hash_flag).
    pub const GET_HASH_FLAGS: u16 = 1;
    /// Chooses hash types: the set.
    pub const SET_HASH_FLAGS: u16 = 2;
    /// Sets the key: grant of the page it starts, size in bytes.
    pub const SET_HASH_KEY: u16 = 3;
    /// Asks for the most entries the mapping can have; the answer is zero if there is no mapping.
    pub const GET_HASH_MAPPING_SIZE: u16 = 4;
    /// Makes a new mapping of queue zero only: number of entries.
    pub const SET_HASH_MAPPING_SIZE: u16 = 5;
    /// Sets a part of the mapping: grant of the page it starts, number of entries, first entry.
    pub const SET_HASH_MAPPING: u16 = 6;
    /// Chooses the algorithm: one of [`hash_algorithm`](super::hash_algorithm).
    pub const SET_HASH_ALGORITHM: u16 = 7;
    /// Asks for the most static grants (Xen's header only, like what follows).
    pub const GET_GREF_MAPPING_SIZE: u16 = 8;
    /// Adds static grants: grant of the page with [`Gref`](super::Gref)s, their number.
    pub const ADD_GREF_MAPPING: u16 = 9;
    /// Removes static grants: as for adding.
    pub const DEL_GREF_MAPPING: u16 = 10;
}

/// Status of a control response (`XEN_NETIF_CTRL_STATUS_*`).
pub mod ctrl_status {
    /// Done.
    pub const SUCCESS: u32 = 0;
    /// There is no such operation, or not now.
    pub const NOT_SUPPORTED: u32 = 1;
    /// A word of data is bad.
    pub const INVALID_PARAMETER: u32 = 2;
    /// More data than the back end has room for.
    pub const BUFFER_OVERFLOW: u32 = 3;
}

/// Flag of a [`Gref`]: the back end maps the page to read only
/// (`XEN_NETIF_CTRLF_GREF_readonly`, Xen's header only).
pub const GREF_READONLY: u16 = 1 << 0;

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

/// A control request (`struct xen_netif_ctrl_request`).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct CtrlRequest {
    /// Echoed in the response.
    pub id: u16,
    /// See [`ctrl`].
    pub kind: u16,
    /// What the type says; zero where it says nothing.
    pub data: [u32; 3],
}

/// A control response (`struct xen_netif_ctrl_response`).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct CtrlResponse {
    /// Id of the request.
    pub id: u16,
    /// Type of the request.
    pub kind: u16,
    /// See [`ctrl_status`].
    pub status: u32,
    /// What was asked for, if it was and the status is good.
    pub data: u32,
}

/// A page that the back end is to keep mapped (`struct xen_netif_gref`, Xen's header only).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Gref {
    /// Grant of the page.
    pub gref: u32,
    /// Zero or [`GREF_READONLY`].
    pub flags: u16,
    /// What became of it: zero if it was mapped or unmapped.
    pub status: u16,
}
