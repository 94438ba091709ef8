// SPDX-License-Identifier: GPL-2.0

//! The block protocol on top of a ring, both ends: what may be asked and answered.
//!
//! - [`operation`]: what a request asks for, and what its response says.
//! - [`request`]: the front end makes the messages of it.
//! - [`decode`]: the back end takes requests apart, which a front end may have made up.
//! - [`segment`]: the pieces of data, and how a transfer is cut into them.
//! - [`features`]: what the back end offers, read from the xenstore and put into bounds.
//! - [`vdev`]: virtual device numbers and the disk names that come of them.
//!
//! The wire structures are [`xen_abi::io::blkif`]. Grants, pages and the block layer are the
//! driver's.
//!
//! # Writing zeroes
//!
//! The protocol has no operation for it. A discard does not do: it is a hint, and what is read
//! afterwards is up to the back end. What does is a write all of whose segments name a granted
//! page of zeroes: it is exact, moves no data in the guest, and one indirect request of
//! [`features::MAX_INDIRECT_SEGMENTS`] covers 16 MiB. With persistent grants a few such pages are
//! better than one, for Linux's blkback maps a grant for a second time where a request repeats
//! it, and complains about that in its log.

pub mod decode;
pub mod features;
pub mod operation;
pub mod request;
pub mod segment;
pub mod vdev;

use crate::{BackRing, FrontRing};
use xen_abi::io::blkif::{DiscardRequest, IndirectRequest, Request, Response, Segment};

/// The front end's half of a block ring.
pub type BlkFrontRing<M> = FrontRing<Request, Response, M>;
/// The back end's half of a block ring.
pub type BlkBackRing<M> = BackRing<Request, Response, M>;

impl crate::VariantOf<Request> for DiscardRequest {}
impl crate::VariantOf<Request> for IndirectRequest {}

impl crate::HeadOf<Request> for request::Head {
    type Item = Segment;
}
