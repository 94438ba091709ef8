// SPDX-License-Identifier: GPL-2.0

//! The PCI protocol (`io/pciif.h`): a page in which the two ends hand each other one operation at a
//! time, without ids and without a ring.
//!
//! | module | what it holds |
//! |---|---|
//! | [`address`] | where a function is, and the xenstore's words for that |
//! | [`request`] | what the front end asks for |
//! | [`answer`] | what the back end says to that, checked |
//! | [`front`] | the front end's side of the page: one operation in flight |
//! | [`back`] | the back end's side |
//! | [`recovery`] | the other way round: the back end reports an error of a device |
//!
//! An operation is in flight while the flag `FRONT_ACTIVE` is set. Since there are no ids, the page may
//! not be used again before the back end has cleared the flag: an answer that comes late would be taken
//! for that to the next operation. So a front end that gives up waiting leaves the operation where it is
//! ([`FrontPage::abandon`]), refuses others at once, and goes on when the back end has answered after
//! all. (Linux's C driver clears the flag itself and waits anew with each operation.)

pub mod address;
pub mod answer;
pub mod back;
pub mod front;
pub mod recovery;
pub mod request;

pub use address::{Address, Root};
pub use answer::{Answer, Pirqs, Refusal};
pub use back::BackPage;
pub use front::{FrontPage, NotStarted, Started};
pub use recovery::{Channel, Recovery, Report, Step};
pub use request::{Register, Request, Width};

use crate::{RingMem, TooSmall};
use core::mem::{offset_of, size_of};
use xen_abi::io::pciif::{flag, AerOp, MsixEntry, Op, SharedInfo};

/// What the front end writes to the xenstore as `magic`: the version of the protocol
/// (`XEN_PCI_MAGIC`).
pub const MAGIC: &str = "7";

/// Most roots and most devices that are looked for in the xenstore. Every function of 256 buses would
/// be more, but a back end that has so many does not mean it.
pub const MAX_LISTED: u32 = 4096;

const FLAGS: usize = offset_of!(SharedInfo, flags);
const OP: usize = offset_of!(SharedInfo, op);
const ERR: usize = OP + offset_of!(Op, err);
const VALUE: usize = OP + offset_of!(Op, value);
const VECTORS: usize = OP + offset_of!(Op, msix_entries);
const AER: usize = offset_of!(SharedInfo, aer_op);
const AER_ERR: usize = AER + offset_of!(AerOp, err);

const FRONT_ACTIVE: u32 = 1 << flag::FRONT_ACTIVE;
const AER_HANDLER: u32 = 1 << flag::AER_HANDLER;
const BACK_ACTIVE: u32 = 1 << flag::BACK_ACTIVE;

/// Where the vector with this number is in the page.
const fn vector(index: usize) -> usize {
    VECTORS + index * size_of::<MsixEntry>()
}

fn check_size<M: RingMem>(mem: M) -> Result<M, TooSmall> {
    if mem.size() < size_of::<SharedInfo>() {
        return Err(TooSmall);
    }
    Ok(mem)
}
