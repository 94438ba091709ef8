// SPDX-License-Identifier: GPL-2.0

//! The operations of a driver.

use kernel::{
    error::VTABLE_DEFAULT_ERROR,
    prelude::*, //
};

use super::{
    Counters,
    Device,
    Features,
    LinkStats,
    Poll,
    Rss,
    RssChange,
    RssSize,
    RxMode,
    SkBuff,
    SkBuffRef,
    Transmit,
    TxGuard,
    XdpFrame, //
};

/// The operations of a driver (`struct net_device_ops` and others). A value is the driver's data of
/// a device.
///
/// `open`, `stop`, `change_mtu`, `fix_features` and `set_features` are called with the RTNL lock
/// held and may sleep. The others must not sleep unless their description says so.
#[vtable]
pub trait Operations: Sized + Send + Sync + 'static {
    /// The driver's data of a transmit queue, protected by the queue's lock.
    type Transmitter: Send + 'static;

    /// Ring sizes of a receive and of a transmit queue, for `ethtool`.
    const RING_SLOTS: (u32, u32);

    /// Brings the interface up. Its NAPI contexts are enabled, its transmit queues stopped.
    fn open(dev: &Device<Self>) -> Result;

    /// Brings the interface down. Its NAPI contexts are disabled afterwards.
    fn stop(dev: &Device<Self>);

    /// Sends a packet, or drops it. A queue that has no room for another packet must be
    /// [stopped](Transmit::stop) before this returns.
    fn start_xmit(dev: &Device<Self>, tx: Transmit<'_, Self>, skb: SkBuff);

    /// Selects the transmit queue of a packet, below the number `queues` of queues in use.
    fn select_queue(dev: &Device<Self>, skb: SkBuffRef<'_>, queues: u32) -> u32;

    /// Polls a queue: handles up to [`Poll::budget`] received packets, and any number of packets
    /// that were sent. Returns the number of received packets. If that is less than the budget,
    /// there must be no work left, and [`rearm`](Self::rearm) is called.
    ///
    /// The budget is 0 for netpoll, which calls this with interrupts disabled: then only packets
    /// that were sent may be handled.
    fn poll(dev: &Device<Self>, poll: &mut Poll<'_, Self>) -> u32;

    /// Enables the interrupt of a queue after a poll. Returns whether there is new work already, so
    /// that polling continues.
    fn rearm(dev: &Device<Self>, queue: u32) -> bool;

    /// Checks a new MTU, which is set if this succeeds.
    fn change_mtu(dev: &Device<Self>, mtu: u32) -> Result;

    /// Sets which packets are received. Called with the RTNL lock held; may sleep. The kernel
    /// repeats a call that failed a few times.
    fn set_rx_mode(dev: &Device<Self>, mode: &RxMode<'_>) -> Result {
        let _ = (dev, mode);
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Sets the number of queues in use. Called with the RTNL lock held; may sleep. It may take
    /// effect later.
    fn set_queues(dev: &Device<Self>, queues: u32) -> Result {
        let _ = (dev, queues);
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Adds the statistics of the device to `stats`.
    fn stats(dev: &Device<Self>, stats: &mut LinkStats<'_>);

    /// Adds the counters that `ethtool -S` shows.
    fn counters(dev: &Device<Self>, counters: &mut Counters<'_>);

    /// The sizes of RSS key and indirection table. This and the next two are called with the RTNL
    /// lock held.
    fn rss_size(dev: &Device<Self>) -> RssSize {
        let _ = dev;
        RssSize::default()
    }

    /// Gets RSS key and indirection table.
    fn rss(dev: &Device<Self>, rss: Rss<'_>) {
        let _ = (dev, rss);
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Changes RSS key or indirection table. May sleep.
    fn set_rss(dev: &Device<Self>, change: &RssChange<'_>) -> Result {
        let _ = (dev, change);
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Returns those of the requested features that are available.
    fn fix_features(dev: &Device<Self>, features: Features) -> Features;

    /// Sets the features in use.
    fn set_features(dev: &Device<Self>, features: Features) -> Result;

    /// Prepares for an XDP program being attached or detached. Called with the RTNL lock held; may
    /// sleep.
    fn program_changing(dev: &Device<Self>, attached: bool) -> Result {
        let _ = (dev, attached);
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Sends a packet of an XDP program; the queue is selected by CPU. Returns the packet if there
    /// is no room.
    fn xdp_xmit(
        dev: &Device<Self>,
        tx: &mut TxGuard<'_, Self>,
        queue: u32,
        frame: XdpFrame,
    ) -> Result<(), XdpFrame> {
        let _ = (dev, tx, queue, frame);
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Ends a series of calls of [`xdp_xmit`](Self::xdp_xmit): the device may be notified.
    fn xdp_flush(dev: &Device<Self>, tx: &mut TxGuard<'_, Self>, queue: u32) {
        let _ = (dev, tx, queue);
        build_error!(VTABLE_DEFAULT_ERROR)
    }
}
