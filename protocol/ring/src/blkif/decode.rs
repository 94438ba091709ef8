// SPDX-License-Identifier: GPL-2.0

//! The back end's view of requests.
//!
//! A request comes off the ring as a private copy; here its claims are checked one by one. What
//! is wrong with one is no violation that ends the connection: the back end answers it with an
//! error, as Linux's blkback does, and needs the id and operation for that.

use super::operation::{Operation, Outcome};
use super::segment::{indirect_pages, needs_indirect, sectors};
use core::fmt;
use xen_abi::io::blkif::{
    op, DiscardRequest, IndirectRequest, Request, Response, Segment, DISCARD_SECURE,
    MAX_INDIRECT_PAGES_PER_REQUEST, MAX_SEGMENTS_PER_REQUEST, SEGMENTS_PER_INDIRECT_PAGE,
};
use zerocopy::{FromBytes, IntoBytes};

/// A request that can be carried out, if the grants can be mapped and the disk is large enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// To be echoed.
    pub id: u64,
    /// To be echoed.
    pub operation: Operation,
    /// First sector on the disk.
    pub sector: u64,
    /// What the operation is about.
    pub body: Body,
}

/// What an operation is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// Data in the segments that stand in the request.
    Direct(Segments),
    /// Data in segments that stand in other pages.
    Indirect(IndirectSegments),
    /// No data, but a range of sectors.
    Range {
        /// Number of sectors.
        nr_sectors: u64,
    },
}

/// The segments of a direct request, each a run within a page.
#[derive(Clone, Copy, Debug)]
pub struct Segments {
    seg: [Segment; MAX_SEGMENTS_PER_REQUEST],
    len: usize,
}

impl Segments {
    /// The segments.
    #[inline]
    pub fn as_slice(&self) -> &[Segment] {
        self.seg.get(..self.len).unwrap_or(&[])
    }

    /// Number of sectors in all of them.
    pub fn sectors(&self) -> u64 {
        let each = self.as_slice().iter().filter_map(sectors);
        each.map(u64::from).sum()
    }
}

/// What a request has in the places it does not use makes no difference.
impl PartialEq for Segments {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for Segments {}

/// Where the segments of an indirect request stand.
#[derive(Clone, Copy, Debug)]
pub struct IndirectSegments {
    grefs: [u32; MAX_INDIRECT_PAGES_PER_REQUEST],
    /// Number of segments, 1 to 4096.
    nr_segments: usize,
}

impl IndirectSegments {
    /// Number of segments.
    #[inline]
    pub fn len(&self) -> usize {
        self.nr_segments
    }

    /// False: a request without segments is not decoded.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.nr_segments == 0
    }

    /// The grants of the pages, with the number of segments in each. Every segment, once copied
    /// from such a page, has to pass [`check_segment`].
    pub fn pages(&self) -> impl Iterator<Item = (u32, usize)> + '_ {
        let used = self.grefs.iter().take(indirect_pages(self.nr_segments));
        used.enumerate().map(|(page, gref)| {
            let before = page * SEGMENTS_PER_INDIRECT_PAGE;
            let left = self.nr_segments.saturating_sub(before);
            (*gref, left.min(SEGMENTS_PER_INDIRECT_PAGE))
        })
    }
}

/// What a request has in the places it does not use makes no difference.
impl PartialEq for IndirectSegments {
    fn eq(&self, other: &Self) -> bool {
        self.pages().eq(other.pages())
    }
}

impl Eq for IndirectSegments {}

/// A request that cannot be carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// To be echoed.
    pub id: u64,
    /// To be echoed: the number, as it may be no operation.
    pub operation: u8,
    /// What is wrong.
    pub why: Why,
}

/// What is wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// There is no such operation.
    UnknownOperation,
    /// An indirect request for something other than a read or write.
    NotIndirect,
    /// No data, for an operation that has some; or an empty range.
    Empty,
    /// More segments than the request can name or the back end has offered.
    TooManySegments,
    /// A segment leaves its page or runs backwards.
    BadSegment,
    /// The sectors do not end within 64 bits.
    RangeOverflow,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match self.why {
            Why::UnknownOperation => "there is no such operation",
            Why::NotIndirect => "it cannot be indirect",
            Why::Empty => "it is empty",
            Why::TooManySegments => "it has too many segments",
            Why::BadSegment => "a segment is no run within a page",
            Why::RangeOverflow => "its sectors overflow",
        };
        write!(f, "request {:#x} for {}: {why}", self.id, self.operation)
    }
}

impl core::error::Error for Malformed {}

