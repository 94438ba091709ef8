// SPDX-License-Identifier: GPL-2.0

//! Grants that could not be ended, because the other domain still uses their pages. A timer tries
//! some of them each second, and frees the pages of those that have ended.

use core::{
    cell::UnsafeCell,
    mem::MaybeUninit,
    ops::{
        Deref,
        DerefMut, //
    },
    sync::atomic::{
        AtomicU32,
        Ordering::Relaxed, //
    },
};

use kernel::{
    alloc::flags,
    bindings as k,
    prelude::*, //
};

use core_bindings as bindings;

use xen_grant::{
    deferred::Waiting,
    guest, //
};

use crate::{
    entries::Entries,
    report::{
        self,
        now, //
    },
    state, //
};

/// After so many seconds it is said that a grant is still in use.
const PATIENCE: u64 = 60;

/// The parameter `grant_table.free_per_iteration`: how many grants are tried each second; 0 for
/// all.
#[no_mangle]
#[allow(non_upper_case_globals)]
static xen_core_grant_free_per_iteration: AtomicU32 = AtomicU32::new(10);

/// A reference to a page that another domain uses, counted by the page; or none, if it is not known
/// which page it is. What is dropped stays allocated.
#[derive(Clone, Copy)]
pub(crate) struct Kept(*mut k::page);

impl Kept {
    /// Drops the page's reference, which may free it. Any context.
    ///
    /// # Safety
    ///
    /// No other domain can reach the page, and nobody else drops this reference.
    unsafe fn put(self) {
        if !self.0.is_null() {
            // SAFETY: By the requirements of this function.
            unsafe { bindings::xen_core_put_page(self.0) };
        }
    }
}

/// A grant that waits, with memory of its own.
pub(crate) struct Node(KBox<Waiting<Kept, Self>>);

// SAFETY: The page may be put by any CPU.
unsafe impl Send for Node {}

impl Deref for Node {
    type Target = Waiting<Kept, Self>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Node {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

struct Timer(UnsafeCell<MaybeUninit<k::timer_list>>);

// SAFETY: The kernel's functions for timers may be called by any CPU.
unsafe impl Sync for Timer {}

static TIMER: Timer = Timer(UnsafeCell::new(MaybeUninit::uninit()));

/// Initialises the timer.
///
/// # Safety
///
/// To be called once, at boot, before any other function here.
pub(crate) unsafe fn init() {
    // SAFETY: By the requirement of this function. The timer is a static.
    unsafe { bindings::xen_core_timer_setup(TIMER.0.get().cast(), Some(expired)) };
}

impl state::State {
    /// Lets the timer expire in a second, if a grant waits.
    fn set_timer(&mut self) {
        if self.is_timer_set || self.deferred.counts().waiting == 0 {
            return;
        }
        self.is_timer_set = true;
        // SAFETY: `init` has initialised it.
        unsafe {
            let now = (&raw const k::jiffies).read_volatile();
            k::mod_timer(TIMER.0.get().cast(), now.wrapping_add(k::HZ as usize));
        }
    }
}

/// Keeps a reference whose grant could not be ended, and its page, until it can. Any context.
///
/// Without a page it is that of the frame that is granted. If there is no memory to remember it,
/// both are lost: the page must not be freed.
///
/// # Safety
///
/// The page's reference, if there is one, is given up by the caller.
pub(crate) unsafe fn defer(reference: u32, page: *mut k::page) {
    let table = Entries::get();
    let peer = guest::granted_to(&table, reference).unwrap_or(u16::MAX);
    let page = match page.is_null() {
        false => page,
        // SAFETY: The frame was granted, so it is in use, if it is this domain's.
        true => unsafe { page_of(guest::frame(&table, reference)) },
    };
    let waiting = Waiting::new(reference, peer, now(), Kept(page));
    let node = KBox::new(waiting, flags::GFP_ATOMIC | flags::__GFP_NOWARN);
    let is_kept = node.is_ok();
    let result = state::with(|state| {
        let deferred = state.references.defer(reference);
        match (&deferred, node) {
            (Ok(()), Ok(node)) => state.deferred.defer(Node(node)),
            (Ok(()), Err(_)) => state.deferred.leak(),
            (Err(_), _) => {}
        }
        state.set_timer();
        deferred
    });
    match result {
        Err(bad) => report::mistake("ended", bad),
        Ok(()) if !is_kept => {
            pr_warn!("leaking g.e. {reference:#x}, which domain {peer} uses: no memory\n");
        }
        Ok(()) => {}
    }
}

/// A counted reference to the page of a frame, or null.
///
/// # Safety
///
/// The page is in use.
unsafe fn page_of(frame: Option<u64>) -> *mut k::page {
    let Some(frame) = frame else {
        return core::ptr::null_mut();
    };
    // SAFETY: The function takes any number. By the requirement of this function the page is in
    // use.
    unsafe {
        let page = bindings::xen_core_gfn_to_page(frame as usize);
        if !page.is_null() {
            bindings::xen_core_get_page(page);
        }
        page
    }
}

/// Tries to end some of the grants.
///
/// # Safety
///
/// None; its type is that of the kernel's callbacks.
unsafe extern "C" fn expired(_: *mut k::timer_list) {
    let waiting = state::with(|state| {
        state.is_timer_set = false;
        state.deferred.counts().waiting
    });
    let tries = match xen_core_grant_free_per_iteration.load(Relaxed) {
        0 => waiting,
        limit => limit.min(waiting),
    };
    for _ in 0..tries {
        match state::with(|state| state.deferred.take()) {
            Some(node) => try_again(node),
            None => break,
        }
    }
    state::with(state::State::set_timer);
}

fn try_again(node: Node) {
    let reference = node.reference;
    if guest::revoke(&Entries::get(), reference).is_err() {
        let is_news = state::with(|state| state.deferred.again(node, now(), PATIENCE));
        if is_news {
            pr_info!("g.e. {reference:#x} still pending\n");
        }
        return;
    }
    let freed = state::with(|state| {
        state.deferred.done();
        state.references.free_deferred(reference)
    });
    if let Err(bad) = freed {
        report::mistake("freed", bad);
    }
    // SAFETY: The grant has ended, and the reference was the node's.
    unsafe { node.page.put() };
}
