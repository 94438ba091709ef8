// SPDX-License-Identifier: GPL-2.0

//! Agreeing with the backend, through the xenstore, on rings and on what the disk is.
//!
//! First the transport ([`Offer`]): rings and event channels are made and offered to the backend,
//! which then connects to them and becomes Connected. By then it has also said what the disk is and
//! which requests it takes ([`Agreed`]).

use kernel::{
    prelude::*,
    sync::Arc, //
};
use kernel_ext::{
    block::TagSet,
    show::Show, //
};
use xen::{
    bus::{
        transact,
        Bound,
        Device,
        Dir,
        Failure,
        Key,
        OrFail,
        Transaction, //
    },
    event::EventChannel,
    grant::has_too_many_retired,
    ring::SharedRing, //
};
use xen_abi::io::protocols;
use xen_ring::blkif::{
    features::{
        Disk,
        Features,
        Transport, //
    },
    segment::needs_indirect,
    vdev::Placement,
    BlkFrontRing, //
};

use crate::{
    complete::OnEvent,
    connection::{
        Connection,
        Limits,
        OfferedRing, //
    },
    params,
    queue::Blk,
    stock::DataMode,
    vbd::{
        Link,
        Vbd, //
    },
};

/// Rings and event channels that were offered to the backend and are not in use yet.
pub(crate) struct Offer {
    pub(crate) vbd: Arc<Vbd>,
    rings: KVec<OfferedRing>,
    /// Whether persistent grants were offered.
    persistent: bool,
    /// Whether the backend may see whole pages.
    trusted: bool,
}

impl Offer {
    /// Makes rings and event channels and writes them to the xenstore. `vbd` is that of a disk
    /// that was connected before, with as many rings as it has for ever.
    pub(crate) fn make(
        dev: &Device<Bound>,
        vbd: Option<&Arc<Vbd>>,
        handle: u16,
        placement: &Placement,
    ) -> Result<Self, Failure> {
        if has_too_many_retired() {
            return Err(EBUSY).or_fatal("lending memory, of which backends have too much mapped");
        }
        let backend = dev.otherend_node();
        let transport = Transport::from_store(|key| backend.lookup(key));
        let order = transport
            .max_ring_page_order
            .min(params::max_ring_page_order());
        let max_rings = vbd.map_or(params::max_queues(), |vbd| vbd.rings().len() as u32);
        let mut count = transport.max_queues.min(max_rings) as usize;
        let (vbd, rings) = loop {
            let vbd = match vbd {
                Some(vbd) => vbd.clone(),
                None => Vbd::new(handle, placement.name(), count)?,
            };
            match make_rings(dev, &vbd, count, order) {
                Ok(rings) => break (vbd, rings),
                // One is enough. A disk that is not made yet gets as many as there can be.
                Err((made, failure)) if made > 0 => {
                    report_fewer(dev, made, count, &failure);
                    count = made;
                }
                Err((_, failure)) => return Err(failure),
            }
        };
        let trusted = params::trusted() && dev.node().read_or(c"trusted", true);
        let offer = Self {
            vbd,
            rings,
            persistent: params::persistent(),
            trusted,
        };
        transact(|t| offer.write(dev, t, order)).or_fatal("writing the rings to the xenstore")?;
        Ok(offer)
    }

    /// Writes what the backend needs to connect.
    fn write(&self, dev: &Device<Bound>, t: &Transaction, order: u32) -> Result<(), Failure> {
        let own = dev.node().within(t);
        // Nodes of an earlier connection with another number of rings or pages must not mislead.
        if order > 0 {
            own.write(c"ring-page-order", fmt!("{}", order))?;
        } else {
            own.remove(c"ring-page-order")?;
        }
        if self.rings.len() == 1 {
            own.remove(c"multi-queue-num-queues")?;
            self.write_ring(&own, 0, order)?;
        } else {
            own.write(c"multi-queue-num-queues", fmt!("{}", self.rings.len()))?;
            for index in 0..self.rings.len() {
                let key = Key::new(fmt!("queue-{}", index))?;
                let path = own.join(&key)?;
                self.write_ring(&Dir::new(&path).within(t), index, order)?;
            }
        }
        own.write(c"protocol", fmt!("{}", protocols::NATIVE))?;
        own.write(
            c"feature-persistent",
            fmt!("{}", u32::from(self.persistent)),
        )?;
        Ok(())
    }

    fn write_ring(&self, dir: &Dir<'_>, index: usize, order: u32) -> Result<(), Failure> {
        let (channel, ring) = &self.rings[index];
        for (page, number) in ring.mem().numbers().enumerate() {
            if order == 0 {
                dir.write(c"ring-ref", fmt!("{}", number))?;
            } else {
                let key = Key::new(fmt!("ring-ref{}", page))?;
                dir.write(&key, fmt!("{}", number))?;
            }
        }
        dir.write(c"event-channel", fmt!("{}", channel.port()))?;
        Ok(())
    }

    /// Slots of a ring.
    pub(crate) fn slots(&self) -> u32 {
        self.rings.first().map_or(0, |(_, ring)| ring.slots())
    }

