// SPDX-License-Identifier: GPL-2.0

//! Requests that move no data of their own: flushes, discards, writes of zeroes. None is in a
//! hurry.

use kernel::prelude::*;
use kernel_ext::block::{
    BlkStatus,
    IdleRequest,
    Op,
    OwnedRequest,
    QueueResult, //
};
use xen::block::LentRequest;
use xen_abi::PAGE_SIZE;
use xen_ring::blkif::{
    operation::Operation,
    request, //
};

use crate::{
    connection::{
        push,
        Connection, //
    },
    queue::Blk,
    stock::DataMode,
    unsendable::{
        Malformed,
        Unsendable, //
    },
};

use super::Submission;

impl Submission<'_> {
    /// Operations that move no data.
    #[cold]
    pub(super) fn submit_rare(&mut self, rq: IdleRequest<'_, Blk>) -> QueueResult<Blk> {
        let capabilities = &self.vbd.capabilities;
        match rq.op() {
            Op::Flush => {
                self.stats.flushes += 1;
                let operation = if capabilities.barrier() {
                    Operation::Barrier
                } else {
                    Operation::Flush
                };
                let mut rq = rq.start();
                rq.data_mut().part = None;
                self.connection.segments.clear();
                self.send_rare(LentRequest::without_loans(rq), 0, operation)
            }
            Op::Discard if capabilities.discard() => self.send_discard(rq, false),
            Op::SecureErase if capabilities.secure_erase() => self.send_discard(rq, true),
            Op::WriteZeroes => self.write_zeroes(rq),
            _ => Err(rq.refuse(BlkStatus::NOTSUPP)),
        }
    }

    /// A write of zeroes. The protocol has no operation for it, but nothing says that the segments
    /// of a write must differ: all of them name one granted page of zeroes. It costs the guest
    /// neither memory nor copies.
    ///
    /// With persistent grants this would make the backend map a grant that it has mapped already,
    /// which Linux's does, but with a complaint for each. There, pages from the pool are zeroed.
    fn write_zeroes(&mut self, rq: IdleRequest<'_, Blk>) -> QueueResult<Blk> {
        let sector = rq.sector();
        let max_bytes = self.connection.limits.max_segments * PAGE_SIZE as u32;
        let bytes = rq.bytes().min(max_bytes);
        let part = (bytes < rq.bytes()).then_some(bytes);
        let mut rq = rq.start();
        rq.data_mut().part = part;
        self.stats.write_zeroes += 1;
        self.connection.segments.clear();
        match self.grant_zeroes(&mut rq, bytes) {
            Ok(()) => self.send_rare(LentRequest::without_loans(rq), sector, Operation::Write),
            Err(why) => Err(self.refuse(rq, why)),
        }
    }

    fn grant_zeroes(&mut self, rq: &mut OwnedRequest<Blk>, bytes: u32) -> Result<(), Unsendable> {
        let Connection {
            stock, segments, ..
        } = &mut *self.connection;
        let mut left = bytes;
        while left > 0 {
            let len = left.min(PAGE_SIZE as u32);
            if stock.mode == DataMode::Persistent {
                let grant = stock.copy_page()?;
                grant.page().zero();
                push(segments, grant.number(), 0, len)?;
                let kept = rq.data_mut().copies.push_within_capacity(grant);
                kept.map_err(|_| Malformed)?;
            } else {
                push(segments, stock.zeroes()?.number(), 0, len)?;
            }
            left -= len;
        }
        Ok(())
    }

    /// As [`send`](Self::send), for requests that are not in a hurry.
    #[cold]
    fn send_rare(
        &mut self,
        request: LentRequest<Blk>,
        sector: u64,
        operation: Operation,
    ) -> QueueResult<Blk> {
        self.send(request, sector, operation)
    }

    fn send_discard(&mut self, rq: IdleRequest<'_, Blk>, secure: bool) -> QueueResult<Blk> {
        let (sector, sectors) = (rq.sector(), rq.sectors().into());
        let mut rq = rq.start();
        rq.data_mut().operation = Operation::Discard { secure };
        rq.data_mut().part = None;
        self.stats.discards += 1;
        let Connection {
            ring, in_flight, ..
        } = &mut *self.connection;
        let id = match in_flight.insert(LentRequest::without_loans(rq)) {
            Ok(id) => id,
            Err(rq) => return self.unsent(rq),
        };
        let request = request::discard(id, self.vbd.handle, sector, sectors, secure);
        let sent = ring.push(&request).is_ok();
        self.sent(id, sent)
    }
}
