// SPDX-License-Identifier: GPL-2.0

//! The end of an event of a late-EOI channel. From the event to here the channel is masked. It
//! stays so for a while if the event was without work, or if the upcall has taken too long.

use core::sync::atomic::{
    AtomicBool,
    AtomicU32,
    AtomicU64,
    Ordering::Relaxed, //
};

use kernel::{
    bindings as k,
    container_of,
    ffi::{
        c_int,
        c_uint, //
    },
    prelude::*,
    sync::rcu,
    types::Opaque, //
};

use core_bindings as bindings;

use xen_core::{
    declared_in_c, define_per_cpu,
    per_cpu::{
        AtomicCpu,
        PossibleCpu, //
    },
};

use xen_event::{
    lateeoi::DelayPolicy,
    mask::Reason, //
};

use crate::{
    channel::Channel,
    hypercall,
    irqs, //
};

/// Jiffies of a second.
const SECOND: u64 = bindings::XEN_CORE_HZ as u64;

define_per_cpu! {
    /// How many upcalls the CPU has finished: an EOI is put off only within the upcall that said
    /// so.
    static EPOCH: AtomicU32 = AtomicU32::new(0);
}

/// What a channel has for its late EOI.
pub(crate) struct Late {
    work: Opaque<k::delayed_work>,
    /// The EOI waits for the work.
    is_waiting: AtomicBool,
    /// When it comes, in jiffies; 0 if at once.
    due: AtomicU64,
    /// The upcall that has put it off, and its CPU.
    epoch: AtomicU32,
    cpu: AtomicCpu,
}

impl Late {
    /// Without delay.
    pub(crate) const fn new() -> Self {
        Self {
            work: Opaque::uninit(),
            is_waiting: AtomicBool::new(false),
            due: AtomicU64::new(0),
            epoch: AtomicU32::new(0),
            cpu: AtomicCpu::new(PossibleCpu::FIRST),
        }
    }

    /// Initialises the work.
    ///
    /// # Safety
    ///
    /// Called once, in a channel that does not move any more, and before all else.
    pub(crate) unsafe fn init(&self) {
        // SAFETY: By the requirements of this function.
        unsafe { bindings::xen_core_init_delayed_work(self.work.get(), Some(end_of_delay)) };
    }

    /// Waits until the work has ended. May sleep. Nobody begins it again: the channel has no port.
    pub(crate) fn stop(&self) {
        // SAFETY: The work is initialised.
        unsafe { k::cancel_delayed_work_sync(self.work.get()) };
    }

    /// Forgets a delay of the port that the channel had before. If the work is to come yet, it ends
    /// an event of the new port early, at most.
    pub(crate) fn begin_anew(&self) {
        self.due.store(0, Relaxed);
    }

    /// Puts the EOI of the event that is handled off, by these jiffies.
    pub(crate) fn put_off(&self, delay: u64) {
        let cpu = PossibleCpu::current();
        self.cpu.store(cpu);
        self.epoch.store(EPOCH.of(cpu).load(Relaxed), Relaxed);
        self.due.store(now().wrapping_add(delay), Relaxed);
    }

    /// Whether the EOI was put off by an upcall that has not ended.
    fn is_put_off(&self) -> bool {
        EPOCH.of(self.cpu.load()).load(Relaxed) == self.epoch.load(Relaxed)
    }

    /// Whether the EOI waits.
    pub(crate) fn is_waiting(&self) -> bool {
        self.is_waiting.load(Relaxed)
    }

    /// Has the EOI wait until it is due.
    fn wait(&self, due: u64) {
        let delay = due.saturating_sub(now()).max(1);
        self.is_waiting.store(true, Relaxed);
        let any = k::wq_misc_consts_WORK_CPU_UNBOUND as c_int;
        // SAFETY: The work is initialised; the queue is the kernel's.
        unsafe {
            k::queue_delayed_work_on(any, k::system_percpu_wq, self.work.get(), delay as usize);
        }
    }
}

/// The time in jiffies.
pub(crate) fn now() -> u64 {
    // SAFETY: Reads a variable, which is one word.
    unsafe { (&raw const k::jiffies_64).read_volatile() }
}

/// An upcall of this CPU has ended; interrupts are disabled.
#[inline]
pub(crate) fn upcall_has_ended() {
    let epoch = EPOCH.of_this_cpu();
    epoch.store(epoch.load(Relaxed).wrapping_add(1), Relaxed);
}

/// Ends an event, unless its end waits already.
fn end_of_event(channel: &Channel, is_spurious: bool) {
    let late = &channel.late;
    if channel.port().is_none() || late.is_waiting() {
        return;
    }
    let delay = delay(channel, is_spurious);
    if delay != 0 {
        late.due.store(now().wrapping_add(delay), Relaxed);
    }
    let due = late.due.load(Relaxed);
    match due != 0 && (delay != 0 || late.is_put_off()) {
        true => late.wait(due),
        false => let_next_come(channel),
    }
}

/// Lets the channel's next event come.
fn let_next_come(channel: &Channel) {
    channel.late.due.store(0, Relaxed);
    channel.end();
    channel.unmask(Reason::EoiPending);
}

/// Counts an event, and returns for how many jiffies it delays the channel.
fn delay(channel: &Channel, is_spurious: bool) -> u64 {
    let device = channel.device();
    let policy = DelayPolicy {
        threshold: device.map_or(1, |device| device.threshold()),
        first: 1,
        max: SECOND,
    };
    let finished = channel.with_spurious(|events| events.finish(is_spurious, policy));
    if is_spurious {
        if let Some(device) = device {
            device.count_spurious(finished.delay);
        }
    }
    if finished.storm_begins {
        say_storm(channel);
    }
    finished.delay
}

#[cold]
fn say_storm(channel: &Channel) {
    let port = channel.port().unwrap_or(0);
    let domain = channel.device().map(|device| device.domain());
    let irq = channel.irq();
    match domain.or_else(|| hypercall::remote_domain(port)) {
        Some(domain) => pr_warn!(
            "domain {domain} sends events without work: \
             port {port} (irq {irq}) is unmasked once a second\n"
        ),
        None => {
            pr_warn!("events without work: port {port} (irq {irq}) is unmasked once a second\n")
        }
    }
}

/// Ends an event whose end was put off. C counts it as one with work.
///
/// # Safety
///
/// To be called as the function of a channel's work.
unsafe extern "C" fn end_of_delay(work: *mut k::work_struct) {
    // SAFETY: By the requirement of this function the work is a channel's, which is not freed
    // before this has returned.
    let channel = unsafe {
        let work = container_of!(work, k::delayed_work, work);
        let work: *mut Opaque<k::delayed_work> = work.cast();
        &*container_of!(work, Channel, late.work)
    };
    channel.late.is_waiting.store(false, Relaxed);
    if channel.port().is_some() {
        let_next_come(channel);
    }
}

declared_in_c! {
    xen_irq_lateeoi: unsafe extern "C" fn(c_uint, c_uint);
}

/// The handler of an event has finished; the flag says whether it found nothing to do. Any context.
/// Numbers that are no interrupt of an event channel are ignored.
#[no_mangle]
pub extern "C" fn xen_irq_lateeoi(irq: c_uint, flags: c_uint) {
    let guard = rcu::read_lock();
    if let Some(channel) = irqs::channel(&guard, irq) {
        end_of_event(channel, flags & bindings::XEN_EOI_FLAG_SPURIOUS != 0);
    }
}
