// SPDX-License-Identifier: GPL-2.0

//! A bound event channel: a port, the interrupt that its events are, and what both have to do with
//! each other. The crate's page says how long it lives.

use core::{
    ptr::{
        self,
        NonNull, //
    },
    sync::atomic::{
        AtomicBool, AtomicI32, AtomicPtr, AtomicU32, AtomicU64, AtomicU8,
        Ordering::{
            Acquire,
            Relaxed,
            Release, //
        },
    },
};

use kernel::{
    bindings as k,
    container_of,
    prelude::*,
    types::Opaque, //
};

use core_bindings as bindings;

use xen_core::{
    error::{
        Error,
        Result, //
    },
    irq_lock::IrqLock,
    per_cpu::{
        AtomicCpu,
        PossibleCpu, //
    },
};

use xen_event::{
    lateeoi::SpuriousEvents,
    mask::{
        Masks,
        Reason, //
    },
    references::References,
};

use crate::{
    delivery,
    device::Device,
    irqs::{
        self,
        Flow, //
    },
    lateeoi,
    mapping::Mapping,
    table, //
};

/// What a channel is bound to.
pub(crate) enum Kind {
    /// Another domain, or a program's choice.
    Event,
    /// A virq of a CPU.
    Virq(u32),
    /// An IPI to a CPU.
    Ipi(u32),
    /// An interrupt of a device.
    Pirq(Pirq),
}

/// An interrupt of a device, and its number for the hypervisor.
pub(crate) struct Pirq {
    pub(crate) number: AtomicU32,
    /// The GSI; `None` for MSI.
    pub(crate) gsi: Option<u32>,
    /// The domain that the interrupt is of.
    pub(crate) domain: u16,
    /// It is level-triggered, and may be shared with other domains.
    pub(crate) is_shareable: bool,
    /// It is one of several MSIs, and not the first.
    pub(crate) is_in_group: bool,
    /// The hypervisor wants to be told of the end of an interrupt.
    pub(crate) needs_eoi: AtomicBool,
}

/// What is changed with the channel's lock held.
struct State {
    masks: Masks,
    spurious: SpuriousEvents,
}

/// A channel.
pub(crate) struct Channel {
    irq: u32,
    pub(crate) kind: Kind,
    /// 0 as long as there is none: it is unbound, or not bound yet after a restore.
    port: AtomicU32,
    cpu: AtomicCpu,
    /// The device of the xenbus that is told how many events there are, with a reference to it.
    device: AtomicPtr<bindings::xenbus_device>,
    state: IrqLock<State>,
    /// 1 from the event on until its handler has finished. Meanwhile others are not handled.
    is_active: AtomicU8,
    /// Events that were handled.
    events: AtomicU64,
    /// [`References`], changed with the lock of [`Mapping`] held.
    references: AtomicI32,
    /// The channel belongs to nobody in this kernel, and stays open.
    is_static: AtomicBool,
    /// Counted as one of its CPU's.
    pub(crate) is_counted: AtomicBool,
    pub(crate) late: lateeoi::Late,
    free: Opaque<k::rcu_work>,
}

// SAFETY: What changes is atomic or has a lock. C's structures in it are only used by functions of
// C's that may run on any CPU.
unsafe impl Sync for Channel {}

impl Channel {
    /// Makes the channel of an interrupt, which has no port yet.
    ///
    /// # Safety
    ///
    /// The interrupt's descriptor was allocated for it, or is an ISA interrupt's without a channel.
    pub(crate) unsafe fn make(_: &Mapping, irq: u32, kind: Kind, flow: Flow) -> Result<&Self> {
        let new = Self {
            irq,
            kind,
            port: AtomicU32::new(0),
            cpu: AtomicCpu::new(PossibleCpu::FIRST),
            device: AtomicPtr::new(ptr::null_mut()),
            // SAFETY: `init` follows below.
            state: unsafe {
                IrqLock::new(State {
                    masks: Masks::new(),
                    spurious: SpuriousEvents::new(),
                })
            },
            is_active: AtomicU8::new(0),
            events: AtomicU64::new(0),
            references: AtomicI32::new(References::NOT_COUNTED.number()),
            is_static: AtomicBool::new(false),
            is_counted: AtomicBool::new(false),
            late: lateeoi::Late::new(),
            free: Opaque::uninit(),
        };
        let channel = KBox::into_raw(KBox::new(new, GFP_KERNEL).map_err(|_| Error::ENOMEM)?);
        // SAFETY: It was just allocated, nobody else has it, and it stays where it is until it is
        // freed, which takes the lock of the mapping first.
        let channel = unsafe { &*channel };
        // SAFETY: Likewise.
        unsafe {
            channel.state.init();
            channel.late.init();
            bindings::xen_core_init_rcu_work(channel.free.get(), Some(free));
        }
        irqs::attach(channel, flow);
        Ok(channel)
    }

    /// Takes the channel from its interrupt, and frees both when nobody can have it any more. It
    /// has no port.
    pub(crate) fn remove(&self, _: &Mapping) {
        irqs::detach(self);
        // SAFETY: The work is initialised, and queued once: nobody finds the channel again.
        unsafe { k::queue_rcu_work(k::system_percpu_wq, self.free.get()) };
    }

    /// The interrupt.
    #[inline]
    pub(crate) fn irq(&self) -> u32 {
        self.irq
    }

    /// The port, if it has one.
    #[inline]
    pub(crate) fn port(&self) -> Option<u32> {
        Some(self.port.load(Relaxed)).filter(|port| *port != 0)
    }

    /// The CPU on which its events are handled.
    #[inline]
    pub(crate) fn cpu(&self) -> PossibleCpu {
        self.cpu.load()
    }

