// SPDX-License-Identifier: GPL-2.0

//! An open file: the pages that a process shares with other domains.
//!
//! The lock of the pages is taken in `mmap`, with the address space locked, so the process's memory
//! is never accessed with it held.

use core::{
    mem::offset_of,
    ops::Range, //
};

use kernel::{
    fmt, new_mutex,
    prelude::*,
    rbtree::{
        RBTree,
        RBTreeNode, //
    },
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        Mutex, //
    },
};
use kernel_ext::{
    chardev::{
        OpenFile,
        Opener, //
    },
    user,
    vma::NewArea, //
};
use xen::{
    devfile::{
        self,
        ListedStats,
        Shared, //
    },
    domain::DomId,
    grant::{
        Access,
        UnmapNotification, //
    },
    page::PAGE_SIZE,
    vma::shared, //
};
use xen_abi::linux::gntalloc::{
    self as abi,
    ioctl, //
};
use xen_devfile::quota::Quota;

use crate::{
    page::{
        Page,
        Parts, //
    },
    params,
    stats::Stats, //
};

/// Bytes between the indexes of two consecutive pages.
const STEP: u64 = PAGE_SIZE as u64;

/// Pages that are made at a time. Most calls are for few pages, so only memory that stays in use is
/// allocated.
const BATCH: usize = 16;

/// The pages of a file, by index.
#[derive(Default)]
struct Pages {
    pages: RBTree<u64, Arc<Page>>,
    count: usize,
    next: u64,
}

/// An open file.
#[pin_data]
pub(crate) struct File {
    #[pin]
    pages: Mutex<Pages>,
    quota: Arc<Quota>,
    stats: ListedStats<Self>,
}

#[vtable]
impl OpenFile for File {
    type Shared = Shared<Self>;

    fn open(shared: Arc<Shared<Self>>, opener: Opener) -> Result<Pin<KBox<Self>>> {
        let stats = Stats {
            pages: Atomic::new(0),
        };
        let stats = shared.list(opener, stats)?;
        KBox::pin_init(
            pin_init!(Self {
                pages <- new_mutex!(Pages::default(), "gntalloc pages"),
                quota: shared.data().clone(),
                stats,
            }),
            GFP_KERNEL_ACCOUNT,
        )
    }

    #[inline]
    fn ioctl(&self, request: u32, argument: usize) -> Result<isize> {
        match request {
            ioctl::ALLOC_GREF => self.alloc(argument),
            ioctl::DEALLOC_GREF => self.dealloc(argument),
            ioctl::SET_UNMAP_NOTIFY => self.set_unmap_notify(argument),
            _ => Err(ENOTTY),
        }?;
        Ok(0)
    }

    fn mmap(&self, area: NewArea<'_>) -> Result {
        if !area.is_shared() {
            return Err(EINVAL);
        }
        let count = area.pages();
        let mut owners = shared::Owners::with_capacity(count)?;
        let pages = self.pages.lock();
        for index in indexes(area.offset(), count as u64) {
            let page = pages.pages.get(&index.ok_or(ENOENT)?).ok_or(ENOENT)?;
            owners.push(page.clone())?;
        }
        drop(pages);
        shared::map(area, owners)
    }
}

impl devfile::Driver for File {
    const PATH: &'static CStr = c"xen/gntalloc";
    const C_MODULE: &'static str = "xen_gntalloc";

    /// What all files together may share.
    type Data = Arc<Quota>;
    type Stats = Stats;

    fn show_all(shared: &Shared<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (used, limit) = (shared.data().used(), params::limit());
        writeln!(f, "all pages {used} limit {limit}")
    }
}

/// The indexes of `count` pages; `None` for one that exceeds 64 bits.
fn indexes(first: u64, count: u64) -> impl Iterator<Item = Option<u64>> {
    (0..count).map(move |number| first.checked_add(number.checked_mul(STEP)?))
}

