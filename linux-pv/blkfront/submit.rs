// SPDX-License-Identifier: GPL-2.0

//! Block-layer requests become messages on the ring.
//!
//! All but copying data happens under the ring's lock, and allocates no memory but for pages that a pool
//! grows by. A request becomes one message. If it is too large for one, it is submitted in parts, one after
//! the other: the block layer knows the limits of the queue, but after a migration there may be
//! requests that were built for another back end, and barriers take fewer segments than writes.

use kernel::prelude::*;
use kernel_ext::block::{BlkStatus, IdleRequest, Op, OwnedRequest, QueueResult, Refused};
use xen::block::LentRequest;
use xen::grant::Access;
use xen_abi::io::blkif::{
    Segment, MAX_INDIRECT_PAGES_PER_REQUEST, MAX_SEGMENTS_PER_REQUEST, SEGMENTS_PER_INDIRECT_PAGE,
};
use xen_abi::PAGE_SIZE;
use xen_ring::blkif::operation::Operation;
use xen_ring::blkif::request;
use xen_ring::blkif::segment::{indirect_pages, needs_indirect, segment};
use zerocopy::IntoBytes;

use crate::data::{Short, Way};
use crate::queue::{AnyRequest, Blk, Connection, Core, InFlight};
use crate::stats::Stats;

impl Connection {
    /// Puts a request on the ring, for the next [`publish`](Self::publish), or hands it back. Or returns
    /// what is to be copied first, which takes its time and does not need the ring's lock.
    #[inline]
    pub(crate) fn submit(
        &mut self,
        core: &Core,
        stats: &mut Stats,
        rq: IdleRequest<'_, Blk>,
    ) -> Result<Option<ToCopy>, Refused<Blk>> {
        if self.ring.free() == 0 {
            stats.ring_full += 1;
            return Err(rq.refuse(BlkStatus::RESOURCE));
        }
        match rq.op() {
            Op::Read => self.transfer(core, stats, rq, Operation::Read),
            Op::Write if rq.is_fua() && core.can.barrier() => {
                self.transfer(core, stats, rq, Operation::Barrier)
            }
            Op::Write => self.transfer(core, stats, rq, Operation::Write),
            _ => self.submit_rare(core, stats, rq).map(|()| None),
        }
    }

    /// Operations that move no data.
    #[cold]
    fn submit_rare(
        &mut self,
        core: &Core,
        stats: &mut Stats,
        rq: IdleRequest<'_, Blk>,
    ) -> QueueResult<Blk> {
        match rq.op() {
            Op::Flush => {
                stats.flushes += 1;
                let asked = if core.can.barrier() {
                    Operation::Barrier
                } else {
                    Operation::Flush
                };
                let mut rq = rq.start();
                rq.data_mut().part = None;
                self.wire.clear();
                self.send_direct(core, stats, InFlight::Plain(rq), 0, asked)
            }
            Op::Discard if core.can.discard() => self.send_discard(core, stats, rq, false),
            Op::SecureErase if core.can.secure_erase() => self.send_discard(core, stats, rq, true),
            Op::WriteZeroes => self.write_zeroes(core, stats, rq),
            _ => Err(rq.refuse(BlkStatus::NOTSUPP)),
        }
    }

    /// A read or write.
    #[inline]
    fn transfer(
        &mut self,
        core: &Core,
        stats: &mut Stats,
        rq: IdleRequest<'_, Blk>,
        asked: Operation,
    ) -> Result<Option<ToCopy>, Refused<Blk>> {
        let most = match asked {
            Operation::Barrier => MAX_SEGMENTS_PER_REQUEST as u32,
            _ => self.limits.max_segments,
        };
        let (bytes, part) = if rq.nr_segments() <= most {
            (rq.bytes(), None)
        } else {
            match self.first_part(&rq, most) {
                0 => return Err(rq.refuse(BlkStatus::IOERR)),
                bytes => (bytes, (bytes < rq.bytes()).then_some(bytes)),
            }
        };
        let sector = rq.sector();
        let expected = rq.nr_segments().min(most) as usize;
        let mut rq = rq.start();
        rq.data_mut().part = part;
        if part.is_some() {
            stats.partial += 1;
        }
        if let Way::Lend = self.stock.way {
            return match self.lend(stats, rq, bytes, expected, asked) {
                Ok(lent) => self.send(core, stats, lent, sector, asked).map(|()| None),
                Err((rq, trouble)) => Err(self.refuse(stats, rq, trouble)),
            };
        }
        match self.take_pages(stats, &mut rq, bytes) {
            Err(trouble) => Err(self.refuse(stats, rq, trouble)),
            Ok(()) => {
                let copy = ToCopy {
                    rq,
                    bytes,
                    sector,
                    asked,
                };
                if asked == Operation::Read {
                    self.send_copied(core, stats, copy).map(|()| None)
                } else {
                    Ok(Some(copy))
                }
            }
        }
    }

