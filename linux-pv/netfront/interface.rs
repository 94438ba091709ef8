// SPDX-License-Identifier: GPL-2.0

//! What the network stack asks of the driver.
//!
//! Functions that are called with the RTNL lock held do not wait for the backend: they note what
//! is wanted, and [`crate::backend`] passes it on.

use kernel::prelude::*;
use kernel_ext::net::{
    Counters,
    Device,
    Features,
    LinkStats,
    Operations,
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
use xen::{
    page::PAGE_SIZE,
    ring::Layout, //
};
use xen_abi::io::netif::{
    RxRequest,
    TxResponse, //
};
use xen_ring::netif::slot::{
    RxSlot,
    TxSlot, //
};

use crate::{
    features,
    poll,
    rss::{
        KEY_LEN,
        TABLE_LEN, //
    },
    stats,
    transmit::{
        self,
        Transmitter, //
    },
    vif::Vif,
    xdp, //
};

/// An interface, to the network stack.
pub(crate) type Nic = Device<Vif>;

/// Slots of a ring of one page.
const RX_SLOTS: u32 = Layout::<RxRequest, RxSlot>::slots_in(PAGE_SIZE);
const TX_SLOTS: u32 = Layout::<TxSlot, TxResponse>::slots_in(PAGE_SIZE);

#[vtable]
impl Operations for Vif {
    type Transmitter = Transmitter;

    const RING_SLOTS: (u32, u32) = (RX_SLOTS, TX_SLOTS);

    fn open(nic: &Nic) -> Result {
        let vif = nic.data();
        if vif.is_broken() {
            return Err(ENODEV);
        }
        nic.start_queues();
        for index in 0..nic.queues_in_use() {
            // What came meanwhile is there, and the events for it have not been ended.
            nic.schedule(index);
        }
        Ok(())
    }

    fn stop(_nic: &Nic) {}

    #[inline]
    fn start_xmit(nic: &Nic, tx: Transmit<'_, Self>, skb: SkBuff) {
        transmit::start_xmit(nic, tx, skb);
    }

    fn select_queue(_nic: &Nic, mut skb: SkBuffRef<'_>, queues: u32) -> u32 {
        skb.flow_hash().checked_rem(queues).unwrap_or(0)
    }

    fn poll(nic: &Nic, poll: &mut Poll<'_, Self>) -> u32 {
        poll::poll(nic, poll)
    }

    fn rearm(nic: &Nic, index: u32) -> bool {
        poll::rearm(nic, index)
    }

    fn rss_size(nic: &Nic) -> RssSize {
        if nic.data().control.lock().is_none() {
            return RssSize::default();
        }
        RssSize {
            key: KEY_LEN as u32,
            table: TABLE_LEN as u32,
        }
    }

    fn rss(nic: &Nic, rss: Rss<'_>) {
        nic.data().rss.lock().show(rss, nic.queues_in_use());
    }

    fn set_rss(nic: &Nic, change: &RssChange<'_>) -> Result {
        let vif = nic.data();
        if vif.control.lock().is_none() {
            return Err(EINVAL);
        }
        vif.rss.lock().change(change, nic.queues_in_use());
        vif.update_backend();
        Ok(())
    }

    fn program_changing(nic: &Nic, attached: bool) -> Result {
        let vif = nic.data();
        if vif.is_broken() {
            return Err(ENODEV);
        }
        vif.request_headroom(attached);
        Ok(())
    }

    fn xdp_xmit(
        nic: &Nic,
        tx: &mut TxGuard<'_, Self>,
        queue: u32,
        frame: XdpFrame,
    ) -> Result<(), XdpFrame> {
        let vif = nic.data();
        match vif.queues().get(queue as usize) {
            Some(queue) if !vif.is_broken() => {
                xdp::send(&queue.stats, tx, frame)?;
                queue.stats.xdp_xmit.one();
                Ok(())
            }
            _ => Err(frame),
        }
    }

    fn xdp_flush(nic: &Nic, tx: &mut TxGuard<'_, Self>, queue: u32) {
        if let Some(queue) = nic.data().queues().get(queue as usize) {
            xdp::publish(&queue.stats, tx);
        }
    }

    fn set_rx_mode(nic: &Nic, mode: &RxMode<'_>) -> Result {
        let vif = nic.data();
        vif.filter.lock().set_wanted(mode)?;
        vif.update_backend();
        Ok(())
    }

    fn set_queues(nic: &Nic, queues: u32) -> Result {
        nic.data().request_queues(nic, queues);
        Ok(())
    }

    fn change_mtu(nic: &Nic, mtu: u32) -> Result {
        if mtu > features::max_mtu(nic) {
            return Err(EINVAL);
        }
        Ok(())
    }

    fn stats(nic: &Nic, stats: &mut LinkStats<'_>) {
        stats::add_link_stats(nic, stats);
    }

    fn counters(nic: &Nic, counters: &mut Counters<'_>) {
        stats::add_counters(nic, counters);
    }

    fn fix_features(nic: &Nic, requested: Features) -> Features {
        features::fix(nic, requested)
    }

    fn set_features(nic: &Nic, features: Features) -> Result {
        features::set(nic, features);
        Ok(())
    }
}
