// SPDX-License-Identifier: GPL-2.0

//! The header of a shared ring, `io/ring.h` (`DEFINE_RING_TYPES`).
//!
//! The header is followed at [`SLOTS`] by a power of two of slots, each as large as the larger of
//! request and response. All indexes run freely modulo 2³²; a slot is found by masking.

use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Byte offset of `req_prod`: requests the front end has published.
pub const REQ_PROD: usize = 0;
/// Byte offset of `req_event`: the back end wants a notification once `req_prod` reaches it.
pub const REQ_EVENT: usize = 4;
/// Byte offset of `rsp_prod`: responses the back end has published.
pub const RSP_PROD: usize = 8;
/// Byte offset of `rsp_event`: the front end wants a notification once `rsp_prod` reaches it.
pub const RSP_EVENT: usize = 12;
/// Byte offset of the first slot.
pub const SLOTS: usize = 64;

/// The ring's header as a value, to initialise a fresh ring in one write.
///
/// On a live ring each index is accessed by itself, at the offsets above: the peer changes two of
/// them at any time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Header {
    /// See [`REQ_PROD`].
    pub req_prod: u32,
    /// See [`REQ_EVENT`].
    pub req_event: u32,
    /// See [`RSP_PROD`].
    pub rsp_prod: u32,
    /// See [`RSP_EVENT`].
    pub rsp_event: u32,
    /// Protocol-private bytes (`pvt`), which no protocol in use needs any more.
    pub private: [u8; 4],
    /// Fills the header up to [`SLOTS`].
    pub pad: [u8; 44],
}

impl Header {
    /// An empty ring on which each side is notified of the first message
    /// (`SHARED_RING_INIT`).
    pub const EMPTY: Header = Header {
        req_prod: 0,
        req_event: 1,
        rsp_prod: 0,
        rsp_event: 1,
        private: [0; 4],
        pad: [0; 44],
    };
}

const _: () = assert!(core::mem::size_of::<Header>() == SLOTS);