    /// Takes granted pages for the first `bytes` bytes of a request's data.
    #[inline]
    fn take_pages(
        &mut self,
        stats: &mut Stats,
        rq: &mut OwnedRequest<Blk>,
        bytes: u32,
    ) -> Result<(), Trouble> {
        let count = rq.segments_within(bytes).count();
        if let Way::Bounce(_) = self.stock.way {
            self.stock.need_refs(count)?;
            add(&mut stats.grants, count);
        }
        let copies = &mut rq.data_mut().copies;
        for _ in 0..count {
            let page = self.stock.copy_page()?;
            // There is room for as many as a message has segments.
            copies.push_within_capacity(page).map_err(|_| Malformed)?;
        }
        Ok(())
    }

    /// Sends a request whose data is in its granted pages, or will be.
    #[inline]
    pub(crate) fn send_copied(
        &mut self,
        core: &Core,
        stats: &mut Stats,
        copy: ToCopy,
    ) -> QueueResult<Blk> {
        let ToCopy {
            rq,
            bytes,
            sector,
            asked,
        } = copy;
        if self.ring.free() == 0 {
            stats.ring_full += 1;
            return Err(self.refuse(stats, rq, Trouble::Short));
        }
        self.wire.clear();
        let mut left = bytes;
        for (s, page) in rq.segments_within(bytes).zip(rq.data().copies.iter()) {
            if push(&mut self.wire, page.number(), s.offset(), s.len()).is_err() {
                break;
            }
            left = left.wrapping_sub(s.len());
        }
        if left != 0 {
            return Err(self.refuse(stats, rq, Trouble::Malformed));
        }
        if asked != Operation::Read {
            add(&mut stats.copied, bytes as usize);
        }
        self.send(core, stats, InFlight::Plain(rq), sector, asked)
    }

    /// Hands a request back whose data could not be copied.
    #[cold]
    pub(crate) fn refuse_copy(&mut self, stats: &mut Stats, copy: ToCopy) -> Refused<Blk> {
        self.refuse(stats, copy.rq, Trouble::Malformed)
    }

    /// Hands a request back that could not be shown to the back end.
    #[cold]
    fn refuse(
        &mut self,
        stats: &mut Stats,
        mut rq: OwnedRequest<Blk>,
        trouble: Trouble,
    ) -> Refused<Blk> {
        // Nothing was published, so nothing can be mapped.
        let _ = self.stock.take_back(&mut rq);
        rq.refuse(match trouble {
            Trouble::Short => {
                stats.short += 1;
                BlkStatus::RESOURCE
            }
            Trouble::Malformed => BlkStatus::IOERR,
        })
    }

    /// How many bytes, from the start, fit into `most` segments: a multiple of the block size.
    #[cold]
    fn first_part(&self, rq: &AnyRequest, most: u32) -> u32 {
        let bytes: u32 = rq
            .segments()
            .take(most as usize)
            .map(|segment| segment.len())
            .sum();
        // A power of two.
        bytes & !(self.limits.block_size.wrapping_sub(1))
    }

