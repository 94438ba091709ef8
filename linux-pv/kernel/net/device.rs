// SPDX-License-Identifier: GPL-2.0

//! Network devices.

use core::{
    cell::UnsafeCell,
    marker::PhantomPinned,
    ptr::NonNull, //
};

use kernel::{
    bindings as k,
    error::to_result,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            AtomicFlag,
            Relaxed, //
        },
        Arc, //
    },
};

use xen_bindings as b;

use super::{
    callbacks::Callbacks,
    ethtool::Ethtool,
    xdp::ProgramSlot,
    Capabilities,
    Features,
    Operations,
    TxGuard,
    ETH_ALEN, //
};

/// A network device (`struct net_device`) of driver `T`, with the driver's data.
///
/// A [`Registration`](super::Registration) makes it visible.
///
/// # Invariants
///
/// - `raw` is a valid device, made with a pointer to this value as its data.
/// - `queues` has an element for each of its queues.
#[pin_data]
pub struct Device<T: Operations> {
    // Fields are dropped in this order: the device last.
    #[pin]
    data: T,
    queues: KVec<Queue<T>>,
    raw: Raw,
    /// The XDP program that is attached, if there is one.
    program: ProgramSlot,
    /// The number of counters that the kernel has allocated memory for.
    nr_counters: Atomic<usize>,
    /// Whether a [`Registration`](super::Registration) exists or existed, or is being made.
    registered: AtomicFlag,
    #[pin]
    _pin: PhantomPinned,
}

/// A `struct net_device`, freed when this is dropped.
struct Raw(NonNull<k::net_device>);

impl Raw {
    /// Sets features and limits of a new device.
    fn set_capabilities(&self, capabilities: &Capabilities) {
        let xdp = if capabilities.xdp {
            b::XEN_RS_XDP_FEATURES
        } else {
            0
        };
        // SAFETY: The device is valid, and not used otherwise yet.
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
        // SAFETY: This value owns the device, which is not registered: a registration keeps the
        // owner alive.
        unsafe { b::xen_rs_netdev_free(self.0.as_ptr()) }
    }
}

/// A transmit and a receive queue.
///
/// # Invariants
///
/// The pointers are those of the queue of a valid device. `transmitter` is only accessed with the
/// lock of `txq` held.
pub(super) struct Queue<T: Operations> {
    pub(super) txq: NonNull<b::netdev_queue>,
    pub(super) napi: NonNull<k::napi_struct>,
    pub(super) transmitter: UnsafeCell<T::Transmitter>,
    /// Whether an [`XdpQueue`](super::XdpQueue) exists for this queue.
    pub(super) has_xdp: AtomicFlag,
}

// SAFETY: The functions of a device do their own locking; `T` and `T::Transmitter` are `Send`.
unsafe impl<T: Operations> Send for Device<T> {}
// SAFETY: The functions of a device do their own locking; `T` is `Sync`, and `T::Transmitter`,
// which is `Send`, is accessed with a lock held.
unsafe impl<T: Operations> Sync for Device<T> {}

