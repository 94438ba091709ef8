// SPDX-License-Identifier: GPL-2.0

//! A network device and what can be done to it.

use core::cell::UnsafeCell;
use core::marker::PhantomPinned;
use core::ptr::NonNull;

use kernel::bindings as k;
use kernel::error::to_result;
use kernel::prelude::*;
use kernel::sync::atomic::{Atomic, AtomicFlag, Relaxed};
use kernel::sync::Arc;
use xen_bindings as b;

use super::ethtool::Ethtool;
use super::operations::{Callbacks, Operations};
use super::xdp::ProgramSlot;
use super::{Capabilities, Features, TxGuard, ETH_ALEN};

/// A network device (`struct net_device`) of driver `T`, with the driver's data.
///
/// Make it and [register](super::Registration) it.
///
/// # Invariants
///
/// - `raw` is a device made with a pointer to this value as its data.
/// - `queues` has an entry for each of its queues.
#[pin_data]
pub struct Device<T: Operations> {
    // Fields are dropped in this order: the device goes last.
    #[pin]
    data: T,
    queues: KVec<Queue<T>>,
    raw: Raw,
    /// The XDP program that packets go through, if there is one.
    program: ProgramSlot,
    /// As many counters were announced to the kernel last.
    promised_names: Atomic<usize>,
    /// A [`Registration`](super::Registration) exists or did, or is being made.
    registered: AtomicFlag,
    #[pin]
    _pin: PhantomPinned,
}

/// A device that is not registered when this is dropped, which frees it.
struct Raw(NonNull<k::net_device>);

impl Raw {
    /// To be called before the device is known to anybody.
    fn set_capabilities(&self, capabilities: &Capabilities) {
        let xdp = if capabilities.xdp {
            b::XEN_RS_XDP_FEATURES
        } else {
            0
        };
        // SAFETY: The device is valid, and nobody else uses it yet.
        unsafe {
            b::xen_rs_netdev_set_capabilities(
                self.0.as_ptr(),
                capabilities.fixed.bits(),
                capabilities.changeable.bits(),
                xdp,
                capabilities.max_mtu,
            )
        }
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // SAFETY: This is the only owner, and a registration keeps the owner alive.
        unsafe { b::xen_rs_netdev_free(self.0.as_ptr()) }
    }
}

/// A transmit and a receive queue.
///
/// # Invariants
///
/// The pointers are those of the device's queue. `transmitter` is only touched under the lock of `txq`.
pub(super) struct Queue<T: Operations> {
    pub(super) txq: NonNull<b::netdev_queue>,
    pub(super) napi: NonNull<k::napi_struct>,
    pub(super) transmitter: UnsafeCell<T::Transmitter>,
    /// An [`XdpQueue`](super::XdpQueue) exists for this queue.
    pub(super) has_xdp: AtomicFlag,
}

// SAFETY: The kernel locks what it does with a device, and `T` and what it keeps for queues may be sent.
unsafe impl<T: Operations> Send for Device<T> {}
// SAFETY: As above; `T` may be shared, and what it keeps for queues is under a lock.
unsafe impl<T: Operations> Sync for Device<T> {}

