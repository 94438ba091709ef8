// SPDX-License-Identifier: GPL-2.0

//! An open file: the pages that a program has made.
//!
//! The lock of the pages is taken in `mmap`, with the address space locked, so the program's memory is never
//! accessed with it held.

use core::mem::offset_of;
use core::sync::atomic::AtomicUsize;
use core::sync::atomic::Ordering::Relaxed;

use kernel::new_mutex;
use kernel::prelude::*;
use kernel::rbtree::{RBTree, RBTreeNode};
use kernel::sync::{Arc, Mutex};
use xen::chardev::{Entry, OpenFile, Opener, Roster};
use xen::domain::DomId;
use xen::grant::{Access, Farewell};
use xen::page::PAGE_SIZE;
use xen::user;
use xen::vma::{shared, NewArea};
use xen_abi::linux::gntalloc::{self as abi, ioctl};
use xen_nodes::quota::Quota;

use crate::page::{Page, Parts};
use crate::params;

/// Bytes that an index goes up by from page to page.
const STEP: u64 = PAGE_SIZE as u64;

/// What all files share.
pub(crate) struct Shared {
    pub(crate) roster: Arc<Roster<Shown>>,
    pub(crate) quota: Arc<Quota>,
}

/// What of a file shows in debugfs.
pub(crate) struct Shown {
    pub(crate) opener: Opener,
    /// Pages that were made and not given up.
    pub(crate) pages: AtomicUsize,
}

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
    shown: Arc<Shown>,
    _entry: Entry<Shown>,
}

#[vtable]
impl OpenFile for File {
    type Shared = Shared;

    fn open(shared: Arc<Shared>) -> Result<Pin<KBox<Self>>> {
        let shown = Shown {
            opener: Opener::current(),
            pages: AtomicUsize::new(0),
        };
        let shown = Arc::new(shown, GFP_KERNEL_ACCOUNT)?;
        let entry = Roster::enter(shared.roster.clone(), shown.clone())?;
        KBox::pin_init(
            pin_init!(Self {
                pages <- new_mutex!(Pages::default(), "gntalloc pages"),
                quota: shared.quota.clone(),
                shown,
                _entry: entry,
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
        let mut owners = KVVec::with_capacity(count, GFP_KERNEL_ACCOUNT | __GFP_NOWARN)?;
        let pages = self.pages.lock();
        for index in indexes(area.offset(), count as u64) {
            let page = pages.pages.get(&index.ok_or(ENOENT)?).ok_or(ENOENT)?;
            owners.push(page.clone(), GFP_KERNEL_ACCOUNT)?;
        }
        drop(pages);
        shared::show(area, owners)
    }
}

/// The indexes of so many pages; `None` for one that there cannot be.
fn indexes(first: u64, count: u64) -> impl Iterator<Item = Option<u64>> {
    (0..count).map(move |number| first.checked_add(number.checked_mul(STEP)?))
}

impl File {
    /// Makes pages. Should their references not reach the program, it can only close the file.
    fn alloc(&self, argument: usize) -> Result {
        let mut args: abi::AllocGref = user::read(argument)?;
        let quota = self.quota.clone();
        let mut parts = Parts::take(quota, args.count, params::limit()).ok_or(ENOSPC)?;
        args.index = {
            let mut pages = self.pages.lock();
            let index = pages.next;
            pages.next = index.wrapping_add(u64::from(args.count) * STEP);
            index
        };
        let access = if args.flags & abi::FLAG_WRITABLE != 0 {
            Access::ReadWrite
        } else {
            Access::ReadOnly
        };
        let flags = GFP_KERNEL_ACCOUNT | __GFP_NOWARN;
        let count = args.count as usize;
        let mut references = KVVec::with_capacity(count, flags)?;
        let mut nodes = KVVec::with_capacity(count, flags)?;
        for index in indexes(args.index, args.count.into()) {
            let part = parts.next().ok_or(ENOSPC)?;
            let page = Page::new(DomId::new(args.domid), access, part)?;
            references.push(page.number(), flags)?;
            nodes.push(RBTreeNode::new(index.ok_or(ENOSPC)?, page, flags)?, flags)?;
        }
        let mut pages = self.pages.lock();
        for node in nodes {
            pages.pages.insert(node);
        }
        pages.count += count;
        self.shown.pages.store(pages.count, Relaxed);
        drop(pages);
        user::write(argument, &args)?;
        let list = argument.checked_add(offset_of!(abi::AllocGref, gref_ids));
        user::write_slice(list.ok_or(EFAULT)?, &references)
    }

    /// Gives pages up: all, or none if one of them is not there.
    fn dealloc(&self, argument: usize) -> Result {
        let args: abi::DeallocGref = user::read(argument)?;
        let mut pages = self.pages.lock();
        let known =
            |index: Option<u64>| index.is_some_and(|index| pages.pages.get(&index).is_some());
        if args.count == 0 || !indexes(args.index, args.count.into()).all(known) {
            return Err(EINVAL);
        }
        for index in indexes(args.index, args.count.into()).flatten() {
            // Those that no area shows go at once. That needs none of the locks held here.
            drop(pages.pages.remove(&index));
        }
        pages.count -= args.count as usize;
        self.shown.pages.store(pages.count, Relaxed);
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
        let (clear, event) = Farewell::wishes(&args)?;
        page.set_farewell(Farewell {
            clear: clear.then_some(offset as usize),
            event,
        });
        Ok(())
    }
}