impl<T: Operations> Device<T> {
    /// Makes a device with `queues` queues in each direction, as a child of `parent`. `transmitter`
    /// makes the driver's data of each transmit queue. The device has no carrier and no address
    /// yet. May sleep.
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
        // `Device` is a transparent wrapper, but its pointer is private.
        let parent = core::ptr::from_ref(parent).cast_mut().cast::<k::device>();
        let device = try_pin_init!(&this in Self {
            data <- data,
            raw: {
                // SAFETY: The tables are static. `this` does not move until it is dropped, which
                // frees the device. No callback is called before the device is registered.
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
                // SAFETY: The field is initialised above.
                let raw = unsafe { (*this.as_ptr()).raw.0 };
                let mut all = KVec::with_capacity(queues as usize, GFP_KERNEL)?;
                for index in 0..queues {
                    // SAFETY: The device has `queues` queues.
                    let (txq, napi) = unsafe {
                        (
                            b::xen_rs_netdev_txq(raw.as_ptr(), index),
                            b::xen_rs_netdev_napi(raw.as_ptr(), index),
                        )
                    };
                    // INVARIANT: The value is not accessed by others yet.
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
            nr_counters: Atomic::new(0),
            registered: AtomicFlag::new(false),
            _pin: PhantomPinned,
        }? Error);
        Arc::pin_init::<Error>(device, GFP_KERNEL)
    }

    /// The device of a `struct net_device`.
    ///
    /// # Safety
    ///
    /// `raw` was made by [`new`](Self::new) for the same `T`, and is valid for `'a`.
    #[inline]
    pub(super) unsafe fn from_raw<'a>(raw: *mut k::net_device) -> &'a Self {
        // SAFETY: By the requirements of this function and the type invariant, the private data is
        // a pointer to a `Self`.
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

    /// Whether an XDP program is attached.
    pub fn has_program(&self) -> bool {
        self.program.is_set()
    }

    pub(super) fn nr_counters(&self) -> &Atomic<usize> {
        &self.nr_counters
    }

    /// The driver's data.
    #[inline]
    pub fn data(&self) -> &T {
        &self.data
    }

    /// The number of queues that the device was made with.
    #[inline]
    pub fn queues(&self) -> u32 {
        self.queues.len() as u32
    }

    /// The number of queues in use.
    #[inline]
    pub fn queues_in_use(&self) -> u32 {
        // SAFETY: By the type invariant the device is valid.
        unsafe { b::xen_rs_netdev_tx_queues(self.as_ptr()) }
    }

    /// Sets the number of queues in use. Takes the RTNL lock; may sleep.
    pub fn use_queues(&self, queues: u32) -> Result {
        // SAFETY: By the type invariant the device is valid; the function checks the number.
        to_result(unsafe { b::xen_rs_netdev_set_queues(self.as_ptr(), queues) })
    }

    /// Sets whether the device is registered or being registered; returns the previous value.
    pub(super) fn set_registered(&self, registered: bool) -> bool {
        self.registered.xchg(registered, Relaxed)
    }

    /// Sets the hardware address. Takes the RTNL lock; may sleep.
    pub fn set_address(&self, address: &[u8; ETH_ALEN]) {
        // SAFETY: By the type invariant the device is valid; the function reads six bytes.
        unsafe { b::xen_rs_netdev_set_address(self.as_ptr(), address.as_ptr()) }
    }

    /// The features in use.
    #[inline]
    pub fn features(&self) -> Features {
        // SAFETY: By the type invariant the device is valid.
        Features::from_bits(unsafe { b::xen_rs_netdev_features(self.as_ptr()) })
    }

    /// Updates the features in use by [`Operations::fix_features`]. Takes the RTNL lock; may sleep.
    pub fn update_features(&self) {
        // SAFETY: By the type invariant the device is valid. The RTNL lock, which the function
        // requires, is held during the call.
        unsafe {
            b::rtnl_lock();
            b::netdev_update_features(self.as_ptr());
            b::rtnl_unlock();
        }
    }

    /// The MTU: the maximum payload of a frame in bytes.
    #[inline]
    pub fn mtu(&self) -> u32 {
        // SAFETY: By the type invariant the device is valid.
        unsafe { b::xen_rs_netdev_mtu(self.as_ptr()) }
    }

    /// Sets the MTU. To be called with the RTNL lock held.
    pub fn set_mtu(&self, mtu: u32) {
        // SAFETY: By the type invariant the device is valid.
        unsafe { b::xen_rs_netdev_set_mtu(self.as_ptr(), mtu) }
    }

    /// The current name, for messages in the log.
    pub fn name(&self) -> &CStr {
        // SAFETY: By the type invariant the device is valid. While the name is changed, it is still
        // terminated, for the last byte of its buffer is always zero.
        unsafe { CStr::from_char_ptr(b::xen_rs_netdev_name(self.as_ptr())) }
    }

    /// Sets the carrier on. Any context.
    pub fn carrier_on(&self) {
        // SAFETY: By the type invariant the device is valid.
        unsafe { b::netif_carrier_on(self.as_ptr()) }
    }

    /// Sets the carrier off. Any context.
    pub fn carrier_off(&self) {
        // SAFETY: By the type invariant the device is valid.
        unsafe { b::netif_carrier_off(self.as_ptr()) }
    }

    /// Starts all transmit queues; in [`Operations::open`].
    pub fn start_queues(&self) {
        // SAFETY: By the type invariant the device is valid.
        unsafe { b::xen_rs_netdev_start_queues(self.as_ptr()) }
    }

    /// Detaches the device: [`Operations::start_xmit`] is not running when this returns, and is not
    /// called until [`attach`](Self::attach).
    pub fn detach(&self) {
        // SAFETY: By the type invariant the device is valid.
        unsafe { b::xen_rs_netdev_detach(self.as_ptr()) }
    }

    /// Undoes [`detach`](Self::detach).
    pub fn attach(&self) {
        // SAFETY: By the type invariant the device is valid.
        unsafe { b::xen_rs_netdev_attach(self.as_ptr()) }
    }

    /// Announces the device's addresses to the network (gratuitous ARP, unsolicited neighbour
    /// advertisement). Takes the RTNL lock; may sleep.
    pub fn notify_peers(&self) {
        // SAFETY: By the type invariant the device is valid.
        unsafe { b::netdev_notify_peers(self.as_ptr()) }
    }

    /// Schedules a [poll](Operations::poll) of a queue. Any context; without effect while the
    /// interface is down.
    #[inline]
    pub fn schedule(&self, queue: u32) {
        if let Some(queue) = self.queue(queue) {
            // SAFETY: By the invariant of `Queue` the NAPI context is valid.
            unsafe { b::xen_rs_napi_schedule(queue.napi.as_ptr()) }
        }
    }

    /// Takes the lock of a transmit queue; `None` if there is no such queue. Not to be called with
    /// interrupts disabled.
    #[inline]
    pub fn lock_tx(&self, queue: u32) -> Option<TxGuard<'_, T>> {
        Some(TxGuard::lock(self.queue(queue)?))
    }

    pub(super) fn enable_napi(&self) {
        for queue in &self.queues {
            // SAFETY: By the invariant of `Queue` the NAPI context is valid. `open` and `stop`, the
            // only callers, call this and `disable_napi` alternately.
            unsafe { b::napi_enable(queue.napi.as_ptr()) }
        }
    }

    pub(super) fn disable_napi(&self) {
        for queue in &self.queues {
            // SAFETY: By the invariant of `Queue` the NAPI context is valid. `open` and `stop`, the
            // only callers, call this and `enable_napi` alternately.
            unsafe { b::napi_disable(queue.napi.as_ptr()) }
        }
    }
}
