// SPDX-License-Identifier: GPL-2.0

//! The Linux disk: name, limits, and what happens to it in the background.

use core::time::Duration;

use kernel::device;
use kernel::prelude::*;
use kernel::sync::aref::ARef;
use kernel::sync::{new_mutex, Arc, Mutex};
use kernel::uaccess::{UserPtr, UserSlice};
use kernel_ext::block::{
    Disk, DiskBuilder, DiskOperations, Feature, Features, Geometry, MinorRange, QueueLimits,
    TagSet, TagSetOptions, CDROM_GET_CAPABILITY, CDROM_MULTISESSION, CDROM_MULTISESSION_SIZE,
    SECTOR_SIZE,
};
use kernel_ext::work::{new_worker, Job, Worker};
use xen::bus::{Dir, Path};
use xen::grant::{Grant, GrantRefs};
use xen_abi::PAGE_SIZE;
use xen_ring::blkif::features::{self, Durability};
use xen_ring::blkif::vdev::{Placement, XENVBD_MAJOR};

use crate::connect::Agreed;
use crate::queue::{Blk, Core, Link, TagSetData};
use crate::stats::{files, Files};

/// How long a granted page must not have been needed to be given back.
const IDLE: Duration = Duration::from_secs(10);

/// Most pages of a ring that are given back at a time.
const GIVE_BACK: usize = 256;

/// A disk and its background work. Dropping it removes the disk, which waits for its requests.
pub(crate) struct Vdisk {
    // Dropped in this order: the work stops before the disk goes, and its number is free after that.
    _files: Option<Files>,
    announce: Pin<KBox<Worker<Announce>>>,
    give_back: Pin<KBox<Worker<GiveBack>>>,
    disk: Arc<Disk<Blk, Blk>>,
    otherend: Arc<Otherend>,
    _minors: MinorRange,
}

/// Where the back end's nodes are.
#[pin_data]
struct Otherend {
    #[pin]
    path: Mutex<Path>,
}

impl Otherend {
    /// The size in sectors, if it makes sense.
    fn sectors(&self) -> Option<u64> {
        let path = self.path.lock();
        let dir = Dir::new(&path);
        features::Disk::sectors_from_store(|key| dir.lookup(key)).ok()
    }
}

impl Vdisk {
    /// Makes the disk. It is announced in the background, by [`Self::announce`].
    pub(crate) fn new(
        core: &Arc<Core>,
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
                hw_queues: core.rings().len() as u32,
                depth,
            },
            TagSetData {
                core: core.clone(),
                max_segments,
                max_descriptors: xen_ring::blkif::segment::indirect_pages(max_segments),
            },
        );
        let disk = DiskBuilder {
            numbers: minors.numbers(),
            name: fmt!("{}", core.name.as_str()),
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
            name: core.name,
        };
        Ok(Self {
            _files: files(core).ok(),
            announce: KBox::pin_init(new_worker!(announce), GFP_KERNEL)?,
            give_back: KBox::pin_init(new_worker!(GiveBack { core: core.clone() }), GFP_KERNEL)?,
            disk,
            otherend,
            _minors: minors,
        })
    }

    /// The disk.
    pub(crate) fn disk(&self) -> &Disk<Blk, Blk> {
        &self.disk
    }

    /// Adds the disk if that was not done yet, and adapts its size to what the back end says. Both go on
    /// in the background: adding a disk reads its partition table, and must not keep the xenwatch thread
    /// from hearing that the back end is gone.
    pub(crate) fn announce(&self) {
        self.announce.as_ref().schedule(Duration::ZERO);
    }

    /// Has pages given back that are not needed.
    pub(crate) fn watch_idle(&self) {
        self.give_back.as_ref().schedule(IDLE);
    }

    /// The back end moved.
    pub(crate) fn moved(&self, otherend: &CStr) -> Result {
        let path = Path::new(otherend)?;
        *self.otherend.path.lock() = path;
        Ok(())
    }
}