    /// Reads what the backend, now Connected, has written about the disk and itself. A disk that
    /// exists already cannot have more than `max_segments` segments in a request.
    pub(crate) fn agree(
        &self,
        dev: &Device<Bound>,
        max_segments: Option<u32>,
    ) -> Result<Agreed, Failure> {
        let backend = dev.otherend_node();
        let disk = Disk::from_store(|key| backend.lookup(key)).map_err(|bad| {
            dev.fatal(
                EINVAL,
                fmt!(
                    "reading backend fields at {}: {}",
                    backend.path(),
                    Show(bad)
                ),
            );
            Failure::silent(EINVAL)
        })?;
        let features = Features::from_store(|key| backend.lookup(key), disk.sector_size);
        let max_segments = max_segments
            .unwrap_or(u32::MAX)
            .min(params::max_indirect_segments());
        let limit = features.transfer_limit(max_segments);
        let mode = if self.persistent && features.persistent {
            DataMode::Persistent
        } else if !self.trusted {
            DataMode::Bounce
        } else {
            DataMode::Direct
        };
        let limits = Limits {
            max_segments: limit.segments,
            block_size: disk.sector_size,
        };
        Ok(Agreed {
            disk,
            features,
            limits,
            mode,
        })
    }

    /// Connects the rings to the hardware queues of `tag_set`. Returns how many rings are used.
    pub(crate) fn accept(
        self,
        dev: &Device<Bound>,
        agreed: &Agreed,
        tag_set: &TagSet<Blk>,
    ) -> Result<usize, Failure> {
        let vbd = self.vbd;
        let count = self.rings.len();
        // One ring may have to serve all hardware queues, if the backend has fewer now than
        // before.
        let requests = tag_set.depth() as usize * vbd.rings().len();
        let mut links = KVec::with_capacity(count, GFP_KERNEL)?;
        for (index, ring) in self.rings.into_iter().enumerate() {
            if count > 1 {
                // Where that does not work, the kernel's choice is as good as any.
                let cpu = tag_set.first_cpu(index as u32);
                let _ = cpu.map(|cpu| ring.0.set_cpu(cpu));
            }
            let (peer, mode, limits) = (dev.otherend_id(), agreed.mode, agreed.limits);
            let connection = Connection::new(ring, peer, mode, limits, requests)
                .or_fatal("reserving grants for requests");
            match connection {
                Ok(connection) => links.push(connection, GFP_KERNEL)?,
                Err(failure) if index > 0 => {
                    report_fewer(dev, index, count, &failure);
                    break;
                }
                Err(failure) => return Err(failure),
            }
        }
        let count = links.len();
        vbd.capabilities
            .set(agreed.features.durability, agreed.features.discard);
        let mut links = links.into_iter();
        for (index, ring) in vbd.rings().iter().enumerate() {
            let link = links
                .next()
                .map_or(Link::Elsewhere(index % count.max(1)), Link::Connected);
            let old = core::mem::replace(&mut ring.lock().link, link);
            drop(old);
        }
        Ok(count)
    }
}

/// Makes rings of `1 << order` pages, with their event channels. If that fails, the number of those
/// that could be made is returned too.
fn make_rings(
    dev: &Device<Bound>,
    vbd: &Arc<Vbd>,
    count: usize,
    order: u32,
) -> Result<KVec<OfferedRing>, (usize, Failure)> {
    let rings = KVec::with_capacity(count, GFP_KERNEL);
    let mut rings = rings.map_err(|error| (0, Failure::from(error)))?;
    for index in 0..count {
        let ring = make_ring(dev, vbd, index, order).map_err(|failure| (index, failure))?;
        rings
            .push(ring, GFP_KERNEL)
            .map_err(|error| (index, Failure::from(error)))?;
    }
    Ok(rings)
}

fn make_ring(
    dev: &Device<Bound>,
    vbd: &Arc<Vbd>,
    index: usize,
    order: u32,
) -> Result<OfferedRing, Failure> {
    let ring =
        SharedRing::new(dev.otherend_id(), 1 << order).or_fatal("granting the shared ring")?;
    let ring = BlkFrontRing::new(ring).map_err(|_| EINVAL)?;
    let handler = OnEvent {
        vbd: vbd.clone(),
        index,
    };
    let channel = EventChannel::new(dev, c"blkif", Ok::<_, Error>(handler));
    let channel = KBox::pin_init(channel, GFP_KERNEL).or_fatal("binding the event channel")?;
    Ok((channel, ring))
}

#[cold]
fn report_fewer(dev: &Device<Bound>, made: usize, wanted: usize, failure: &Failure) {
    pr_warn!(
        "{:?}: only {} of {} queues: {}\n",
        dev.nodename(),
        made,
        wanted,
        failure
    );
}

/// What was agreed on with the backend.
pub(crate) struct Agreed {
    pub(crate) disk: Disk,
    pub(crate) features: Features,
    pub(crate) limits: Limits,
    pub(crate) mode: DataMode,
}

impl Agreed {
    /// Logs it, with the number of rings of the connection, as the C driver does.
    pub(crate) fn log(&self, vbd: &Vbd, rings: usize) {
        use xen_ring::blkif::features::Durability;
        let flush = match self.features.durability {
            Durability::None => "barrier or flush: disabled;",
            Durability::Barrier => "barrier: enabled;",
            Durability::Flush => "flush diskcache: enabled;",
        };
        let on = |on| if on { "enabled" } else { "disabled" };
        pr_info!(
            "{}: {} persistent grants: {}; indirect descriptors: {}; bounce buffer: {}; \
             queues: {}\n",
            vbd.name.as_str(),
            flush,
            on(self.mode == DataMode::Persistent),
            on(needs_indirect(self.limits.max_segments as usize)),
            on(self.mode != DataMode::Direct),
            rings,
        );
    }
}
