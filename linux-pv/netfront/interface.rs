// SPDX-License-Identifier: GPL-2.0

//! What the network stack asks of the driver.

use core::convert::Infallible;
use core::sync::atomic::Ordering::Relaxed;
use core::sync::atomic::{AtomicBool, AtomicU32};

use kernel::prelude::*;
use kernel::str::CString;
use kernel::sync::aref::ARef;
use kernel::sync::{new_mutex, Mutex};
use kernel_ext::count::{Counts, Number};
use kernel_ext::net::{
    Capabilities, Counters, Device, Feature, Features, LinkStats, Operations, Poll, Rss, RssChange,
    RssSize, RxMode, SkBuff, SkBuffRef, Transmit, TxGuard, XdpFrame, ETH_DATA_LEN, MAX_XDP_LEN,
    VLAN_ETH_HLEN,
};
use kernel_ext::show::Show;
use xen::bus::State;
use xen::page::PAGE_SIZE;
use xen::ring::{Corrupt, Layout};
use xen_abi::io::netif::{RxRequest, TxResponse};
use xen_ring::netif::features::{Offloads, MAX_MTU};
use xen_ring::netif::slot::{RxSlot, TxSlot};

use crate::control::{ControlLink, Spread, KEY_LEN, TABLE_LEN};
use crate::filter::Filter;
use crate::queue::{Queue, Which};
use crate::transmit::{self, Transmitter};
use crate::xdp;

/// An interface, to the network stack.
pub(crate) type Nic = Device<Vif>;

/// What is needed for talking to the back end outside of the bus's callbacks.
pub(crate) struct Bus {
    pub(crate) dev: ARef<xen::bus::Device>,
    /// The back end's folder.
    pub(crate) backend: CString,
    /// It can leave room for XDP programs.
    pub(crate) headroom: bool,
    /// It can be told of the groups whose packets are wanted.
    pub(crate) multicast: bool,
}

/// What all parts of an interface share.
#[pin_data]
pub(crate) struct Vif {
    queues: KVec<Pin<KBox<Queue>>>,
    /// The back end has broken the protocol: nothing goes on until the domain is resumed elsewhere.
    broken: AtomicBool,
    /// So many queues are wished, of those that there are.
    wished: AtomicU32,
    /// The connection is ended, to be made anew.
    pub(crate) renewing: AtomicBool,
    /// Which groups' packets are wanted. This lock is taken before that of the bus.
    #[pin]
    pub(crate) filter: Mutex<Filter>,
    /// How to talk to the back end while connected.
    #[pin]
    pub(crate) bus: Mutex<Option<Bus>>,
    /// The control ring, if the back end has one.
    #[pin]
    pub(crate) control: Mutex<Option<KBox<ControlLink>>>,
    /// How the back end is to spread packets.
    #[pin]
    pub(crate) spread: Mutex<Spread>,
    /// What the back end offers.
    #[pin]
    offloads: Mutex<Offloads>,
}

impl Vif {
    /// For an interface with that many queues. May sleep.
    pub(crate) fn new(queues: u32) -> Result<impl PinInit<Self>> {
        let mut all = KVec::with_capacity(queues as usize, GFP_KERNEL)?;
        for _ in 0..queues {
            all.push(KBox::pin_init(Queue::new(), GFP_KERNEL)?, GFP_KERNEL)?;
        }
        Ok(pin_init!(Self {
            wished: AtomicU32::new(queues),
            queues: all,
            broken: AtomicBool::new(false),
            renewing: AtomicBool::new(false),
            filter <- new_mutex!(Filter::new()),
            bus <- new_mutex!(None),
            control <- new_mutex!(None),
            spread <- new_mutex!(Spread::new()),
            offloads <- new_mutex!(Offloads::default()),
        }))
    }

    /// The queues, whether in use or not.
    #[inline]
    pub(crate) fn queues(&self) -> &[Pin<KBox<Queue>>] {
        &self.queues
    }

    /// So many queues are wished.
    pub(crate) fn wished_queues(&self) -> u32 {
        self.wished.load(Relaxed)
    }

    /// Tells a back end that is connected which groups' packets are wanted. May sleep.
    ///
    /// # Errors
    ///
    /// If that is to be tried again.
    pub(crate) fn tell_groups(&self, nic: &Nic) -> Result {
        let mut filter = self.filter.lock();
        let bus = self.bus.lock();
        match &*bus {
            Some(bus) => filter.tell(nic, bus),
            None => Ok(()),
        }
    }

    /// Whether the interface is in its error state.
    #[inline]
    pub(crate) fn is_broken(&self) -> bool {
        self.broken.load(Relaxed)
    }

