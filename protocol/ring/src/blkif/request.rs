// SPDX-License-Identifier: GPL-2.0

//! The front end's messages.
//!
//! Whether the back end offers an operation is the caller's to know, see [`super::features`];
//! whether the numbers can stand in a message is checked here.

use super::operation::Operation;
use super::segment::indirect_pages;
use core::fmt;
use core::mem::offset_of;
use xen_abi::io::blkif::{
    op, DiscardRequest, IndirectRequest, Request, Segment, DISCARD_SECURE,
    MAX_INDIRECT_PAGES_PER_REQUEST, MAX_SEGMENTS_PER_REQUEST, SEGMENTS_PER_INDIRECT_PAGE,
};
use zerocopy_derive::{Immutable, IntoBytes};

/// A transfer does not fit the message it was meant for: a mistake of the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DoesNotFit;

impl fmt::Display for DoesNotFit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the operation or its number of segments does not fit the request")
    }
}

impl core::error::Error for DoesNotFit {}

/// Makes a request with its segments in the message: a read, write or barrier of up to 11
/// segments at `sector`, or a flush, which has none. Only a barrier may also have none.
#[inline]
pub fn direct(
    operation: Operation,
    id: u64,
    handle: u16,
    sector: u64,
    segments: &[Segment],
) -> Result<Request, DoesNotFit> {
    let head = head(operation, id, handle, sector, segments.len())?;
    Ok(Request {
        operation: head.operation,
        nr_segments: head.nr_segments,
        handle,
        pad: 0,
        id,
        sector_number: sector,
        seg: padded(segments),
    })
}

/// What stands before the segments of a [`Request`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoBytes, Immutable)]
#[repr(C)]
pub struct Head {
    operation: u8,
    nr_segments: u8,
    handle: u16,
    pad: u32,
    id: u64,
    sector_number: u64,
}

const _: () = assert!(size_of::<Head>() == offset_of!(Request, seg));

/// Makes what stands before the segments of a [`direct`] request of that many segments, for a ring
/// to write it and them [one behind the other](crate::FrontRing::push_with_list), without the places
/// for segments that it does not use.
#[inline]
pub fn head(
    operation: Operation,
    id: u64,
    handle: u16,
    sector: u64,
    nr_segments: usize,
) -> Result<Head, DoesNotFit> {
    let fits = match operation {
        Operation::Read | Operation::Write => nr_segments > 0,
        Operation::Barrier => true,
        Operation::Flush => nr_segments == 0,
        Operation::Discard { .. } => false,
    };
    if !fits || nr_segments > MAX_SEGMENTS_PER_REQUEST {
        return Err(DoesNotFit);
    }
    Ok(Head {
        operation: operation.number(),
        nr_segments: nr_segments as u8,
        handle,
        pad: 0,
        id,
        sector_number: sector,
    })
}

/// Makes a read or write whose `nr_segments` segments stand in the pages granted as `pages`, 512
/// in each but the last. Barriers cannot be indirect.
#[inline]
pub fn indirect(
    operation: Operation,
    id: u64,
    handle: u16,
    sector: u64,
    nr_segments: usize,
    pages: &[u32],
) -> Result<IndirectRequest, DoesNotFit> {
    const MOST: usize = MAX_INDIRECT_PAGES_PER_REQUEST * SEGMENTS_PER_INDIRECT_PAGE;
    if !matches!(operation, Operation::Read | Operation::Write)
        || nr_segments == 0
        || nr_segments > MOST
        || pages.len() != indirect_pages(nr_segments)
    {
        return Err(DoesNotFit);
    }
    Ok(IndirectRequest {
        operation: op::INDIRECT,
        indirect_op: operation.number(),
        nr_segments: nr_segments as u16,
        pad0: 0,
        id,
        sector_number: sector,
        handle,
        pad1: 0,
        indirect_grefs: padded(pages),
        pad2: 0,
    })
}

/// The items, and defaults behind them. One by one, for so few the kernel's `memcpy` is a detour.
#[inline]
fn padded<T: Copy + Default, const N: usize>(items: &[T]) -> [T; N] {
    core::array::from_fn(|i| items.get(i).copied().unwrap_or_default())
}

/// Makes a discard of `nr_sectors` sectors at `sector`.
#[inline]
pub fn discard(id: u64, handle: u16, sector: u64, nr_sectors: u64, secure: bool) -> DiscardRequest {
    DiscardRequest {
        operation: op::DISCARD,
        flag: if secure { DISCARD_SECURE } else { 0 },
        handle,
        pad: 0,
        id,
        sector_number: sector,
        nr_sectors,
    }
}
