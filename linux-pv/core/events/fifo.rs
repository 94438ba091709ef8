// SPDX-License-Identifier: GPL-2.0

//! The memory of the FIFO ABI: pages of event words, and a page for each CPU's control block.

use core::{
    ptr,
    sync::atomic::{
        AtomicPtr, AtomicU32,
        Ordering::{
            Acquire,
            Release, //
        },
    },
};

use kernel::{
    bindings as k,
    pr_err_once,
    prelude::*,
    sync::rcu, //
};

use core_bindings as bindings;

use xen_abi::{
    command::event_channel::{
        ExpandArray,
        InitControl, //
    },
    event_channel::{
        self as abi,
        fifo::MAX_QUEUES,
        FifoControlBlock, //
    },
};

use xen_core::{
    define_per_cpu,
    error::{
        Error,
        Result, //
    },
    irq_lock::IrqLock,
    per_cpu::{
        Own,
        PossibleCpu, //
    },
    shared_word::Word32, //
};

use xen_event::{
    fifo::{
        guest::{
            Queues,
            Taken,
            MAX_STEPS, //
        },
        ControlBlock,
        EventArray,
        Priority,
        MAX_PAGES,
        NEW_WORD,
        WORDS_PER_PAGE, //
    },
    mask::Reason,
    Corrupt, SharedWord,
};

use crate::{
    hypercall,
    table, //
};

/// A CPU's control block (`struct evtchn_fifo_control_block`).
#[repr(C)]
struct Control {
    ready: Word32,
    reserved: Word32,
    heads: [Word32; MAX_QUEUES],
}

const _: () = assert!(size_of::<Control>() == size_of::<FifoControlBlock>());

impl ControlBlock for Control {
    type Word<'a> = &'a Word32;

    #[inline]
    fn ready(&self) -> &Word32 {
        &self.ready
    }

    #[inline]
    fn head(&self, queue: Priority) -> &Word32 {
        // There are as many as priorities.
        let head = self.heads.get(usize::from(queue.number()));
        head.unwrap_or(&self.reserved)
    }
}

define_per_cpu! {
    /// Null as long as the CPU was not online.
    static CONTROL: AtomicPtr<Control> = AtomicPtr::new(ptr::null_mut());
    static QUEUES: Own<Queues> = Own::new(Queues::new());
}

/// A page of event words.
type Page = [Word32; WORDS_PER_PAGE as usize];

/// Pages of the array. After a restore there are more than the hypervisor has got.
static PAGES: [AtomicPtr<Page>; MAX_PAGES] = [const { AtomicPtr::new(ptr::null_mut()) }; MAX_PAGES];

/// How many pages the hypervisor has got.
static COUNT: AtomicU32 = AtomicU32::new(0);

// SAFETY: `init` initialises it before the ABI is used.
static EXPANDING: IrqLock<()> = unsafe { IrqLock::new(()) };

/// The event array.
pub(crate) struct Array;

impl EventArray for Array {
    type Word<'a> = &'a Word32;

    #[inline]
    fn event_word(&self, port: u32) -> Option<&Word32> {
        let page = port / WORDS_PER_PAGE;
        if page >= COUNT.load(Acquire) {
            return None;
        }
        let page = PAGES.get(page as usize)?.load(Acquire);
        // SAFETY: Null, or a page that stays and is accessed by atomic operations only.
        unsafe { page.as_ref() }?.get((port % WORDS_PER_PAGE) as usize)
    }
}

/// How many ports have an event word.
pub(crate) fn ports() -> u32 {
    COUNT.load(Acquire).saturating_mul(WORDS_PER_PAGE)
}

/// Begins to use this ABI, if the hypervisor has it.
///
/// # Safety
///
/// To be called once, at boot, while only one CPU runs.
pub(crate) unsafe fn init() -> Result {
    // SAFETY: By the requirement of this function.
    unsafe {
        EXPANDING.init();
        add_control_block(PossibleCpu::current())
    }
}

/// Gives the hypervisor pages of event words until a port has one. Allocates with these flags.
pub(crate) fn expand(port: u32, gfp: k::gfp_t) -> Result {
    let wanted = port / WORDS_PER_PAGE;
    if wanted as usize >= MAX_PAGES {
        return Err(Error::EINVAL);
    }
    while COUNT.load(Acquire) <= wanted {
        add_page(gfp).inspect_err(|error| {
            let error = error.to_raw();
            pr_err!("unable to expand event array ({error})\n");
        })?;
    }
    Ok(())
}

/// Adds the next page, unless there is one now.
fn add_page(gfp: k::gfp_t) -> Result {
    let next = COUNT.load(Acquire);
    let place = PAGES.get(next as usize).ok_or(Error::EINVAL)?;
    let mut page = place.load(Acquire);
    if page.is_null() {
        // SAFETY: Allocates a page, in the context that the flags are for.
        let new = unsafe { k::get_zeroed_page_noprof(gfp) };
        if new == 0 {
            return Err(Error::ENOMEM);
        }
        let new: *mut Page = ptr::with_exposed_provenance_mut(new);
        page = match place.compare_exchange(ptr::null_mut(), new, Release, Acquire) {
            Ok(_) => new,
            Err(others) => {
                // SAFETY: The page was just allocated, and is in no table.
                unsafe { k::free_pages(new.expose_provenance(), 0) };
                others
            }
        };
    }
    EXPANDING.with(|()| {
        if COUNT.load(Acquire) != next {
            return Ok(());
        }
        // SAFETY: The page stays, and is accessed by atomic operations only.
        for word in unsafe { &*page } {
            word.store(NEW_WORD);
        }
        // SAFETY: The page is shared with the hypervisor from now on, and is never freed.
        unsafe {
            hypercall::call_with_memory::<ExpandArray>(&mut abi::ExpandArray {
                array_gfn: bindings::xen_core_virt_to_gfn(page.cast()) as u64,
            })?;
        }
        COUNT.store(next.wrapping_add(1), Release);
        Ok(())
    })
}

