// SPDX-License-Identifier: GPL-2.0

//! The Linux disk: name, limits, and what happens to it in the background.

use core::time::Duration;

use kernel::{
    device,
    prelude::*,
    sync::{
        aref::ARef,
        new_mutex,
        Arc,
        Mutex, //
    },
};
use kernel_ext::{
    block::{
        Disk,
        DiskBuilder,
        MinorRange,
        TagSet,
        TagSetOptions, //
    },
    work::{
        new_worker,
        Job,
        Worker, //
    },
};
use xen::bus::{
    Dir,
    Path, //
};
use xen_ring::blkif::{
    features,
    segment::indirect_pages,
    vdev::{
        DiskName,
        Placement,
        XENVBD_MAJOR, //
    },
};

use crate::{
    connect::Agreed,
    idle::{
        ReturnIdle,
        IDLE_TIME, //
    },
    ioctl::Opened,
    limits::limits,
    queue::{
        Blk,
        TagSetData, //
    },
    retired::RETRY_INTERVAL,
    stats::{
        files,
        Files, //
    },
    vbd::Vbd, //
};

/// A disk and its background work. Dropping it removes the disk, which waits for its requests.
pub(crate) struct Vdisk {
    // Dropped in this order: the work stops before the disk is removed, and its number is free
    // after that.
    _files: Option<Files>,
    announce: Pin<KBox<Worker<Announce>>>,
    return_idle: Pin<KBox<Worker<ReturnIdle>>>,
    mark_dead: Pin<KBox<Worker<MarkDead>>>,
    disk: Arc<Disk<Blk, Blk>>,
    otherend: Arc<Otherend>,
    _minors: MinorRange,
}

/// The backend's folder in the xenstore.
#[pin_data]
struct Otherend {
    #[pin]
    path: Mutex<Path>,
}

impl Otherend {
    /// The size in sectors; none if it is malformed.
    fn sectors(&self) -> Option<u64> {
        let path = self.path.lock();
        let dir = Dir::new(&path);
        features::Disk::sectors_from_store(|key| dir.lookup(key)).ok()
    }
}

impl Vdisk {
    /// Makes the disk. It is announced in the background, by [`Self::announce`].
    pub(crate) fn new(
        vbd: &Arc<Vbd>,
        placement: &Placement,
        agreed: &Agreed,
        depth: u32,
        parent: &device::Device,
        otherend: &CStr,
    ) -> Result<Self> {
        let minors = MinorRange::reserve(XENVBD_MAJOR, placement.first_minor, placement.minors)?;
        let max_segments = agreed.limits.max_segments as usize;
        let tag_set = TagSet::<Blk>::new(
            TagSetOptions {
                hw_queues: vbd.rings().len() as u32,
                depth,
            },
            TagSetData {
                vbd: vbd.clone(),
                max_segments,
                max_descriptors: indirect_pages(max_segments),
            },
        );
        let disk = DiskBuilder {
            numbers: minors.numbers(),
            name: fmt!("{}", vbd.name.as_str()),
            capacity: agreed.disk.sectors,
            limits: limits(agreed),
            read_only: agreed.disk.read_only,
            removable: agreed.disk.removable,
        }
        .build::<Blk, Blk>(
            Arc::pin_init(tag_set, GFP_KERNEL)?,
            KBox::new(
                Opened {
                    cdrom: agreed.disk.cdrom,
                },
                GFP_KERNEL,
            )?,
        )?;
        let disk = Arc::new(disk, GFP_KERNEL)?;
        let path = Path::new(otherend)?;
        let otherend = Arc::pin_init(pin_init!(Otherend { path <- new_mutex!(path) }), GFP_KERNEL)?;
        let announce = Announce {
            disk: disk.clone(),
            otherend: otherend.clone(),
            parent: parent.into(),
            name: vbd.name,
        };
        let mark_dead = MarkDead {
            disk: disk.clone(),
            vbd: vbd.clone(),
        };
        Ok(Self {
            _files: files(vbd).ok(),
            announce: KBox::pin_init(new_worker!(announce), GFP_KERNEL)?,
            return_idle: KBox::pin_init(new_worker!(ReturnIdle { vbd: vbd.clone() }), GFP_KERNEL)?,
            mark_dead: KBox::pin_init(new_worker!(mark_dead), GFP_KERNEL)?,
            disk,
            otherend,
            _minors: minors,
        })
    }

    /// The disk of the block layer.
    pub(crate) fn disk(&self) -> &Disk<Blk, Blk> {
        &self.disk
    }

    /// Adds the disk if that was not done yet, and sets the size that the backend has published.
    /// Both go on in the background: adding a disk reads its partition table, and must not keep the
    /// xenwatch thread from hearing that the backend is gone.
    pub(crate) fn announce(&self) {
        self.announce.as_ref().schedule(Duration::ZERO);
    }

    /// Marks the disk as dead, so that file systems shut down. They wait for requests in flight: if
    /// there are any that cannot fail yet, this is done in the background when they have.
    pub(crate) fn mark_dead(&self) {
        let MarkDead { disk, vbd } = self.mark_dead.job();
        if vbd.retired.is_empty() {
            disk.mark_dead();
        } else {
            pr_warn!(
                "{}: the backend has pages of requests mapped, which wait for it\n",
                vbd.name.as_str()
            );
            self.mark_dead.as_ref().schedule(RETRY_INTERVAL);
        }
    }

    /// Starts giving back pages that are idle.
    pub(crate) fn watch_idle(&self) {
        self.return_idle.as_ref().schedule(IDLE_TIME);
    }

    /// The backend's folder is another one: the domain was resumed elsewhere.
    pub(crate) fn moved(&self, otherend: &CStr) -> Result {
        let path = Path::new(otherend)?;
        *self.otherend.path.lock() = path;
        Ok(())
    }
}

/// Marks the disk as dead when no request is retired any more.
struct MarkDead {
    disk: Arc<Disk<Blk, Blk>>,
    vbd: Arc<Vbd>,
}

impl Job for MarkDead {
    fn run(&self) -> Option<Duration> {
        if !self.vbd.retired.is_empty() {
            return Some(RETRY_INTERVAL);
        }
        self.disk.mark_dead();
        None
    }
}

/// Adds the disk and sets its size.
struct Announce {
    disk: Arc<Disk<Blk, Blk>>,
    otherend: Arc<Otherend>,
    parent: ARef<device::Device>,
    name: DiskName,
}

impl Job for Announce {
    fn run(&self) -> Option<Duration> {
        if !self.disk.is_added() {
            if let Err(error) = self.disk.add(&self.parent) {
                pr_err!(
                    "{}: adding the disk failed, error {}\n",
                    self.name.as_str(),
                    error.to_errno()
                );
                return None;
            }
        }
        if let Some(sectors) = self.otherend.sectors() {
            if sectors != self.disk.capacity() {
                pr_info!("{}: setting capacity to {}\n", self.name.as_str(), sectors);
                self.disk.set_capacity(sectors);
            }
        }
        None
    }
}
