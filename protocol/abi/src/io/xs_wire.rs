// SPDX-License-Identifier: GPL-2.0

//! The xenstore's wire protocol, `io/xs_wire.h`.

use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Types of messages (`XS_*`).
pub mod msg {
    /// Control command for the daemon (`XS_DEBUG` of old).
    pub const CONTROL: u32 = 0;
    /// Lists a node's children.
    pub const DIRECTORY: u32 = 1;
    /// Reads a node.
    pub const READ: u32 = 2;
    /// Reads a node's permissions.
    pub const GET_PERMS: u32 = 3;
    /// Sets a watch.
    pub const WATCH: u32 = 4;
    /// Removes a watch.
    pub const UNWATCH: u32 = 5;
    /// Starts a transaction.
    pub const TRANSACTION_START: u32 = 6;
    /// Ends a transaction: `T` commits, `F` discards.
    pub const TRANSACTION_END: u32 = 7;
    /// Introduces a domain.
    pub const INTRODUCE: u32 = 8;
    /// Releases a domain.
    pub const RELEASE: u32 = 9;
    /// Asks for a domain's home path.
    pub const GET_DOMAIN_PATH: u32 = 10;
    /// Writes a node.
    pub const WRITE: u32 = 11;
    /// Makes an empty node.
    pub const MKDIR: u32 = 12;
    /// Removes a node and those below.
    pub const RM: u32 = 13;
    /// Sets a node's permissions.
    pub const SET_PERMS: u32 = 14;
    /// A watch has fired (from the daemon, unasked).
    pub const WATCH_EVENT: u32 = 15;
    /// The request failed; the payload is the error's name.
    pub const ERROR: u32 = 16;
    /// Asks whether a domain was introduced.
    pub const IS_DOMAIN_INTRODUCED: u32 = 17;
    /// Tells the daemon that a domain resumed.
    pub const RESUME: u32 = 18;
    /// Lets a device model act for another domain.
    pub const SET_TARGET: u32 = 19;
    /// Removes all the client's watches and transactions.
    pub const RESET_WATCHES: u32 = 21;
    /// Lists a node's children piece by piece.
    pub const DIRECTORY_PART: u32 = 22;
    /// First number that is no type.
    pub const COUNT: u32 = 23;
    /// Never a type.
    pub const INVALID: u32 = 0xffff;
}

/// Largest payload of a message in bytes (`XENSTORE_PAYLOAD_MAX`).
pub const PAYLOAD_MAX: usize = 4096;
/// Longest absolute path in bytes (`XENSTORE_ABS_PATH_MAX`).
pub const ABS_PATH_MAX: usize = 3072;
/// Longest path relative to the domain's home in bytes (`XENSTORE_REL_PATH_MAX`).
pub const REL_PATH_MAX: usize = 2048;
/// Size of each direction's byte ring (`XENSTORE_RING_SIZE`).
pub const RING_SIZE: usize = 1024;

/// Bits of [`Interface::server_features`] (`XENSTORE_SERVER_FEATURE_*`).
pub mod server_feature {
    /// The client may ask to reconnect.
    pub const RECONNECTION: u32 = 1;
    /// The page has the `error` field.
    pub const ERROR: u32 = 2;
}

/// Values of [`Interface::connection`] (`XENSTORE_*`).
pub mod connection {
    /// In service.
    pub const CONNECTED: u32 = 0;
    /// The client asked to reconnect and the daemon has not done so.
    pub const RECONNECT: u32 = 1;
}

/// Values of [`Interface::error`] (`XENSTORE_ERROR_*`).
pub mod error {
    /// No error.
    pub const NONE: u32 = 0;
    /// Communication problem.
    pub const COMM: u32 = 1;
    /// Invalid ring index.
    pub const RINGIDX: u32 = 2;
    /// Protocol violation.
    pub const PROTO: u32 = 3;
}

/// Header of a message (`struct xsd_sockmsg`).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Header {
    /// See [`msg`].
    pub kind: u32,
    /// Chosen by the client, echoed in the reply.
    pub req_id: u32,
    /// Transaction, zero for none.
    pub tx_id: u32,
    /// Bytes that follow, at most [`PAYLOAD_MAX`].
    pub len: u32,
}

/// The page shared between a domain and the daemon (`struct xenstore_domain_interface`).
///
/// Only a map of it: the page is accessed field by field, never as a whole.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Interface {
    /// Requests, client to daemon.
    pub req: [u8; RING_SIZE],
    /// Replies and watch events, daemon to client.
    pub rsp: [u8; RING_SIZE],
    /// Bytes of `req` the daemon has consumed.
    pub req_cons: u32,
    /// Bytes of `req` the client has produced.
    pub req_prod: u32,
    /// Bytes of `rsp` the client has consumed.
    pub rsp_cons: u32,
    /// Bytes of `rsp` the daemon has produced.
    pub rsp_prod: u32,
    /// See [`server_feature`].
    pub server_features: u32,
    /// See [`connection`].
    pub connection: u32,
    /// See [`error`].
    pub error: u32,
}