/// Checks a segment that was copied from an indirect page, and returns its number of sectors.
#[inline]
pub fn check_segment(segment: &Segment) -> Result<u32, Why> {
    sectors(segment).ok_or(Why::BadSegment)
}

/// Takes a request apart. `max_indirect_segments` is what the back end has offered, zero if it
/// offers no indirect requests.
pub fn decode(request: &Request, max_indirect_segments: usize) -> Result<Decoded, Malformed> {
    let malformed = |why| Malformed {
        id: request.id,
        operation: request.operation,
        why,
    };
    match request.operation {
        op::READ => direct(request, Operation::Read).map_err(malformed),
        op::WRITE => direct(request, Operation::Write).map_err(malformed),
        op::WRITE_BARRIER => direct(request, Operation::Barrier).map_err(malformed),
        // Some front ends send the data of a write that has to be stable with a flush.
        op::FLUSH_DISKCACHE => direct(request, Operation::Flush).map_err(malformed),
        op::DISCARD => discard(&variant(request)).map_err(malformed),
        op::INDIRECT if max_indirect_segments > 0 => {
            let indirect: IndirectRequest = variant(request);
            decode_indirect(&indirect, max_indirect_segments).map_err(|why| Malformed {
                // The answer to an indirect request names what it was to do.
                operation: indirect.indirect_op,
                ..malformed(why)
            })
        }
        _ => Err(malformed(Why::UnknownOperation)),
    }
}

/// The response to a request that was decoded.
#[inline]
pub fn answer(decoded: &Decoded, outcome: Outcome) -> Response {
    respond(decoded.id, decoded.operation.number(), outcome)
}

/// The response to a request that could not be.
#[inline]
pub fn reject(malformed: &Malformed) -> Response {
    let outcome = match malformed.why {
        Why::UnknownOperation => Outcome::Unsupported,
        _ => Outcome::Failed,
    };
    respond(malformed.id, malformed.operation, outcome)
}

#[inline]
fn respond(id: u64, operation: u8, outcome: Outcome) -> Response {
    Response {
        id,
        operation,
        pad0: 0,
        status: outcome.status(),
        pad1: 0,
    }
}

/// Reads a shorter variant from the bytes of a request.
fn variant<V: FromBytes>(request: &Request) -> V {
    const { assert!(size_of::<V>() <= size_of::<Request>()) };
    match V::read_from_prefix(request.as_bytes()) {
        Ok((variant, _)) => variant,
        Err(_) => V::new_zeroed(),
    }
}

fn direct(request: &Request, operation: Operation) -> Result<Decoded, Why> {
    let len = usize::from(request.nr_segments);
    if needs_indirect(len) {
        return Err(Why::TooManySegments);
    }
    if len == 0 && matches!(operation, Operation::Read | Operation::Write) {
        return Err(Why::Empty);
    }
    let segments = Segments {
        seg: request.seg,
        len,
    };
    let mut count: u64 = 0;
    for segment in segments.as_slice() {
        count = count.wrapping_add(check_segment(segment)?.into());
    }
    in_range(request.sector_number, count)?;
    Ok(Decoded {
        id: request.id,
        operation,
        sector: request.sector_number,
        body: Body::Direct(segments),
    })
}

fn decode_indirect(request: &IndirectRequest, most: usize) -> Result<Decoded, Why> {
    let operation = match request.indirect_op {
        op::READ => Operation::Read,
        op::WRITE => Operation::Write,
        _ => return Err(Why::NotIndirect),
    };
    let nr_segments = usize::from(request.nr_segments);
    if nr_segments == 0 {
        return Err(Why::Empty);
    }
    if nr_segments > most || indirect_pages(nr_segments) > MAX_INDIRECT_PAGES_PER_REQUEST {
        return Err(Why::TooManySegments);
    }
    Ok(Decoded {
        id: request.id,
        operation,
        sector: request.sector_number,
        body: Body::Indirect(IndirectSegments {
            grefs: request.indirect_grefs,
            nr_segments,
        }),
    })
}

fn discard(request: &DiscardRequest) -> Result<Decoded, Why> {
    if request.nr_sectors == 0 {
        return Err(Why::Empty);
    }
    in_range(request.sector_number, request.nr_sectors)?;
    Ok(Decoded {
        id: request.id,
        operation: Operation::Discard {
            secure: request.flag & DISCARD_SECURE != 0,
        },
        sector: request.sector_number,
        body: Body::Range {
            nr_sectors: request.nr_sectors,
        },
    })
}

fn in_range(sector: u64, count: u64) -> Result<(), Why> {
    match sector.checked_add(count) {
        Some(_) => Ok(()),
        None => Err(Why::RangeOverflow),
    }
}