impl File {
    /// Makes pages: all, or none.
    fn alloc(&self, argument: usize) -> Result {
        let mut args: abi::AllocGref = user::read(argument)?;
        let list = argument.checked_add(offset_of!(abi::AllocGref, gref_ids));
        let mut list = list.ok_or(EFAULT)?;
        let quota = self.quota.clone();
        let mut parts = Parts::take(quota, args.count, params::limit()).ok_or(ENOSPC)?;
        args.index = {
            let mut pages = self.pages.lock();
            let index = pages.next;
            pages.next = index.wrapping_add(u64::from(args.count) * STEP);
            index
        };
        // First, since the structure ends with the first reference.
        user::write(argument, &args)?;
        let mut made = Made {
            file: self,
            indexes: args.index..args.index,
        };
        while parts.left() > 0 {
            list = made.more(&args, &mut parts, list)?;
        }
        // They are the process's now.
        core::mem::forget(made);
        Ok(())
    }

    /// Gives pages up: all, or none if one of them does not exist.
    fn dealloc(&self, argument: usize) -> Result {
        let args: abi::DeallocGref = user::read(argument)?;
        let mut pages = self.pages.lock();
        let known =
            |index: Option<u64>| index.is_some_and(|index| pages.pages.get(&index).is_some());
        if args.count == 0 || !indexes(args.index, args.count.into()).all(known) {
            return Err(EINVAL);
        }
        for index in indexes(args.index, args.count.into()).flatten() {
            // Pages that are in no memory area are freed at once. That needs none of the locks held
            // here.
            drop(pages.pages.remove(&index));
        }
        pages.count -= args.count as usize;
        self.stats.pages.store(pages.count, Relaxed);
        Ok(())
    }

    fn set_unmap_notify(&self, argument: usize) -> Result {
        let args: abi::UnmapNotify = user::read(argument)?;
        let offset = args.index % STEP;
        let page = {
            let pages = self.pages.lock();
            let page = pages.pages.get(&(args.index - offset));
            page.ok_or(ENOENT)?.clone()
        };
        let (clear, event) = UnmapNotification::parse(&args)?;
        page.set_unmap_notification(UnmapNotification {
            clear: clear.then_some(offset as usize),
            event,
        });
        Ok(())
    }
}

/// Pages of a request that is not complete yet. Dropping it gives them up.
struct Made<'a> {
    file: &'a File,
    indexes: Range<u64>,
}

impl Made<'_> {
    /// Makes as many more as there are parts for, but no more than [`BATCH`], and writes their
    /// references to the process's memory at `list`. Returns the address for further ones.
    fn more(&mut self, args: &abi::AllocGref, parts: &mut Parts, list: usize) -> Result<usize> {
        let access = if args.flags & abi::FLAG_WRITABLE != 0 {
            Access::ReadWrite
        } else {
            Access::ReadOnly
        };
        let flags = GFP_KERNEL_ACCOUNT | __GFP_NOWARN;
        let mut references = [0; BATCH];
        let mut nodes = [const { None }; BATCH];
        let mut count = 0;
        let indexes = indexes(self.indexes.end, BATCH.min(parts.left()) as u64);
        for ((reference, node), index) in references.iter_mut().zip(&mut nodes).zip(indexes) {
            let part = parts.next().ok_or(ENOSPC)?;
            let page = Page::new(DomId::new(args.domid), access, part)?;
            *reference = page.number();
            *node = Some(RBTreeNode::new(index.ok_or(ENOSPC)?, page, flags)?);
            count += 1;
        }
        {
            let mut pages = self.file.pages.lock();
            for node in nodes.into_iter().flatten() {
                pages.pages.insert(node);
            }
            pages.count += count;
            self.file.stats.pages.store(pages.count, Relaxed);
        }
        self.indexes.end = self.indexes.end.wrapping_add(count as u64 * STEP);
        let references = references.get(..count).unwrap_or_default();
        user::write_slice(list, references)?;
        list.checked_add(size_of_val(references)).ok_or(EFAULT)
    }
}

impl Drop for Made<'_> {
    fn drop(&mut self) {
        let mut pages = self.file.pages.lock();
        let count = self.indexes.end.wrapping_sub(self.indexes.start) / STEP;
        for index in indexes(self.indexes.start, count).flatten() {
            // Another thread may have guessed the index and given the page up.
            if pages.pages.remove(&index).is_some() {
                pages.count -= 1;
            }
        }
        self.file.stats.pages.store(pages.count, Relaxed);
    }
}