/// What the queue of a disk can do.
pub(crate) fn limits(agreed: &Agreed) -> QueueLimits {
    let segments = agreed.limits.max_segments;
    let sectors_per_page = PAGE_SIZE as u32 / SECTOR_SIZE;
    let mut features = Features::default();
    match agreed.features.durability {
        Durability::None => {}
        Durability::Flush => features |= Feature::WriteCache,
        // A barrier makes its own data stable too.
        Durability::Barrier => features |= Feature::WriteCache | Feature::Fua,
    }
    let discard = agreed.features.discard;
    let no_more_than_whole_blocks = !(agreed.limits.block_size / SECTOR_SIZE - 1);
    QueueLimits {
        logical_block_size: agreed.disk.sector_size,
        physical_block_size: agreed.disk.physical_sector_size,
        max_hw_sectors: segments * sectors_per_page,
        max_segments: segments as u16,
        max_segment_size: PAGE_SIZE as u32,
        seg_boundary_mask: PAGE_SIZE - 1,
        dma_alignment: SECTOR_SIZE - 1,
        max_discard_sectors: if discard.is_some() { u32::MAX } else { 0 },
        discard_granularity: discard.map_or(0, |d| d.granularity),
        discard_alignment: discard.map_or(0, |d| d.alignment),
        max_secure_erase_sectors: match discard {
            Some(d) if d.secure => u32::MAX,
            _ => 0,
        },
        max_write_zeroes_sectors: (segments * sectors_per_page) & no_more_than_whole_blocks,
        features,
    }
}

/// Adds the disk and sets its size.
struct Announce {
    disk: Arc<Disk<Blk, Blk>>,
    otherend: Arc<Otherend>,
    parent: ARef<device::Device>,
    name: xen_ring::blkif::vdev::DiskName,
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

/// Gives back granted pages that nobody has needed for a while.
struct GiveBack {
    core: Arc<Core>,
}

impl Job for GiveBack {
    fn run(&self) -> Option<Duration> {
        let mut idle = KVec::<Grant>::with_capacity(GIVE_BACK, GFP_KERNEL).unwrap_or_default();
        let mut busy = KVec::<Grant>::with_capacity(GIVE_BACK, GFP_KERNEL).unwrap_or_default();
        let mut any = false;
        for ring in self.core.rings() {
            let mut spare = GrantRefs::empty();
            if let Link::Connected(c) = &mut ring.lock().link {
                any = true;
                c.stock.take_idle(&mut idle);
                if c.requests.taken() == 0 {
                    spare = c.stock.spare_refs();
                }
            }
            drop(spare);
            // A page that the back end has mapped stays: it would have to be kept for it anyway.
            while let Some(grant) = idle.pop() {
                match grant.try_end() {
                    Ok(page) => drop(page),
                    Err(grant) => {
                        let _ = busy.push_within_capacity(grant);
                    }
                }
            }
            if let Link::Connected(c) = &mut ring.lock().link {
                c.stock.take_in(&mut busy);
            }
            // The connection is another one by now.
            busy.clear();
        }
        any.then_some(IDLE)
    }
}

/// What an open disk knows.
pub(crate) struct Opened {
    cdrom: bool,
}

#[vtable]
impl DiskOperations for Blk {
    type DiskData = KBox<Opened>;

    const OWNER: &'static ThisModule = &kernel_ext::this_module!();

    /// There is no real geometry, but what is returned is consistent with the size.
    fn geometry(_opened: &Opened, capacity: u64) -> Result<Geometry> {
        const HEADS: u64 = 255;
        const SECTORS: u64 = 63;
        let cylinders = capacity / (HEADS * SECTORS);
        Ok(Geometry {
            heads: HEADS as u8,
            sectors: SECTORS as u8,
            cylinders: u16::try_from(cylinders).unwrap_or(u16::MAX),
        })
    }

    fn ioctl(opened: &Opened, cmd: u32, arg: usize) -> Result<i32> {
        match cmd {
            CDROM_MULTISESSION => {
                let mut user =
                    UserSlice::new(UserPtr::from_addr(arg), CDROM_MULTISESSION_SIZE).writer();
                user.write_slice(&[0; CDROM_MULTISESSION_SIZE])?;
                Ok(0)
            }
            CDROM_GET_CAPABILITY if opened.cdrom => Ok(0),
            _ => Err(EINVAL),
        }
    }
}