    /// A new back end is connected, which has to be told how to spread packets, if the user wants more than what it
    /// does by itself. May sleep.
    pub(crate) fn tell_spread(&self, nic: &Nic) {
        let mut control = self.control.lock();
        let mut spread = self.spread.lock();
        if !spread.on {
            return;
        }
        let told = match &mut *control {
            Some(control) => {
                if spread
                    .table
                    .iter()
                    .any(|queue| *queue >= nic.queues_in_use())
                {
                    spread.table = Spread::even(nic.queues_in_use());
                }
                control.apply(&spread)
            }
            None => Err(EINVAL),
        };
        if told.is_err() {
            pr_warn!(
                "{}: the back end spreads packets as it likes now\n",
                nic.name()
            );
            spread.on = false;
        }
    }

    /// A new connection begins without fault.
    pub(crate) fn repair(&self) {
        self.broken.store(false, Relaxed);
    }

    /// The error state: nothing more is taken from the back end, and nothing given to it. Any context but with
    /// interrupts off; says so once.
    #[cold]
    pub(crate) fn give_up(&self, nic: &Nic, why: Corrupt) {
        if !self.broken.swap(true, Relaxed) {
            pr_alert!("{}: {}\n", nic.name(), Show(why));
            pr_alert!("{}: Disabled for further use\n", nic.name());
            nic.carrier_off();
        }
    }

    /// Takes over what a back end offers. [`Nic::update_features`] has to follow. May sleep.
    pub(crate) fn set_offloads(&self, offloads: Offloads) {
        *self.offloads.lock() = offloads;
    }

    /// Ends the events that have led to a poll, and asks for further ones; returns whether there is something to do
    /// already.
    #[inline]
    fn ask_for_events(nic: &Nic, index: u32, queue: &Queue) -> Result<bool, Corrupt> {
        // An event may come after its responses were dealt with, in a poll that another one has caused: so work
        // counts until an event of its channel has been ended. A channel for both rings is the transmit one.
        let shared = !queue.is_split();
        let on = |which: Which| queue.events[which as usize].take();
        let (mut more, mut received) = (false, false);
        if let Some(link) = &mut queue.rx.lock().link {
            more |= link.rearm()?;
            if let Some(event) = on(Which::Receive) {
                event.finish(link.take_worked());
            } else if shared {
                received = link.take_worked();
            }
        }
        if let Some(mut tx) = nic.lock_tx(index) {
            if let Some(link) = &mut tx.link {
                link.worked |= received;
                more |= link.rearm()?;
                if let Some(event) = on(Which::Transmit) {
                    event.finish(link.take_worked());
                }
            }
        }
        Ok(more)
    }
}

/// Slots of a ring of one page.
const RX_SLOTS: u32 = Layout::<RxRequest, RxSlot>::slots_in(PAGE_SIZE);
const TX_SLOTS: u32 = Layout::<TxSlot, TxResponse>::slots_in(PAGE_SIZE);

