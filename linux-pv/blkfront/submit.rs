// SPDX-License-Identifier: GPL-2.0

//! Block-layer requests become requests on the ring.
//!
//! All but copying much data happens under the ring's lock, and allocates no memory but for pages
//! that a pool grows by. A block-layer request becomes one request on the ring. If it is too large
//! for one, it is submitted in parts, one after the other: the block layer knows the limits of the
//! queue, but after a migration there may be requests that were built for another backend, and
//! barriers take fewer segments than writes.

mod rare;

use core::slice;

use kernel::prelude::*;
use kernel_ext::block::{
    BlkStatus,
    IdleRequest,
    Op,
    OwnedRequest,
    QueueResult,
    Refused,
    Request, //
};
use xen::{
    block::LentRequest,
    grant::Access, //
};
use xen_abi::io::blkif::{
    Segment,
    MAX_INDIRECT_PAGES_PER_REQUEST,
    MAX_SEGMENTS_PER_REQUEST,
    SEGMENTS_PER_INDIRECT_PAGE, //
};
use xen_ring::blkif::{
    operation::Operation,
    request,
    segment::{
        indirect_pages,
        needs_indirect,
        segment, //
    },
};
use zerocopy::IntoBytes;

use crate::{
    connection::{
        push,
        Connection, //
    },
    copy::ToCopy,
    queue::Blk,
    request_data::abandon_copies,
    stats::{
        add,
        Stats, //
    },
    stock::DataMode,
    unsendable::{
        Malformed,
        Unsendable, //
    },
    vbd::Vbd, //
};

/// The submission of a request on a connection, under the ring's lock. Requests that were put on
/// the ring have to be [published](Connection::publish).
pub(crate) struct Submission<'a> {
    pub(crate) connection: &'a mut Connection,
    pub(crate) vbd: &'a Vbd,
    pub(crate) stats: &'a mut Stats,
}

