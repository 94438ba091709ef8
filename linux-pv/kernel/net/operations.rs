// SPDX-License-Identifier: GPL-2.0

//! What a driver implements, and the C callbacks that lead there.

use core::marker::PhantomData;
use core::ptr::NonNull;

use kernel::bindings as k;
use kernel::error::{from_result, VTABLE_DEFAULT_ERROR};
use kernel::ffi::{c_int, c_uint};
use kernel::prelude::*;
use xen_bindings as b;

use super::{
    Counters, Device, Features, Poll, Rss, RssChange, RssSize, RxMode, SkBuff, SkBuffRef, Transmit,
    TxGuard, XdpFrame, MAX_XDP_LEN, VLAN_ETH_HLEN,
};

/// A network driver; a value of it is the driver's data of one device.
///
/// `open`, `stop`, `change_mtu`, `fix_features`, `set_features` are called with the RTNL lock held and may
/// sleep; the others must not sleep.
#[vtable]
pub trait Operations: Sized + Send + Sync + 'static {
    /// What is kept for each transmit queue, guarded by the queue's lock.
    type Transmitter: Send + 'static;

    /// Packets, or parts of them, that a receive and a transmit queue have room for.
    const RING_SLOTS: (u32, u32);

    /// The interface comes up. Its NAPI contexts are enabled already, its queues stopped.
    fn open(dev: &Device<Self>) -> Result;

    /// The interface goes down. Its NAPI contexts are disabled after this.
    fn stop(dev: &Device<Self>);

    /// Takes a packet to send. What cannot be sent is dropped; a queue without room for another packet has to
    /// be [stopped](Transmit::stop) before that comes.
    fn start_xmit(dev: &Device<Self>, tx: Transmit<'_, Self>, skb: SkBuff);

    /// Which queue a packet is sent on, below the number of queues in use.
    fn select_queue(dev: &Device<Self>, skb: SkBuffRef<'_>, queues: u32) -> u32;

    /// Handles what has arrived on a queue: up to [`Poll::budget`] received packets, and any number that have
    /// been sent. Returns the number of received ones. If that is less than the budget there must be nothing
    /// left to do, and [`rearm`](Self::rearm) follows.
    ///
    /// The budget is 0 for netpoll, with interrupts off: then only packets that were sent may be handled.
    fn poll(dev: &Device<Self>, poll: &mut Poll<'_, Self>) -> u32;

    /// Asks the device for an interrupt when there is something to do again, and returns whether there is
    /// already, so that polling goes on.
    fn rearm(dev: &Device<Self>, queue: u32) -> bool;

    /// Whether the interface can carry payloads of `mtu` bytes; it is set after this.
    fn change_mtu(dev: &Device<Self>, mtu: u32) -> Result;

    /// Other packets are to be received from now on. With the RTNL lock held; may sleep. The kernel calls it again
    /// after an error, a few times.
    fn set_rx_mode(dev: &Device<Self>, mode: &RxMode<'_>) -> Result {
        let _ = (dev, mode);
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// So many queues are to be used, of those that there are. With the RTNL lock held; may sleep. It may take effect
    /// later.
    fn set_queues(dev: &Device<Self>, queues: u32) -> Result {
        let _ = (dev, queues);
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// What is counted.
    fn stats(dev: &Device<Self>, stats: &mut LinkStats<'_>);

    /// The counters that `ethtool -S` shows.
    fn counters(dev: &Device<Self>, counters: &mut Counters<'_>);

    /// The hash that spreads packets over receive queues; nothing if it cannot be told. With the RTNL lock held, as
    /// are the next two.
    fn rss_size(dev: &Device<Self>) -> RssSize {
        let _ = dev;
        RssSize::default()
    }

    /// Fills in key and table.
    fn rss(dev: &Device<Self>, rss: Rss<'_>) {
        let _ = (dev, rss);
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Changes key or table, or turns the hash on. May sleep.
    fn set_rss(dev: &Device<Self>, change: &RssChange<'_>) -> Result {
        let _ = (dev, change);
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// What of the features that are wished can be had.
    fn fix_features(dev: &Device<Self>, features: Features) -> Features;

    /// These features are used from now on.
    fn set_features(dev: &Device<Self>, features: Features) -> Result;

    /// An XDP program is attached or taken away after this. With the RTNL lock held; may sleep.
    fn program_changing(dev: &Device<Self>, attached: bool) -> Result {
        let _ = (dev, attached);
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Takes a packet to send from an XDP program; the queue was chosen by CPU. Gives it back if there is no room.
    fn xdp_xmit(
        dev: &Device<Self>,
        tx: &mut TxGuard<'_, Self>,
        queue: u32,
        frame: XdpFrame,
    ) -> Result<(), XdpFrame> {
        let _ = (dev, tx, queue, frame);
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// No more of those follow for now.
    fn xdp_flush(dev: &Device<Self>, tx: &mut TxGuard<'_, Self>, queue: u32) {
        let _ = (dev, tx, queue);
        build_error!(VTABLE_DEFAULT_ERROR)
    }
}

/// Statistics of a device, to be filled in (`struct rtnl_link_stats64`).
pub struct LinkStats<'a>(&'a mut b::rtnl_link_stats64);

impl LinkStats<'_> {
    /// Adds packets and bytes that were received.
    pub fn received(&mut self, packets: u64, bytes: u64) {
        self.0.rx_packets = self.0.rx_packets.wrapping_add(packets);
        self.0.rx_bytes = self.0.rx_bytes.wrapping_add(bytes);
    }

    /// Adds packets and bytes that were sent.
    pub fn sent(&mut self, packets: u64, bytes: u64) {
        self.0.tx_packets = self.0.tx_packets.wrapping_add(packets);
        self.0.tx_bytes = self.0.tx_bytes.wrapping_add(bytes);
    }

    /// Adds received packets that were bad, received ones that there was no room for, and ones to be sent that
    /// were dropped.
    pub fn lost(&mut self, rx_errors: u64, rx_dropped: u64, tx_dropped: u64) {
        self.0.rx_errors = self.0.rx_errors.wrapping_add(rx_errors);
        self.0.rx_dropped = self.0.rx_dropped.wrapping_add(rx_dropped);
        self.0.tx_dropped = self.0.tx_dropped.wrapping_add(tx_dropped);
    }
}

/// The C callbacks of a driver.
pub(super) struct Callbacks<T: Operations>(PhantomData<T>);

impl<T: Operations> Callbacks<T> {
    pub(super) const TABLE: b::xen_rs_netdev_callbacks = b::xen_rs_netdev_callbacks {
        open: Some(Self::open),
        stop: Some(Self::stop),
        start_xmit: Some(Self::start_xmit),
        select_queue: Some(Self::select_queue),
        change_mtu: Some(Self::change_mtu),
        get_stats64: Some(Self::get_stats64),
        fix_features: Some(Self::fix_features),
        set_features: Some(Self::set_features),
        bpf: if T::HAS_XDP_XMIT {
            Some(Self::bpf)
        } else {
            None
        },
        xdp_xmit: if T::HAS_XDP_XMIT {
            Some(Self::xdp_xmit)
        } else {
            None
        },
        set_rx_mode: if T::HAS_SET_RX_MODE {
            Some(Self::set_rx_mode)
        } else {
            None
        },
        poll: Some(Self::poll),
    };

    extern "C" fn open(raw: *mut k::net_device) -> c_int {
        // SAFETY: The kernel calls this for devices made by `Device::new` with this table, as all below.
        let dev = unsafe { Device::<T>::from_raw(raw) };
        from_result(|| {
            dev.enable_napi();
            T::open(dev).inspect_err(|_| dev.disable_napi())?;
            Ok(0)
        })
    }

    extern "C" fn stop(raw: *mut k::net_device) -> c_int {
        // SAFETY: As in `open`.
        let dev = unsafe { Device::<T>::from_raw(raw) };
        // SAFETY: The device is valid.
        unsafe { b::netif_tx_stop_all_queues(raw) };
        T::stop(dev);
        // `open` has succeeded before, and is not called again before this returns.
        dev.disable_napi();
        0
    }

    extern "C" fn start_xmit(skb: *mut k::sk_buff, raw: *mut k::net_device) -> b::netdev_tx_t {
        // SAFETY: As in `open`.
        let dev = unsafe { Device::<T>::from_raw(raw) };
        // SAFETY: The kernel hands over a packet, which is never handed back.
        let skb = unsafe { SkBuff::from_raw(NonNull::new_unchecked(skb)) };
        // SAFETY: The kernel holds the lock of the queue that the packet is mapped to, since the device does
        // not say that it has locks of its own (`lltx`).
        let tx = unsafe { Transmit::current(dev, &skb) };
        if let Some(tx) = tx {
            T::start_xmit(dev, tx, skb);
        }
        b::netdev_tx_NETDEV_TX_OK
    }

    extern "C" fn select_queue(
        raw: *mut k::net_device,
        skb: *mut k::sk_buff,
        _upper: *mut k::net_device,
    ) -> u16 {
        // SAFETY: As in `open`.
        let dev = unsafe { Device::<T>::from_raw(raw) };
        let queues = dev.queues_in_use();
        if queues <= 1 {
            return 0;
        }
        // SAFETY: The kernel passes a packet that is live during this call, and that it does not change.
        let skb = unsafe { SkBuffRef::from_raw(NonNull::new_unchecked(skb)) };
        T::select_queue(dev, skb, queues) as u16
    }

    extern "C" fn poll(
        raw: *mut k::net_device,
        napi: *mut k::napi_struct,
        queue: c_uint,
        budget: c_int,
    ) -> c_int {
        // SAFETY: As in `open`.
        let dev = unsafe { Device::<T>::from_raw(raw) };
        // SAFETY: The kernel calls this for a NAPI context of the device, which it has scheduled.
        let mut poll = unsafe { Poll::new(dev, NonNull::new_unchecked(napi), queue, budget) };
        let work = T::poll(dev, &mut poll).min(poll.budget());
        if poll.wants_flush() {
            // SAFETY: In a NAPI poll function, after redirecting.
            unsafe { b::xdp_do_flush() };
        }
        // SAFETY: This is the poll function of that context.
        if work < poll.budget() && unsafe { b::napi_complete_done(napi, work as c_int) } {
            if T::rearm(dev, queue) {
                dev.schedule(queue);
            }
        }
        work as c_int
    }

    extern "C" fn change_mtu(raw: *mut k::net_device, mtu: c_int) -> c_int {
        // SAFETY: As in `open`.
        let dev = unsafe { Device::<T>::from_raw(raw) };
        from_result(|| {
            T::change_mtu(dev, mtu as u32)?;
            dev.set_mtu(mtu as u32);
            Ok(0)
        })
    }

    extern "C" fn get_stats64(raw: *mut k::net_device, stats: *mut b::rtnl_link_stats64) {
        // SAFETY: As in `open`; the other pointer is to zeroed memory for the result.
        let (dev, stats) = unsafe { (Device::<T>::from_raw(raw), &mut *stats) };
        T::stats(dev, &mut LinkStats(stats));
    }

    extern "C" fn fix_features(raw: *mut k::net_device, features: u64) -> u64 {
        // SAFETY: As in `open`.
        let dev = unsafe { Device::<T>::from_raw(raw) };
        T::fix_features(dev, Features::from_bits(features)).bits()
    }

    extern "C" fn set_features(raw: *mut k::net_device, features: u64) -> c_int {
        // SAFETY: As in `open`.
        let dev = unsafe { Device::<T>::from_raw(raw) };
        from_result(|| T::set_features(dev, Features::from_bits(features)).map(|()| 0))
    }

    extern "C" fn set_rx_mode(
        raw: *mut k::net_device,
        _unicast: *mut b::netdev_hw_addr_list,
        multicast: *mut b::netdev_hw_addr_list,
    ) -> c_int {
        // SAFETY: As in `open`.
        let dev = unsafe { Device::<T>::from_raw(raw) };
        // SAFETY: The kernel passes a copy of its list, and keeps it until this returns.
        let mode = unsafe { RxMode::new(dev, multicast) };
        from_result(|| T::set_rx_mode(dev, &mode).map(|()| 0))
    }

    extern "C" fn bpf(raw: *mut k::net_device, command: *mut b::netdev_bpf) -> c_int {
        // SAFETY: As in `open`.
        let dev = unsafe { Device::<T>::from_raw(raw) };
        // SAFETY: The command is valid.
        if !unsafe { b::xen_rs_bpf_is_setup(command) } {
            return EINVAL.to_errno();
        }
        // SAFETY: As above.
        let program = unsafe { b::xen_rs_bpf_program(command) };
        let attached = !program.is_null();
        if attached && dev.mtu() + VLAN_ETH_HLEN > MAX_XDP_LEN {
            // SAFETY: As above.
            unsafe { b::xen_rs_bpf_message(command) };
            return EINVAL.to_errno();
        }
        from_result(|| {
            if T::HAS_PROGRAM_CHANGING && attached != dev.has_program() {
                T::program_changing(dev, attached)?;
            }
            // SAFETY: On success the kernel hands over a reference to the program.
            unsafe { dev.program().set(program) };
            Ok(0)
        })
    }

    extern "C" fn xdp_xmit(
        raw: *mut k::net_device,
        count: c_int,
        frames: *mut *mut k::xdp_frame,
        flags: u32,
    ) -> c_int {
        if flags & !b::XEN_RS_XDP_XMIT_FLAGS != 0 {
            return EINVAL.to_errno();
        }
        // SAFETY: As in `open`.
        let dev = unsafe { Device::<T>::from_raw(raw) };
        // SAFETY: Only asks for the number; softirqs are off, so it stays.
        let cpu = unsafe { b::xen_rs_cpu() };
        let queue = cpu.checked_rem(dev.queues_in_use()).unwrap_or(0);
        let Some(mut tx) = dev.lock_tx(queue) else {
            return ENODEV.to_errno();
        };
        let mut sent = 0;
        while sent < count {
            // SAFETY: The kernel passes that many frames, and hands over those that we say were sent.
            let frame =
                unsafe { XdpFrame::from_raw(NonNull::new_unchecked(*frames.add(sent as usize))) };
            if let Err(frame) = T::xdp_xmit(dev, &mut tx, queue, frame) {
                let _ = frame.into_raw();
                break;
            }
            sent += 1;
        }
        T::xdp_flush(dev, &mut tx, queue);
        sent
    }
}