/// Gives the hypervisor a CPU's control block, unless it has one.
///
/// # Safety
///
/// The CPU is offline, or it is the only one that runs.
pub(crate) unsafe fn add_control_block(cpu: PossibleCpu) -> Result {
    let place = CONTROL.of(cpu);
    if !place.load(Acquire).is_null() {
        return Ok(());
    }
    // SAFETY: Allocates a page, in a context that may sleep or early at boot.
    let page = unsafe { k::get_zeroed_page_noprof(k::GFP_KERNEL) };
    if page == 0 {
        return Err(Error::ENOMEM);
    }
    let control: *mut Control = ptr::with_exposed_provenance_mut(page);
    // SAFETY: By the requirement nobody uses the CPU's queues; the page is new and stays.
    if let Err(error) = unsafe { set_control_block(cpu, control) } {
        // SAFETY: The hypervisor has refused the page.
        unsafe { k::free_pages(page, 0) };
        return Err(error);
    }
    place.store(control, Release);
    Ok(())
}

/// Gives the hypervisor a control block, with all queues empty.
///
/// # Safety
///
/// Nobody uses the CPU's queues meanwhile. If this succeeds, the page that the block is in is
/// shared with the hypervisor, and stays.
unsafe fn set_control_block(cpu: PossibleCpu, control: *mut Control) -> Result {
    // SAFETY: The page is mapped, and accessed by atomic operations only.
    let words = unsafe { &*control };
    words.ready.store(0);
    for head in &words.heads {
        head.store(0);
    }
    // SAFETY: By the requirements of this function.
    unsafe {
        QUEUES.of(cpu).with(|queues| *queues = Queues::new());
        hypercall::call_with_memory::<InitControl>(&mut abi::InitControl {
            control_gfn: bindings::xen_core_virt_to_gfn(control.cast()) as u64,
            offset: 0,
            vcpu: hypercall::vcpu(cpu),
            ..Default::default()
        })?;
    }
    Ok(())
}

/// Calls `each` with the ports of this CPU that have events.
///
/// # Safety
///
/// Interrupts are disabled.
#[inline]
pub(crate) unsafe fn for_each_event(mut each: impl FnMut(u32)) {
    // SAFETY: By the requirement this is the CPU's own, and `take` calls nothing.
    unsafe { take_all(PossibleCpu::current(), &mut each) }
}

/// Takes ports off a CPU's queues. If there are more than an honest hypervisor has at once, the
/// rest is looked for at the next upcall.
///
/// # Safety
///
/// Interrupts are disabled and the CPU is this one, or it is offline.
#[inline]
unsafe fn take_all(cpu: PossibleCpu, each: &mut impl FnMut(u32)) {
    // SAFETY: Null, or a page that stays while its CPU is online and is accessed by atomic
    // operations only.
    let Some(control) = (unsafe { CONTROL.of(cpu).load(Acquire).as_ref() }) else {
        return;
    };
    let queues = QUEUES.of(cpu);
    for _ in 0..MAX_STEPS {
        // SAFETY: By the requirement of this function nobody else uses the queues, and a handler
        // only runs after this.
        match unsafe { queues.with(|queues| queues.take(&Array, control)) } {
            Ok(Taken::Event(port)) => each(port),
            Ok(Taken::Quiet(_)) => {}
            Ok(Taken::Empty) => return,
            Err(corrupt) => say_corrupt(corrupt),
        }
    }
}

#[cold]
fn say_corrupt(corrupt: Corrupt) {
    pr_err_once!(
        "the hypervisor's queues are corrupt: {}\n",
        core::format_args!("{corrupt}")
    );
}

/// Takes what is left off the queues of a CPU that is offline. Events that came before their
/// channels were moved are delivered to where these are now; C drops them. Those of channels that
/// are still the CPU's are dropped: its IPIs and virqs, which are about to be unbound. The
/// hypervisor would put them on the same queue again.
///
/// # Safety
///
/// The CPU is offline.
pub(crate) unsafe fn empty_queues(cpu: PossibleCpu) {
    let guard = rcu::read_lock();
    // SAFETY: By the requirement of this function.
    unsafe {
        take_all(cpu, &mut |port| {
            let channel = table::channel(&guard, port);
            if let Some(channel) = channel.filter(|channel| channel.cpu().number() != cpu.number())
            {
                channel.mask(Reason::Moving);
                // It is pending, so the hypervisor puts it on the queue of its CPU.
                channel.unmask(Reason::Moving);
            }
        });
    }
}

/// After a restore: gives the hypervisor the control blocks anew, and no event words yet. Fails if
/// this hypervisor does not have the ABI.
///
/// # Safety
///
/// All other CPUs are stopped, and interrupts are disabled.
pub(crate) unsafe fn resume() -> Result {
    COUNT.store(0, Release);
    for cpu in PossibleCpu::all() {
        let place = CONTROL.of(cpu);
        let control = place.load(Acquire);
        if control.is_null() {
            continue;
        }
        if !cpu.is_online() {
            place.store(ptr::null_mut(), Release);
            // SAFETY: This hypervisor has not got the page, and an offline CPU does not use it.
            unsafe { k::free_pages(control.expose_provenance(), 0) };
            continue;
        }
        // SAFETY: The CPU is stopped, or this one, which is not in an upcall.
        unsafe { set_control_block(cpu, control) }?;
    }
    Ok(())
}
