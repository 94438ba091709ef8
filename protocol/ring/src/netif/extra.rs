// SPDX-License-Identifier: GPL-2.0

//! Extras: properties of a packet in slots of their own (`struct netif_extra_info`).

use super::ETH_ALEN;
use core::fmt;
use core::num::NonZeroU16;
use xen_abi::io::netif::{extra, gso, hash_algorithm, hash_type, ExtraInfo};

/// What an extra says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extra {
    /// The packet is to be, or would have been, cut into segments.
    Gso(Gso),
    /// Hash of the packet's flow; none if it is of a type or algorithm that we do not know. It is
    /// but a hint, so that is no reason to refuse the packet.
    Hash(Option<Hash>),
    /// The data of each slot start that many bytes behind the offset.
    Xdp {
        /// Bytes.
        headroom: u16,
    },
    /// The front end asks for packets to a multicast address.
    McastAdd([u8; ETH_ALEN]),
    /// The front end does not want them any more.
    McastDel([u8; ETH_ALEN]),
}

/// A packet larger than the wire takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gso {
    /// Most bytes of payload in a segment.
    pub size: NonZeroU16,
    /// Protocol.
    pub kind: GsoKind,
}

/// Protocol of a packet larger than the wire takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GsoKind {
    /// TCP over IPv4.
    TcpV4,
    /// TCP over IPv6.
    TcpV6,
}

/// A Toeplitz hash of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hash {
    /// What it is calculated over.
    pub kind: HashKind,
    /// The hash.
    pub value: u32,
}

/// What a hash is calculated over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashKind {
    /// Addresses of IPv4.
    IpV4,
    /// Addresses and ports of TCP over IPv4.
    TcpV4,
    /// Addresses of IPv6.
    IpV6,
    /// Addresses and ports of TCP over IPv6.
    TcpV6,
}

/// What is wrong with an extra.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadExtra {
    /// There is no such type.
    UnknownType(u8),
    /// Segments without payload.
    GsoSizeZero,
    /// There is no such protocol.
    UnknownGso(u8),
}

impl fmt::Display for BadExtra {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadExtra::UnknownType(kind) => write!(f, "invalid extra type {kind}"),
            BadExtra::GsoSizeZero => f.write_str("GSO size must not be zero"),
            BadExtra::UnknownGso(kind) => write!(f, "bad GSO type {kind}"),
        }
    }
}

impl core::error::Error for BadExtra {}

impl Extra {
    /// Reads what an extra says.
    #[inline]
    pub fn of(info: &ExtraInfo) -> Result<Extra, BadExtra> {
        let [a, b, c, d, e, f] = info.detail;
        Ok(match info.kind {
            extra::GSO => Extra::Gso(Gso {
                size: NonZeroU16::new(u16::from_ne_bytes([a, b])).ok_or(BadExtra::GsoSizeZero)?,
                // The byte behind is padding; features, of which none are defined, follow.
                kind: GsoKind::of(c)?,
            }),
            extra::HASH => Extra::Hash(match HashKind::of(a) {
                Some(kind) if u32::from(b) == hash_algorithm::TOEPLITZ => Some(Hash {
                    kind,
                    value: u32::from_le_bytes([c, d, e, f]),
                }),
                _ => None,
            }),
            extra::XDP => Extra::Xdp {
                headroom: u16::from_ne_bytes([a, b]),
            },
            extra::MCAST_ADD => Extra::McastAdd(info.detail),
            extra::MCAST_DEL => Extra::McastDel(info.detail),
            kind => return Err(BadExtra::UnknownType(kind)),
        })
    }

    /// The extra as it stands in a slot; `more` says that another one follows.
    #[inline]
    pub fn info(&self, more: bool) -> ExtraInfo {
        let (kind, detail) = match *self {
            Extra::Gso(Gso { size, kind }) => {
                let [a, b] = size.get().to_ne_bytes();
                (extra::GSO, [a, b, kind.number(), 0, 0, 0])
            }
            Extra::Hash(hash) => {
                let (of, algorithm, value) = match hash {
                    Some(hash) => (hash.kind.number(), hash_algorithm::TOEPLITZ, hash.value),
                    None => (0, hash_algorithm::NONE, 0),
                };
                let [a, b, c, d] = value.to_le_bytes();
                (extra::HASH, [of, algorithm as u8, a, b, c, d])
            }
            Extra::Xdp { headroom } => {
                let [a, b] = headroom.to_ne_bytes();
                (extra::XDP, [a, b, 0, 0, 0, 0])
            }
            Extra::McastAdd(address) => (extra::MCAST_ADD, address),
            Extra::McastDel(address) => (extra::MCAST_DEL, address),
        };
        ExtraInfo {
            kind,
            flags: if more { extra::FLAG_MORE } else { 0 },
            detail,
        }
    }
}

impl GsoKind {
    #[inline]
    const fn number(self) -> u8 {
        match self {
            GsoKind::TcpV4 => gso::TCPV4,
            GsoKind::TcpV6 => gso::TCPV6,
        }
    }

    #[inline]
    const fn of(number: u8) -> Result<GsoKind, BadExtra> {
        match number {
            gso::TCPV4 => Ok(GsoKind::TcpV4),
            gso::TCPV6 => Ok(GsoKind::TcpV6),
            _ => Err(BadExtra::UnknownGso(number)),
        }
    }
}

impl HashKind {
    #[inline]
    const fn number(self) -> u8 {
        match self {
            HashKind::IpV4 => hash_type::IPV4,
            HashKind::TcpV4 => hash_type::IPV4_TCP,
            HashKind::IpV6 => hash_type::IPV6,
            HashKind::TcpV6 => hash_type::IPV6_TCP,
        }
    }

    #[inline]
    const fn of(number: u8) -> Option<HashKind> {
        match number {
            hash_type::IPV4 => Some(HashKind::IpV4),
            hash_type::IPV4_TCP => Some(HashKind::TcpV4),
            hash_type::IPV6 => Some(HashKind::IpV6),
            hash_type::IPV6_TCP => Some(HashKind::TcpV6),
            _ => None,
        }
    }

    /// True if ports are part of it, so that it tells flows of two hosts apart.
    #[inline]
    pub const fn has_ports(self) -> bool {
        matches!(self, HashKind::TcpV4 | HashKind::TcpV6)
    }
}