    /// Grants the request's own pages.
    #[inline]
    fn lend(
        &mut self,
        stats: &mut Stats,
        mut rq: OwnedRequest<Blk>,
        bytes: u32,
        expected: usize,
        asked: Operation,
    ) -> Result<InFlight, (OwnedRequest<Blk>, Trouble)> {
        if self.stock.need_refs(expected).is_err() {
            return Err((rq, Trouble::Short));
        }
        // The back end only reads what is written; FreeBSD's and Windows' front ends grant it so too.
        let access = match asked {
            Operation::Read => Access::ReadWrite,
            _ => Access::ReadOnly,
        };
        let loans = core::mem::take(&mut rq.data_mut().loans);
        let (wire, peer) = (&mut self.wire, self.stock.peer);
        wire.clear();
        let mut pushed = Ok(());
        let lent = LentRequest::new(
            rq,
            loans,
            &mut self.stock.refs,
            peer,
            access,
            bytes,
            |n, s| {
                pushed = pushed.and(push(wire, n, s.offset(), s.len()));
            },
        );
        let (mut rq, loans) = match (lent, pushed) {
            (Ok(lent), Ok(())) => {
                add(&mut stats.grants, self.wire.len());
                return Ok(InFlight::Lent(lent));
            }
            (Ok(lent), Err(Malformed)) => lent.abandon(),
            (Err(parts), _) => parts,
        };
        rq.data_mut().loans = loans;
        Err((rq, Trouble::Malformed))
    }

    /// A write of zeroes. The protocol has no operation for it, but nothing says that the segments of a
    /// write must differ: all of them name one granted page of zeroes. It costs the guest neither
    /// memory nor copies.
    ///
    /// With persistent grants this would make the back end map a grant that it has mapped already,
    /// which Linux's does, but with a complaint for each. There, pages from the pool are zeroed.
    fn write_zeroes(
        &mut self,
        core: &Core,
        stats: &mut Stats,
        rq: IdleRequest<'_, Blk>,
    ) -> QueueResult<Blk> {
        let sector = rq.sector();
        let most = self.limits.max_segments * PAGE_SIZE as u32;
        let bytes = rq.bytes().min(most);
        let part = (bytes < rq.bytes()).then_some(bytes);
        let mut rq = rq.start();
        rq.data_mut().part = part;
        stats.write_zeroes += 1;
        self.wire.clear();
        match self.show_zeroes(&mut rq, bytes) {
            Ok(()) => self.send(core, stats, InFlight::Plain(rq), sector, Operation::Write),
            Err(trouble) => Err(self.refuse(stats, rq, trouble)),
        }
    }

    fn show_zeroes(&mut self, rq: &mut OwnedRequest<Blk>, bytes: u32) -> Result<(), Trouble> {
        let persistent = matches!(self.stock.way, Way::Persistent(_));
        let mut left = bytes;
        while left > 0 {
            let len = left.min(PAGE_SIZE as u32);
            if persistent {
                let grant = self.stock.copy_page()?;
                grant.page().zero();
                push(&mut self.wire, grant.number(), 0, len)?;
                let kept = rq.data_mut().copies.push_within_capacity(grant);
                kept.map_err(|_| Trouble::Malformed)?;
            } else {
                let number = self.stock.zeroes()?.number();
                push(&mut self.wire, number, 0, len)?;
            }
            left -= len;
        }
        Ok(())
    }

    /// Sends a message with the segments in `self.wire`.
    #[inline]
    fn send(
        &mut self,
        core: &Core,
        stats: &mut Stats,
        rq: InFlight,
        sector: u64,
        asked: Operation,
    ) -> QueueResult<Blk> {
        add(&mut stats.segments, self.wire.len());
        if needs_indirect(self.wire.len()) {
            self.send_indirect(core, stats, rq, sector, asked)
        } else {
            self.send_direct(core, stats, rq, sector, asked)
        }
    }

    #[inline]
    fn send_direct(
        &mut self,
        core: &Core,
        stats: &mut Stats,
        mut rq: InFlight,
        sector: u64,
        asked: Operation,
    ) -> QueueResult<Blk> {
        rq.data_mut().asked = asked;
        let id = self.requests.insert(rq).map_err(unsent)?;
        let message = request::direct(asked, id, core.handle, sector, &self.wire);
        let sent = message.is_ok_and(|message| self.ring.push(&message).is_ok());
        self.sent(stats, id, sent)
    }