    pub(crate) fn set_cpu(&self, cpu: PossibleCpu) {
        self.cpu.store(cpu);
    }

    /// The device of the xenbus, if it was bound for one.
    #[inline]
    pub(crate) fn device(&self) -> Option<Device> {
        // SAFETY: The channel has a reference to the device until it is freed.
        unsafe { Device::from_raw(self.device.load(Relaxed)) }
    }

    /// Sets the device, for good. Called once at most, before the channel has a port.
    pub(crate) fn set_device(&self, device: Device) {
        device.get();
        self.device.store(device.as_raw(), Relaxed);
    }

    /// Gives it a port, which is masked until the interrupt is enabled. Allocates with these flags.
    ///
    /// An event of the port before may not have come to its end: a restore comes before the late
    /// EOI, or the last handler goes between event and handler. It is over now. In C it is taken to
    /// be handled for ever, and no event of the new port is.
    ///
    /// If this fails, the channel has the port nevertheless, so that unbinding closes it.
    pub(crate) fn set_up(&self, port: u32, gfp: k::gfp_t) -> Result {
        self.set_up_in_descriptor(port, gfp)?;
        self.allow_request();
        Ok(())
    }

    /// The same while the lock of the interrupt's descriptor may be held.
    pub(crate) fn set_up_in_descriptor(&self, port: u32, gfp: k::gfp_t) -> Result {
        self.state.with(|state| state.masks = Masks::new());
        self.late.begin_anew();
        self.end();
        self.port.store(port, Relaxed);
        table::set(port, self, gfp)?;
        delivery::set_up(port, gfp)
    }

    /// Lets drivers request the interrupt.
    pub(crate) fn allow_request(&self) {
        let flags = k::IRQ_NOREQUEST | k::IRQ_NOAUTOEN;
        // SAFETY: The descriptor is the channel's.
        unsafe { k::irq_modify_status(self.irq, flags as usize, 0) };
    }

    /// Takes its port away, without closing it. Returns the port.
    pub(crate) fn take_port(&self) -> Option<u32> {
        let port = self.port()?;
        table::clear(port, self);
        delivery::remove(port, self.cpu());
        self.forget_port();
        Some(port)
    }

    /// Forgets a port that is none any more.
    pub(crate) fn forget_port(&self) {
        self.port.store(0, Relaxed);
    }

    /// Masks the port for a reason.
    pub(crate) fn mask(&self, reason: Reason) {
        self.state.with(|state| {
            if state.masks.add(reason) {
                if let Some(port) = self.port() {
                    delivery::mask(port);
                }
            }
        });
    }

    /// Takes a reason away, and unmasks the port if there is no other.
    pub(crate) fn unmask(&self, reason: Reason) {
        self.state.with(|state| {
            if state.masks.remove(reason) {
                if let Some(port) = self.port() {
                    delivery::unmask(port, self.cpu());
                }
            }
        });
    }

    /// The reasons for which it is masked.
    pub(crate) fn masks(&self) -> Masks {
        self.state.with(|state| state.masks)
    }

    /// Calls `with` with the count of spurious events.
    pub(crate) fn with_spurious<R>(&self, with: impl FnOnce(&mut SpuriousEvents) -> R) -> R {
        self.state.with(|state| with(&mut state.spurious))
    }

    /// Begins to handle an event. False if one is being handled.
    #[inline]
    pub(crate) fn begin(&self) -> bool {
        if self.is_active.swap(1, Acquire) != 0 {
            return false;
        }
        // Only who has begun writes it.
        let events = self.events.load(Relaxed);
        self.events.store(events.wrapping_add(1), Relaxed);
        true
    }

    /// Lets further events be handled. Those of late-EOI channels wait for the EOI.
    #[inline]
    pub(crate) fn end(&self) {
        self.is_active.store(0, Release);
    }

    /// Whether an event is being handled.
    pub(crate) fn is_active(&self) -> bool {
        self.is_active.load(Relaxed) != 0
    }

    /// How many events were handled.
    pub(crate) fn events(&self) -> u64 {
        self.events.load(Relaxed)
    }

    /// Its users.
    pub(crate) fn references(&self, _: &Mapping) -> References {
        References::from_number(self.references.load(Relaxed))
    }

    pub(crate) fn set_references(&self, _: &Mapping, references: References) {
        self.references.store(references.number(), Relaxed);
    }

    /// Whether it stays open when it is unbound.
    pub(crate) fn is_static(&self) -> bool {
        self.is_static.load(Relaxed)
    }

    pub(crate) fn set_static(&self, is_static: bool) {
        self.is_static.store(is_static, Relaxed);
    }
}

/// Frees a channel and its descriptor, a grace period after it was removed.
///
/// # Safety
///
/// To be called as the function of a channel's work.
unsafe extern "C" fn free(work: *mut k::work_struct) {
    // SAFETY: By the requirement of this function the work is a channel's.
    let channel = unsafe {
        let work = container_of!(work, k::rcu_work, work);
        let work: *mut Opaque<k::rcu_work> = work.cast();
        container_of!(work, Channel, free)
    };
    // SAFETY: The channel was made by `KBox`, and is removed once.
    let channel = unsafe { NonNull::new_unchecked(channel) };
    // SAFETY: Likewise; it is freed below, and was the last to have the device.
    let irq = unsafe {
        let channel = channel.as_ref();
        channel.late.stop();
        if let Some(device) = channel.device() {
            device.put();
        }
        channel.irq
    };
    // SAFETY: Nobody found it for a grace period, and its timer has stopped.
    drop(unsafe { KBox::from_raw(channel.as_ptr()) });
    // SAFETY: The descriptor was the channel's, which is gone.
    unsafe { irqs::free(irq) };
}