impl<T: Operations> Device<T> {
    /// Makes a device with `queues` queues each way, below `parent` in sysfs. `transmitter` makes the state of
    /// each transmit queue. It has no carrier and no address yet. May sleep.
    pub fn new<E>(
        parent: &kernel::device::Device,
        queues: u32,
        capabilities: &Capabilities,
        data: impl PinInit<T, E>,
        mut transmitter: impl FnMut() -> T::Transmitter,
    ) -> Result<Arc<Self>>
    where
        Error: From<E>,
    {
        // A transparent wrapper, which keeps this to itself.
        let parent = core::ptr::from_ref(parent).cast_mut().cast::<k::device>();
        let device = try_pin_init!(&this in Self {
            data <- data,
            raw: {
                // SAFETY: The table is static. `this` stays where it is until it is dropped, which frees the
                // device; nothing is called before that is registered.
                let raw = unsafe {
                    b::xen_rs_netdev_alloc(
                        queues,
                        this.as_ptr().cast(),
                        parent,
                        &Callbacks::<T>::TABLE,
                        &Ethtool::<T>::TABLE,
                    )
                };
                let raw = Raw(NonNull::new(raw).ok_or(ENOMEM)?);
                raw.set_capabilities(capabilities);
                raw
            },
            queues: {
                // SAFETY: Initialised right above.
                let raw = unsafe { (*this.as_ptr()).raw.0 };
                let mut all = KVec::with_capacity(queues as usize, GFP_KERNEL)?;
                for index in 0..queues {
                    // SAFETY: The device has that many queues.
                    let (txq, napi) = unsafe {
                        (
                            b::xen_rs_netdev_txq(raw.as_ptr(), index),
                            b::xen_rs_netdev_napi(raw.as_ptr(), index),
                        )
                    };
                    // INVARIANT: Nobody has the lock or the value yet.
                    let queue = Queue {
                        txq: NonNull::new(txq).ok_or(EINVAL)?,
                        napi: NonNull::new(napi).ok_or(EINVAL)?,
                        transmitter: UnsafeCell::new(transmitter()),
                        has_xdp: AtomicFlag::new(false),
                    };
                    all.push(queue, GFP_KERNEL)?;
                }
                all
            },
            program: ProgramSlot::new(),
            promised_names: Atomic::new(0),
            registered: AtomicFlag::new(false),
            _pin: PhantomPinned,
        }? Error);
        Arc::pin_init::<Error>(device, GFP_KERNEL)
    }

    /// The device that C knows as `raw`.
    ///
    /// # Safety
    ///
    /// `raw` was made by [`new`](Self::new) for the same `T`, and is alive for `'a`.
    #[inline]
    pub(super) unsafe fn from_raw<'a>(raw: *mut k::net_device) -> &'a Self {
        // SAFETY: By the requirement and the type invariant the pointer there is one to a `Self`.
        unsafe {
            let data = raw.cast::<u8>().add(b::XEN_RS_NETDEV_DATA);
            &**data.cast::<*const Self>()
        }
    }

    #[inline]
    pub(super) fn as_ptr(&self) -> *mut k::net_device {
        self.raw.0.as_ptr()
    }

    #[inline]
    pub(super) fn queue(&self, index: u32) -> Option<&Queue<T>> {
        self.queues.get(index as usize)
    }

    #[inline]
    pub(super) fn program(&self) -> &ProgramSlot {
        &self.program
    }

    /// Whether packets go through an XDP program.
    pub fn has_program(&self) -> bool {
        self.program.is_set()
    }

    pub(super) fn promised_names(&self) -> &Atomic<usize> {
        &self.promised_names
    }

    /// The driver's data.
    #[inline]
    pub fn data(&self) -> &T {
        &self.data
    }

    /// Queues that the device was made with.
    #[inline]
    pub fn queues(&self) -> u32 {
        self.queues.len() as u32
    }

    /// Queues that are in use.
    #[inline]
    pub fn queues_in_use(&self) -> u32 {
        // SAFETY: By the type invariant.
        unsafe { b::xen_rs_netdev_tx_queues(self.as_ptr()) }
    }

    /// Uses the first `queues` queues. Takes the RTNL lock; may sleep.
    pub fn use_queues(&self, queues: u32) -> Result {
        // SAFETY: By the type invariant; the kernel checks the number.
        to_result(unsafe { b::xen_rs_netdev_set_queues(self.as_ptr(), queues) })
    }

    /// Notes whether the device is, or is being, registered, and returns whether it was.
    pub(super) fn set_registered(&self, registered: bool) -> bool {
        self.registered.xchg(registered, Relaxed)
    }

    /// Sets the hardware address. Takes the RTNL lock; may sleep.
    pub fn set_address(&self, address: &[u8; ETH_ALEN]) {
        // SAFETY: By the type invariant the device is valid; six bytes are read.
        unsafe { b::xen_rs_netdev_set_address(self.as_ptr(), address.as_ptr()) }
    }

