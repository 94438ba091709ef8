// SPDX-License-Identifier: GPL-2.0

//! The network protocol on top of its rings, both ends: what packets look like on them.
//!
//! - [`tx`]: packets that the front end sends, as slots, and the responses to them; the back end
//!   takes them apart.
//! - [`rx`]: buffers that the front end posts, and the packets that arrive in them.
//! - [`slot`]: the slots of both rings, some of which hold an [`extra`].
//! - [`extra`]: properties of a packet in slots of their own.
//! - [`control`]: requests to the back end on a ring of their own, about hashing.
//! - [`features`]: what the back end offers, read from the xenstore and put into bounds.
//! - [`mac`]: the interface's address, as it stands in the xenstore.
//!
//! The wire structures are [`xen_abi::io::netif`]. Grants, pages, packet buffers and the network
//! stack are the driver's.

pub mod control;
pub mod extra;
pub mod features;
pub mod mac;
pub mod rx;
pub mod slot;
pub mod tx;

use crate::{BackRing, FrontRing};
use slot::{RxSlot, TxSlot};
use xen_abi::io::netif::{CtrlRequest, CtrlResponse, RxRequest, TxResponse};

/// The front end's half of a transmit ring.
pub type TxFrontRing<M> = FrontRing<TxSlot, TxResponse, M>;
/// The back end's half of a transmit ring.
pub type TxBackRing<M> = BackRing<TxSlot, TxResponse, M>;
/// The front end's half of a receive ring.
pub type RxFrontRing<M> = FrontRing<RxRequest, RxSlot, M>;
/// The back end's half of a receive ring.
pub type RxBackRing<M> = BackRing<RxRequest, RxSlot, M>;
/// The front end's half of a control ring.
pub type CtrlFrontRing<M> = FrontRing<CtrlRequest, CtrlResponse, M>;
/// The back end's half of a control ring.
pub type CtrlBackRing<M> = BackRing<CtrlRequest, CtrlResponse, M>;

/// Bytes of an Ethernet header; nothing shorter is a packet.
pub const ETH_HLEN: usize = 14;

/// Bytes of an Ethernet address.
pub const ETH_ALEN: usize = 6;

/// What is known about the checksum of a packet's transport protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Checksum {
    /// Nothing: the receiver has to check it.
    #[default]
    Unknown,
    /// The data are known to be intact.
    Validated,
    /// The packet never was on a wire: its data are intact, and the checksum has only its pseudo
    /// header's part filled in.
    Blank,
}