    fn send_indirect(
        &mut self,
        core: &Core,
        stats: &mut Stats,
        mut rq: InFlight,
        sector: u64,
        asked: Operation,
    ) -> QueueResult<Blk> {
        rq.data_mut().asked = asked;
        let mut numbers = [0; MAX_INDIRECT_PAGES_PER_REQUEST];
        let used = indirect_pages(self.wire.len());
        for (number, segments) in numbers
            .iter_mut()
            .zip(self.wire.chunks(SEGMENTS_PER_INDIRECT_PAGE))
        {
            let Ok(grant) = self.stock.descriptor_page() else {
                return self.short(stats, rq);
            };
            *number = grant.number();
            let copied = grant.page().copy_in(0, segments.as_bytes());
            let kept = rq.data_mut().descriptors.push_within_capacity(grant);
            if copied.is_err() || kept.is_err() {
                return self.short(stats, rq);
            }
        }
        add(&mut stats.indirect, 1);
        let id = self.requests.insert(rq).map_err(unsent)?;
        let count = self.wire.len();
        let pages = numbers.get(..used).unwrap_or(&[]);
        let message = request::indirect(asked, id, core.handle, sector, count, pages);
        let sent = message.is_ok_and(|message| self.ring.push(&message).is_ok());
        self.sent(stats, id, sent)
    }

    fn send_discard(
        &mut self,
        core: &Core,
        stats: &mut Stats,
        rq: IdleRequest<'_, Blk>,
        secure: bool,
    ) -> QueueResult<Blk> {
        let (sector, sectors) = (rq.sector(), rq.sectors().into());
        let mut rq = rq.start();
        rq.data_mut().asked = Operation::Discard { secure };
        rq.data_mut().part = None;
        stats.discards += 1;
        let id = self.requests.insert(InFlight::Plain(rq)).map_err(unsent)?;
        let message = request::discard(id, core.handle, sector, sectors, secure);
        let sent = self.ring.push(&message).is_ok();
        self.sent(stats, id, sent)
    }

    /// A message is on the ring, or could not be put there after all, which cannot happen: there was
    /// room, and the ring of a connection in use is not corrupt. If it does, the request fails.
    #[inline]
    fn sent(&mut self, stats: &mut Stats, id: u64, sent: bool) -> QueueResult<Blk> {
        if sent {
            add(&mut stats.requests, 1);
            return Ok(());
        }
        match self.requests.complete(id) {
            Ok(rq) => Err(unsent(rq)),
            Err(_) => Ok(()),
        }
    }

    /// Hands a request back that was not sent for lack of pages.
    #[cold]
    fn short(&mut self, stats: &mut Stats, rq: InFlight) -> QueueResult<Blk> {
        stats.short += 1;
        Err(match self.take_back(rq) {
            Ok(rq) => rq.refuse(BlkStatus::RESOURCE),
            Err(rq) => unsent(rq),
        })
    }
}

/// A request whose data is to be copied to the granted pages that it has, and which is then to be sent.
pub(crate) struct ToCopy {
    rq: OwnedRequest<Blk>,
    bytes: u32,
    sector: u64,
    asked: Operation,
}

impl ToCopy {
    /// Copies. Without the ring's lock.
    #[inline]
    pub(crate) fn copy(&self) -> Result {
        let pages = self.rq.data().copies.iter();
        for (s, page) in self.rq.segments_within(self.bytes).zip(pages) {
            page.page().copy_from_segment(&s)?;
        }
        Ok(())
    }

    /// Hands the request back, because the connection is gone.
    #[cold]
    pub(crate) fn abandon(self, status: BlkStatus) -> Refused<Blk> {
        InFlight::Plain(self.rq).abandon().refuse(status)
    }
}

/// Fails a request that could not be sent.
#[cold]
fn unsent(rq: InFlight) -> Refused<Blk> {
    rq.abandon().refuse(BlkStatus::IOERR)
}

/// Why a request could not be shown to the back end.
enum Trouble {
    /// See [`Short`].
    Short,
    /// It is not what the block layer was told to send.
    Malformed,
}

impl From<Short> for Trouble {
    fn from(_: Short) -> Self {
        Self::Short
    }
}

impl From<Malformed> for Trouble {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

/// A piece of data that is not made of whole sectors, or one too many.
#[derive(Clone, Copy)]
struct Malformed;

/// Adds a segment to a message.
#[inline]
fn push(wire: &mut KVec<Segment>, number: u32, offset: u32, len: u32) -> Result<(), Malformed> {
    let segment = segment(number, offset as usize, len as usize).ok_or(Malformed)?;
    wire.push_within_capacity(segment).map_err(|_| Malformed)
}

/// Counts, without a check for overflow, which 64 bits do not need.
#[inline]
fn add(counter: &mut u64, n: usize) {
    *counter = counter.wrapping_add(n as u64);
}
