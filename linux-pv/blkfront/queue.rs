// SPDX-License-Identifier: GPL-2.0

//! The hardware queues of a disk: where blk-mq comes in.

use kernel::{
    prelude::*,
    sync::Arc, //
};
use kernel_ext::{
    block::{
        BlkStatus,
        IdleRequest,
        Op,
        Operations,
        QueueResult, //
    },
    sync::IrqSpinLockGuard, //
};

use xen::block::{
    LendableData,
    Lending, //
};

use crate::{
    copy::ToCopy,
    request_data::RequestData,
    submit::Submission,
    vbd::{
        Link,
        Ring,
        Vbd, //
    },
};

/// The driver, to blk-mq.
pub(crate) struct Blk;

/// What blk-mq keeps for a hardware queue.
pub(crate) struct HwQueue {
    vbd: Arc<Vbd>,
    index: usize,
}

impl HwQueue {
    /// The ring that requests of this queue go to, locked.
    #[inline]
    fn ring(&self) -> IrqSpinLockGuard<'_, Ring> {
        let ring = self.vbd.rings()[self.index].lock();
        match ring.link {
            Link::Elsewhere(index) => {
                drop(ring);
                self.vbd.rings()[index].lock()
            }
            _ => ring,
        }
    }

    /// Copies the data of a request, and puts it on the ring. Not inline: a read has none of this.
    #[inline(never)]
    fn copy_and_send(&self, copy: ToCopy, last: bool) -> QueueResult<Blk> {
        copy.copy();
        let mut ring = self.ring();
        let Ring { link, stats } = &mut *ring;
        match link {
            // It is the connection that the pages are from: before there is another one, requests
            // are held, which waits for this function.
            Link::Connected(connection) => {
                let mut submission = Submission {
                    connection,
                    vbd: &self.vbd,
                    stats,
                };
                let result = submission.send_copied(copy);
                if last || result.is_err() {
                    connection.publish(stats);
                }
                result
            }
            Link::Suspended | Link::Elsewhere(_) => Err(copy.abandon(BlkStatus::RESOURCE)),
            Link::Disconnected | Link::Closing(_) | Link::Dead(..) => {
                Err(copy.abandon(BlkStatus::IOERR))
            }
        }
    }
}

/// What the tag set is made with.
pub(crate) struct TagSetData {
    pub(crate) vbd: Arc<Vbd>,
    /// Most segments that any connection of this disk will be asked to carry.
    pub(crate) max_segments: usize,
    /// Pages that these need in an indirect request.
    pub(crate) max_descriptors: usize,
}

impl Lending for Blk {
    type Data = RequestData;
}

#[vtable]
impl Operations for Blk {
    type TagSetData = TagSetData;
    type HwData = KBox<HwQueue>;
    type RequestData = LendableData<RequestData>;

    fn new_hw_data(data: &TagSetData, index: u32) -> Result<KBox<HwQueue>> {
        let index = index as usize;
        if index >= data.vbd.rings().len() {
            return Err(EINVAL);
        }
        let vbd = data.vbd.clone();
        Ok(KBox::new(HwQueue { vbd, index }, GFP_KERNEL)?)
    }

    fn new_request_data(data: &TagSetData) -> impl PinInit<Self::RequestData, Error> {
        RequestData::new(data.max_segments, data.max_descriptors)
    }

    #[inline]
    fn queue_rq(hw: &HwQueue, rq: IdleRequest<'_, Self>, last: bool) -> QueueResult<Self> {
        if rq.op() == Op::Flush && !hw.vbd.capabilities.flush() {
            // The backend writes through, or has refused a flush although it had offered it.
            rq.start().end(BlkStatus::OK);
            if last {
                Self::commit_rqs(hw);
            }
            return Ok(());
        }
        let mut ring = hw.ring();
        let Ring { link, stats } = &mut *ring;
        match link {
            Link::Connected(connection) => {
                let mut submission = Submission {
                    connection,
                    vbd: &hw.vbd,
                    stats,
                };
                match submission.submit(rq) {
                    Ok(Some(copy)) => {
                        drop(ring);
                        hw.copy_and_send(copy, last)
                    }
                    result => {
                        // A request that was refused is not followed by others.
                        if last || result.is_err() {
                            connection.publish(stats);
                        }
                        result.map(|_| ())
                    }
                }
            }
            Link::Suspended | Link::Elsewhere(_) => Err(rq.refuse(BlkStatus::RESOURCE)),
            Link::Disconnected | Link::Closing(_) | Link::Dead(..) => {
                Err(rq.refuse(BlkStatus::IOERR))
            }
        }
    }

    fn commit_rqs(hw: &HwQueue) {
        let mut ring = hw.ring();
        let Ring { link, stats } = &mut *ring;
        if let Link::Connected(connection) = link {
            connection.publish(stats);
        }
    }
}