impl Submission<'_> {
    /// Puts a request on the ring, or hands it back. Or returns what is to be copied first, which
    /// takes its time and does not need the ring's lock.
    #[inline]
    pub(crate) fn submit(
        &mut self,
        rq: IdleRequest<'_, Blk>,
    ) -> Result<Option<ToCopy>, Refused<Blk>> {
        if self.connection.ring.free() == 0 {
            self.stats.ring_full += 1;
            return Err(rq.refuse(BlkStatus::RESOURCE));
        }
        let operation = match rq.op() {
            Op::Read => Operation::Read,
            Op::Write if rq.is_fua() && self.vbd.capabilities.barrier() => Operation::Barrier,
            Op::Write => Operation::Write,
            _ => return self.submit_rare(rq).map(|()| None),
        };
        self.transfer(rq, operation)
    }

    /// A read or write.
    #[inline]
    fn transfer(
        &mut self,
        rq: IdleRequest<'_, Blk>,
        operation: Operation,
    ) -> Result<Option<ToCopy>, Refused<Blk>> {
        let max_segments = match operation {
            Operation::Barrier => MAX_SEGMENTS_PER_REQUEST as u32,
            _ => self.connection.limits.max_segments,
        };
        let (bytes, part) = if rq.nr_segments() <= max_segments {
            (rq.bytes(), None)
        } else {
            match self.first_part(&rq, max_segments) {
                0 => return Err(rq.refuse(BlkStatus::IOERR)),
                bytes => (bytes, (bytes < rq.bytes()).then_some(bytes)),
            }
        };
        let sector = rq.sector();
        let expected = rq.nr_segments().min(max_segments) as usize;
        let mut rq = rq.start();
        rq.data_mut().part = part;
        if part.is_some() {
            self.count_part();
        }
        if expected == 1 && self.connection.stock.mode != DataMode::Direct {
            match self.take_page(&mut rq, bytes, operation) {
                Ok(Some(only)) => {
                    add(&mut self.stats.segments, 1);
                    let lent = LentRequest::without_loans(rq);
                    let sent = self.send_direct(lent, sector, operation, Some(&only));
                    return sent.map(|()| None);
                }
                // It has more segments than the block layer has counted.
                Ok(None) => {}
                Err(why) => return Err(self.refuse(rq, why)),
            }
        }
        self.transfer_segments(rq, (bytes, expected), sector, operation)
    }

    /// A read or write, which has been started, of `bytes` bytes in about `expected` segments.
    ///
    /// Not inline, for most requests are of one page, and need few registers without this.
    #[inline(never)]
    fn transfer_segments(
        &mut self,
        mut rq: OwnedRequest<Blk>,
        (bytes, expected): (u32, usize),
        sector: u64,
        operation: Operation,
    ) -> Result<Option<ToCopy>, Refused<Blk>> {
        let lent = if self.connection.stock.mode == DataMode::Direct {
            match self.lend(rq, bytes, expected, operation) {
                Ok(lent) => lent,
                Err(Some((rq, why))) => return Err(self.refuse(rq, why)),
                Err(None) => return Ok(None),
            }
        } else {
            if let Err(why) = self.take_pages(&mut rq, bytes, expected) {
                return Err(self.refuse(rq, why));
            }
            if operation != Operation::Read {
                return Ok(Some(ToCopy {
                    rq,
                    bytes,
                    sector,
                    operation,
                }));
            }
            LentRequest::without_loans(rq)
        };
        self.send(lent, sector, operation).map(|()| None)
    }

    #[cold]
    fn count_part(&mut self) {
        self.stats.partial += 1;
    }

    /// Takes a granted page for the first `bytes` bytes of a request's data, and copies what is to
    /// be written to it; or returns nothing if that is not a single segment.
    #[inline]
    fn take_page(
        &mut self,
        rq: &mut OwnedRequest<Blk>,
        bytes: u32,
        operation: Operation,
    ) -> Result<Option<Segment>, Unsendable> {
        let stock = &mut self.connection.stock;
        let (request, data) = rq.split_mut();
        let only = request.segments_within(bytes).next();
        let Some(only) = only.filter(|only| only.len() == bytes) else {
            return Ok(None);
        };
        if stock.mode == DataMode::Bounce {
            stock.need_refs(1)?;
            add(&mut self.stats.grants, 1);
        }
        let page = stock.copy_page()?;
        let number = page.number();
        if operation != Operation::Read {
            page.page().copy_from_segment(&only);
            add(&mut self.stats.copied_bytes, bytes as usize);
        }
        data.copies
            .push_within_capacity(page)
            .map_err(|_| Malformed)?;
        let only = segment(number, only.offset() as usize, bytes as usize);
        only.map(Some).ok_or(Malformed.into())
    }

    /// Takes granted pages for the first `bytes` bytes of a request's data, which has up to
    /// `expected` segments, and makes them the segments of the connection.
    #[inline]
    fn take_pages(
        &mut self,
        rq: &mut OwnedRequest<Blk>,
        bytes: u32,
        expected: usize,
    ) -> Result<(), Unsendable> {
        let Connection {
            stock, segments, ..
        } = &mut *self.connection;
        if stock.mode == DataMode::Bounce {
            stock.need_refs(expected)?;
            add(&mut self.stats.grants, expected);
        }
        segments.clear();
        let (request, data) = rq.split_mut();
        for s in request.segments_within(bytes) {
            let page = stock.copy_page()?;
            let number = page.number();
            // There is room for as many as a request on the ring has segments.
            data.copies
                .push_within_capacity(page)
                .map_err(|_| Malformed)?;
            push(segments, number, s.offset(), s.len())?;
        }
        Ok(())
    }

    /// Sends a request whose data has been copied to its granted pages.
    #[inline]
    pub(crate) fn send_copied(&mut self, copy: ToCopy) -> QueueResult<Blk> {
        let ToCopy {
            rq,
            bytes,
            sector,
            operation,
        } = copy;
        if self.connection.ring.free() == 0 {
            self.stats.ring_full += 1;
            return Err(self.refuse(rq, Unsendable::NoGrants));
        }
        // Those of another request by now.
        let segments = &mut self.connection.segments;
        segments.clear();
        let mut left = bytes;
        for (s, page) in rq.segments_within(bytes).zip(rq.data().copies.iter()) {
            if push(segments, page.number(), s.offset(), s.len()).is_err() {
                break;
            }
            left = left.wrapping_sub(s.len());
        }
        if left != 0 {
            return Err(self.refuse(rq, Unsendable::Malformed));
        }
        add(&mut self.stats.copied_bytes, bytes as usize);
        self.send(LentRequest::without_loans(rq), sector, operation)
    }

    /// Hands a request back that could not be put on the ring.
    #[cold]
    fn refuse(&mut self, mut rq: OwnedRequest<Blk>, why: Unsendable) -> Refused<Blk> {
        // Nothing was published, so nothing can be mapped.
        let _ = self.connection.stock.take_back(rq.data_mut());
        rq.refuse(match why {
            Unsendable::NoGrants => {
                self.stats.no_grants += 1;
                BlkStatus::RESOURCE
            }
            Unsendable::Malformed => BlkStatus::IOERR,
        })
    }

    /// How many bytes, from the start, fit into `max_segments` segments: a multiple of the block
    /// size.
    #[cold]
    fn first_part(&self, rq: &Request<Blk>, max_segments: u32) -> u32 {
        let bytes: u32 = rq
            .segments()
            .take(max_segments as usize)
            .map(|segment| segment.len())
            .sum();
        bytes & !(self.connection.limits.block_size.wrapping_sub(1))
    }

    /// Grants the request's own pages. If that fails, the request is returned, or none if it was
    /// retired.
    #[inline]
    fn lend(
        &mut self,
        rq: OwnedRequest<Blk>,
        bytes: u32,
        expected: usize,
        operation: Operation,
    ) -> Result<LentRequest<Blk>, Option<(OwnedRequest<Blk>, Unsendable)>> {
        let Connection {
            stock, segments, ..
        } = &mut *self.connection;
        if stock.need_refs(expected).is_err() {
            return Err(Some((rq, Unsendable::NoGrants)));
        }
        // The backend only reads what is written; FreeBSD's and Windows' frontends grant it so
        // too.
        let access = match operation {
            Operation::Read => Access::ReadWrite,
            _ => Access::ReadOnly,
        };
        let peer = stock.peer;
        segments.clear();
        let mut pushed = Ok(());
        let lent = LentRequest::new(rq, &mut stock.refs, peer, access, bytes, |n, s| {
            pushed = pushed.and(push(segments, n, s.offset(), s.len()));
        });
        let unlent = match (lent, pushed) {
            (Ok(lent), Ok(())) => {
                add(&mut self.stats.grants, self.connection.segments.len());
                return Ok(lent);
            }
            (Ok(lent), Err(Malformed)) => lent.try_end(),
            (Err(unlent), _) => unlent,
        };
        Err(self.take_back(unlent).map(|rq| (rq, Unsendable::Malformed)))
    }

    /// The request of which nothing was published, so that nothing of it can be mapped. If it is
    /// all the same, the request is retired.
    #[cold]
    fn take_back(
        &self,
        unlent: Result<OwnedRequest<Blk>, LentRequest<Blk>>,
    ) -> Option<OwnedRequest<Blk>> {
        unlent.map_err(|lent| self.vbd.retired.push(lent)).ok()
    }

    /// Sends a request with the segments of the connection.
    #[inline(always)]
    fn send(
        &mut self,
        request: LentRequest<Blk>,
        sector: u64,
        operation: Operation,
    ) -> QueueResult<Blk> {
        let count = self.connection.segments.len();
        add(&mut self.stats.segments, count);
        if needs_indirect(count) {
            self.send_indirect(request, sector, operation)
        } else {
            self.send_direct(request, sector, operation, None)
        }
    }

    /// Sends a request with the segments of the connection, or with the `only` one.
    #[inline(always)]
    fn send_direct(
        &mut self,
        mut rq: LentRequest<Blk>,
        sector: u64,
        operation: Operation,
        only: Option<&Segment>,
    ) -> QueueResult<Blk> {
        rq.data_mut().operation = operation;
        let Connection {
            ring,
            in_flight,
            segments,
            ..
        } = &mut *self.connection;
        let segments = only.map_or(segments.as_slice(), slice::from_ref);
        let id = match in_flight.insert(rq) {
            Ok(id) => id,
            Err(rq) => return self.unsent(rq),
        };
        let head = request::head(operation, id, self.vbd.handle, sector, segments.len());
        let sent = head.is_ok_and(|head| ring.push_with_list(&head, segments).is_ok());
        self.sent(id, sent)
    }

    fn send_indirect(
        &mut self,
        mut rq: LentRequest<Blk>,
        sector: u64,
        operation: Operation,
    ) -> QueueResult<Blk> {
        rq.data_mut().operation = operation;
        let mut numbers = [0; MAX_INDIRECT_PAGES_PER_REQUEST];
        let count = self.connection.segments.len();
        let Connection {
            stock, segments, ..
        } = &mut *self.connection;
        let parts = segments.chunks(SEGMENTS_PER_INDIRECT_PAGE);
        let mut enough = true;
        for (number, segments) in numbers.iter_mut().zip(parts) {
            let Ok(grant) = stock.descriptor_page() else {
                enough = false;
                break;
            };
            *number = grant.number();
            let copied = grant.page().copy_in(0, segments.as_bytes());
            let kept = rq.data_mut().descriptors.push_within_capacity(grant);
            enough &= copied.is_ok() && kept.is_ok();
        }
        if !enough {
            return self.refuse_lent(rq);
        }
        add(&mut self.stats.indirect, 1);
        let Connection {
            ring, in_flight, ..
        } = &mut *self.connection;
        let id = match in_flight.insert(rq) {
            Ok(id) => id,
            Err(rq) => return self.unsent(rq),
        };
        let pages = numbers.get(..indirect_pages(count)).unwrap_or(&[]);
        let request = request::indirect(operation, id, self.vbd.handle, sector, count, pages);
        let sent = request.is_ok_and(|request| ring.push(&request).is_ok());
        self.sent(id, sent)
    }

    /// A request is on the ring, or could not be put there after all, which cannot happen: there
    /// was room, and the ring of a connection in use is not corrupt. If it does, the request fails.
    #[inline]
    fn sent(&mut self, id: u64, sent: bool) -> QueueResult<Blk> {
        if sent {
            add(&mut self.stats.requests, 1);
            return Ok(());
        }
        let unsent = self.connection.in_flight.complete(id);
        unsent.map_or(Ok(()), |rq| self.unsent(rq))
    }

    /// Fails a request that could not be sent.
    #[cold]
    fn unsent(&self, rq: LentRequest<Blk>) -> QueueResult<Blk> {
        let unlent = self.take_back(rq.try_end());
        match unlent {
            Some(rq) => Err(abandon_copies(rq).refuse(BlkStatus::IOERR)),
            None => Ok(()),
        }
    }

    /// Hands a request back that was not sent for lack of pages for its segments.
    #[cold]
    fn refuse_lent(&mut self, rq: LentRequest<Blk>) -> QueueResult<Blk> {
        self.stats.no_grants += 1;
        let unlent = self.connection.take_back(rq);
        let unlent = self.take_back(unlent);
        unlent.map_or(Ok(()), |rq| Err(rq.refuse(BlkStatus::RESOURCE)))
    }
}
