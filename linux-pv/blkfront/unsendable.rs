// SPDX-License-Identifier: GPL-2.0

//! Why a request of the block layer is not put on the ring.

use crate::stock::NoGrants;

/// Why a request is not put on the ring.
pub(crate) enum Unsendable {
    /// See [`NoGrants`]. It is tried again later.
    NoGrants,
    /// It does not keep to the queue's limits. It fails.
    Malformed,
}

/// A piece of data that is not made of whole sectors, or one too many.
#[derive(Clone, Copy)]
pub(crate) struct Malformed;

impl From<NoGrants> for Unsendable {
    fn from(_: NoGrants) -> Self {
        Self::NoGrants
    }
}

impl From<Malformed> for Unsendable {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}