/// What an interface can do before anything is known of the back end.
pub(crate) fn capabilities() -> Capabilities {
    Capabilities {
        fixed: Feature::ReceiveChecksum | Feature::RobustGso,
        changeable: Feature::ScatterGather
            | Feature::Ipv4Checksum
            | Feature::Ipv6Checksum
            | Feature::Tso4
            | Feature::Tso6,
        xdp: true,
        max_mtu: MAX_MTU,
    }
}

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
        let vif = nic.data();
        let Some(queue) = vif.queues.get(poll.queue() as usize) else {
            return 0;
        };
        if vif.is_broken() {
            return 0;
        }
        queue.stats.polls.one();
        if let Err(why) = transmit::complete(&queue.stats, poll) {
            vif.give_up(nic, why);
            return 0;
        }
        if poll.budget() == 0 {
            return 0;
        }
        let mut rx = queue.rx.lock();
        let Some(link) = &mut rx.link else {
            return 0;
        };
        match link.poll(&queue.stats, poll) {
            Ok(work) => work,
            Err(why) => {
                drop(rx);
                vif.give_up(nic, why);
                0
            }
        }
    }

    fn rearm(nic: &Nic, index: u32) -> bool {
        let vif = nic.data();
        let Some(queue) = vif.queues.get(index as usize) else {
            return false;
        };
        if vif.is_broken() {
            return false;
        }
        let more = Self::ask_for_events(nic, index, queue);
        more.unwrap_or_else(|why| {
            vif.give_up(nic, why);
            false
        })
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
        let spread = nic.data().spread.lock();
        let table = if spread.on {
            spread.table
        } else {
            Spread::even(nic.queues_in_use())
        };
        for (to, queue) in rss.table.iter_mut().zip(table) {
            *to = queue;
        }
        for (to, byte) in rss.key.iter_mut().zip(spread.key) {
            *to = byte;
        }
    }

    fn set_rss(nic: &Nic, change: &RssChange<'_>) -> Result {
        let vif = nic.data();
        let mut control = vif.control.lock();
        let control = (*control).as_mut().ok_or(EINVAL)?;
        let mut spread = vif.spread.lock();
        let new = spread.with(change, nic.queues_in_use());
        control.apply(&new)?;
        *spread = new;
        Ok(())
    }

    fn program_changing(nic: &Nic, attached: bool) -> Result {
        xdp::negotiate(nic, attached)
    }

    fn xdp_xmit(
        nic: &Nic,
        tx: &mut TxGuard<'_, Self>,
        queue: u32,
        frame: XdpFrame,
    ) -> Result<(), XdpFrame> {
        let vif = nic.data();
        match vif.queues.get(queue as usize) {
            Some(queue) if !vif.is_broken() => {
                xdp::send(&queue.stats, tx, frame)?;
                queue.stats.xdp_xmit.one();
                Ok(())
            }
            _ => Err(frame),
        }
    }

    fn xdp_flush(nic: &Nic, tx: &mut TxGuard<'_, Self>, queue: u32) {
        if let Some(queue) = nic.data().queues.get(queue as usize) {
            xdp::publish(&queue.stats, tx);
        }
    }

    fn set_rx_mode(nic: &Nic, mode: &RxMode<'_>) -> Result {
        nic.data().filter.lock().want(mode)?;
        nic.data().tell_groups(nic)
    }

    fn set_queues(nic: &Nic, queues: u32) -> Result {
        let vif = nic.data();
        vif.wished.store(queues, Relaxed);
        if queues == nic.queues_in_use() {
            return Ok(());
        }
        // The number is part of what both ends agree on when they connect; without a connection it counts
        // for the next.
        if let Some(bus) = &*vif.bus.lock() {
            vif.renewing.store(true, Relaxed);
            nic.carrier_off();
            bus.dev.switch_state(State::Closing);
        }
        Ok(())
    }

    fn change_mtu(nic: &Nic, mtu: u32) -> Result {
        let sg = nic.features().contains(Feature::ScatterGather);
        let mut most = if sg { MAX_MTU } else { ETH_DATA_LEN };
        if nic.has_program() {
            most = most.min(MAX_XDP_LEN - VLAN_ETH_HLEN);
        }
        if mtu > most {
            return Err(EINVAL);
        }
        Ok(())
    }

    fn stats(nic: &Nic, stats: &mut LinkStats<'_>) {
        for queue in &nic.data().queues {
            let counted = &queue.stats;
            stats.received(counted.rx_packets.get(), counted.rx_bytes.get());
            stats.sent(counted.tx_packets.get(), counted.tx_bytes.get());
            stats.lost(
                counted.rx_errors.get(),
                counted.rx_dropped.get(),
                counted.tx_dropped.get(),
            );
        }
    }

    fn counters(nic: &Nic, counters: &mut Counters<'_>) {
        let queues = nic.data().queues();
        let fixups = queues
            .iter()
            .map(|queue| queue.stats.rx_gso_checksum_fixup.get());
        // The one that the C driver has, under its name.
        counters.add(fmt!("rx_gso_checksum_fixup"), fixups.sum());
        for (index, queue) in queues.iter().enumerate() {
            let Ok(()) = queue.stats.each(|name, value| {
                counters.add(fmt!("queue_{}_{}", index, name), value);
                Ok::<(), Infallible>(())
            });
        }
    }

    fn fix_features(nic: &Nic, wished: Features) -> Features {
        let has = |feature: Feature| wished.contains(feature);
        let wish = Offloads {
            sg: has(Feature::ScatterGather),
            csum_ipv4: has(Feature::Ipv4Checksum),
            csum_ipv6: has(Feature::Ipv6Checksum),
            tso4: has(Feature::Tso4),
            tso6: has(Feature::Tso6),
        };
        let can = wish.and(*nic.data().offloads.lock());
        let mut cannot = Features::default();
        for (can, feature) in [
            (can.sg, Feature::ScatterGather),
            (can.csum_ipv4, Feature::Ipv4Checksum),
            (can.csum_ipv6, Feature::Ipv6Checksum),
            (can.tso4, Feature::Tso4),
            (can.tso6, Feature::Tso6),
        ] {
            if !can {
                cannot |= feature;
            }
        }
        wished.without(cannot)
    }

    fn set_features(nic: &Nic, features: Features) -> Result {
        if !features.contains(Feature::ScatterGather) && nic.mtu() > ETH_DATA_LEN {
            pr_info!("{}: Reducing MTU because no SG offload\n", nic.name());
            nic.set_mtu(ETH_DATA_LEN);
        }
        Ok(())
    }
}
