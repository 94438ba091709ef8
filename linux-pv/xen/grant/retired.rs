// SPDX-License-Identifier: GPL-2.0

//! Lent memory that a domain still has mapped although its device is done with it.
//!
//! It does not go back to its owner: ending the grants is tried again every second, and the owner's
//! handle is dropped when all have ended. Each entry keeps this module loaded, whose code tries
//! again. If there are [`MAX_RETIRED`] of them, devices make no further connections, so that a
//! backend that never unmaps anything cannot take all of the memory.

use core::{
    mem,
    ops::{
        Deref,
        DerefMut, //
    },
    pin::Pin,
    ptr,
    time::Duration, //
};

use kernel::{
    prelude::*,
    sync::atomic::{
        Acquire,
        Atomic,
        Release, //
    }, //
};

use kernel_ext::{
    module::OwnModule,
    sync::{
        new_irq_spinlock,
        IrqSpinLock, //
    },
    work::{
        new_worker,
        Job,
        Worker, //
    },
};

use xen_ring::loan::{
    RetiredEntry,
    RetiredList, //
};

use crate::debug;

/// When it is tried again.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// How many loans may be retired before devices make no further connections.
const MAX_RETIRED: i64 = 4096;

/// Something that is lent to another domain: memory, with its owner's handle and its grants.
pub trait Lent: Send + 'static {
    /// Ends the grants that can be ended. True if there are none left; what is lent may go back to
    /// its owner then, at once or when this is dropped. In process context, and for the last time
    /// in any.
    fn try_end(&mut self) -> bool;
}

/// Something lent, in memory of its own.
struct Node<L: ?Sized + Lent> {
    next: Option<Entry>,
    /// Taken when it is retired, since it is this module's code that tries again.
    module: Option<OwnModule>,
    lent: L,
}

struct Entry(KBox<Node<dyn Lent>>);

impl RetiredEntry for Entry {
    fn next(&mut self) -> &mut Option<Self> {
        &mut self.0.next
    }

    fn try_end(&mut self) -> bool {
        let ended = self.0.lent.try_end();
        if ended {
            debug::RETIRED.sub(1);
        }
        ended
    }
}

/// Something lent with all that is needed to [retire](Self::retire) it.
pub struct Retirable<L: Lent>(KBox<Node<L>>);

impl<L: Lent> Retirable<L> {
    /// May sleep.
    pub fn new(lent: L) -> Result<Self> {
        let node = Node {
            next: None,
            module: None,
            lent,
        };
        Ok(Self(KBox::new(node, GFP_KERNEL_ACCOUNT)?))
    }

    /// Leaves it to this module to end its grants and to drop it then. Any context.
    pub fn retire(mut self) {
        self.0.module = Some(OwnModule::get());
        push(Entry(self.0));
    }
}

impl<L: Lent> Deref for Retirable<L> {
    type Target = L;

    fn deref(&self) -> &L {
        &self.0.lent
    }
}

impl<L: Lent> DerefMut for Retirable<L> {
    fn deref_mut(&mut self) -> &mut L {
        &mut self.0.lent
    }
}

/// Retires something lent. Any context. If there is no memory for that, what is lent never goes
/// back to its owner, and its grants are never ended.
#[cold]
pub(crate) fn retire<L: Lent>(lent: L) {
    let Ok(node) = KBox::<Node<L>>::new_uninit(GFP_ATOMIC | __GFP_NOWARN) else {
        debug::RETIRED.add(1);
        mem::forget(lent);
        return;
    };
    let node = node.write(Node {
        next: None,
        module: None,
        lent,
    });
    Retirable(node).retire();
}

/// Whether so much is retired that no more should be lent.
pub fn has_too_many_retired() -> bool {
    debug::RETIRED.get() >= MAX_RETIRED
}

/// What tries again, while the module is loaded.
static RETIRER: Atomic<*mut Worker<TryAgain>> = Atomic::new(ptr::null_mut());

fn push(entry: Entry) {
    // SAFETY: The worker exists as long as the module is loaded, which the caller keeps it.
    let Some(worker) = (unsafe { RETIRER.load(Acquire).as_ref() }) else {
        mem::forget(entry);
        return;
    };
    debug::RETIRED.add(1);
    worker.job().0.lock().push(entry);
    // SAFETY: The worker was pinned before its address was published.
    unsafe { Pin::new_unchecked(worker) }.schedule_once(RETRY_INTERVAL);
}

struct TryAgain(Pin<KBox<IrqSpinLock<RetiredList<Entry>>>>);

impl Job for TryAgain {
    fn run(&self) -> Option<Duration> {
        let all = self.0.lock().take();
        // Without the lock, since owners take locks of their own.
        let left = all.try_end();
        let mut list = self.0.lock();
        list.append(left);
        (!list.is_empty()).then_some(RETRY_INTERVAL)
    }
}

/// What tries again. Dropped, it stops. The list is empty then: each entry keeps the module loaded.
pub(crate) struct Retirer {
    _worker: Pin<KBox<Worker<TryAgain>>>,
}

impl Retirer {
    /// To be called once, when this module is loaded. May sleep.
    pub(crate) fn start() -> Result<Self> {
        let list = new_irq_spinlock!(RetiredList::new(), "xen::grant::retired");
        let job = TryAgain(KBox::pin_init(list, GFP_KERNEL)?);
        let worker = KBox::pin_init(new_worker!(job), GFP_KERNEL)?;
        RETIRER.store(ptr::from_ref(&*worker).cast_mut(), Release);
        Ok(Self { _worker: worker })
    }
}

impl Drop for Retirer {
    fn drop(&mut self) {
        RETIRER.store(ptr::null_mut(), Release);
    }
}