    /// Features in use.
    #[inline]
    pub fn features(&self) -> Features {
        // SAFETY: By the type invariant.
        Features::from_bits(unsafe { b::xen_rs_netdev_features(self.as_ptr()) })
    }

    /// Has [`Operations::fix_features`] asked again. Takes the RTNL lock; may sleep.
    pub fn update_features(&self) {
        // SAFETY: By the type invariant; the RTNL lock is taken and given back.
        unsafe {
            b::rtnl_lock();
            b::netdev_update_features(self.as_ptr());
            b::rtnl_unlock();
        }
    }

    /// Largest payload of a frame in bytes.
    #[inline]
    pub fn mtu(&self) -> u32 {
        // SAFETY: By the type invariant.
        unsafe { b::xen_rs_netdev_mtu(self.as_ptr()) }
    }

    /// Sets that. With the RTNL lock held.
    pub fn set_mtu(&self, mtu: u32) {
        // SAFETY: By the type invariant.
        unsafe { b::xen_rs_netdev_set_mtu(self.as_ptr(), mtu) }
    }

    /// Its present name, for messages.
    pub fn name(&self) -> &CStr {
        // SAFETY: By the type invariant. A name that changes meanwhile stays a string, as its buffer ends
        // with a zero that is never written.
        unsafe { CStr::from_char_ptr(b::xen_rs_netdev_name(self.as_ptr())) }
    }

    /// There is a connection. Any context.
    pub fn carrier_on(&self) {
        // SAFETY: By the type invariant.
        unsafe { b::netif_carrier_on(self.as_ptr()) }
    }

    /// There is none. Any context.
    pub fn carrier_off(&self) {
        // SAFETY: By the type invariant.
        unsafe { b::netif_carrier_off(self.as_ptr()) }
    }

    /// Lets packets come on all queues; in [`Operations::open`].
    pub fn start_queues(&self) {
        // SAFETY: By the type invariant.
        unsafe { b::xen_rs_netdev_start_queues(self.as_ptr()) }
    }

    /// Takes the device out of use for a while: no transmission is running when this returns, and none comes
    /// until [`attach`](Self::attach).
    pub fn detach(&self) {
        // SAFETY: By the type invariant.
        unsafe { b::xen_rs_netdev_detach(self.as_ptr()) }
    }

    /// Uses the device again.
    pub fn attach(&self) {
        // SAFETY: By the type invariant.
        unsafe { b::xen_rs_netdev_attach(self.as_ptr()) }
    }

    /// Tells the neighbours where this address is now (gratuitous ARP, unsolicited neighbour advertisement).
    /// Takes the RTNL lock; may sleep.
    pub fn notify_peers(&self) {
        // SAFETY: By the type invariant.
        unsafe { b::netdev_notify_peers(self.as_ptr()) }
    }

    /// Has a queue [polled](Operations::poll). Any context; does nothing while the interface is down.
    #[inline]
    pub fn schedule(&self, queue: u32) {
        if let Some(queue) = self.queue(queue) {
            // SAFETY: By the type invariant.
            unsafe { b::xen_rs_napi_schedule(queue.napi.as_ptr()) }
        }
    }

    /// Takes the lock of a transmit queue; `None` if there is no such queue. Not with interrupts off.
    #[inline]
    pub fn lock_tx(&self, queue: u32) -> Option<TxGuard<'_, T>> {
        Some(TxGuard::lock(self.queue(queue)?))
    }

    pub(super) fn enable_napi(&self) {
        for queue in &self.queues {
            // SAFETY: The only callers see to it that calls of this and of `disable_napi` alternate.
            unsafe { b::napi_enable(queue.napi.as_ptr()) }
        }
    }

    pub(super) fn disable_napi(&self) {
        for queue in &self.queues {
            // SAFETY: As above.
            unsafe { b::napi_disable(queue.napi.as_ptr()) }
        }
    }
}
