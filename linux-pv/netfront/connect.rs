// SPDX-License-Identifier: GPL-2.0

//! Agreeing with the backend, through the xenstore, on queues and features.
//!
//! A backend in state InitWait has written all that it can do. Rings and event channels
//! are made then and offered to it together with what we can do; it connects to them when we are
//! Connected.

use kernel::{
    prelude::*,
    str::CString,
    sync::{
        atomic::Relaxed,
        Arc, //
    },
};
use kernel_ext::show::Show;
use xen::{
    bus::{
        transact,
        Bound,
        Device,
        Dir,
        Failure,
        Key,
        OrFail,
        Transaction, //
    },
    event::EventChannel,
    ring::SharedRing, //
};
use xen_ring::netif::{
    features::{
        Features,
        Transport, //
    },
    RxFrontRing,
    TxFrontRing, //
};

use crate::{
    backend::{
        Backend,
        Updates, //
    },
    control::ControlLink,
    event::{
        Channel,
        Direction,
        OnEvent, //
    },
    headroom,
    interface::Nic,
    params,
    receive::RxLink,
    transmit::TxLink,
    vif::Vif, //
};

/// What a backend offers.
pub(crate) struct Offered {
    transport: Transport,
    pub(crate) features: Features,
}

/// Queues that can be connected: rings with their event channels.
pub(crate) struct Links {
    queues: KVec<(KBox<TxLink>, KBox<RxLink>)>,
    control: Option<KBox<ControlLink>>,
    split: bool,
    /// The head room that the backend is asked for, in bytes.
    headroom: u32,
    updates: Arc<Updates>,
}

impl Offered {
    /// Reads what the backend offers.
    pub(crate) fn read(dev: &Device<Bound>) -> Result<Self, Failure> {
        let backend = dev.otherend_node();
        let features = Features::from_store(|key| backend.lookup(key)).map_err(|bad| {
            pr_info!(
                "{:?}: backend does not support copying receive path: {}\n",
                dev.nodename(),
                Show(bad)
            );
            Failure::silent(ENODEV)
        })?;
        Ok(Self {
            transport: Transport::from_store(|key| backend.lookup(key)),
            features,
        })
    }
}

impl Links {
    /// Makes rings and event channels for as many queues as both ends can have. May sleep.
    pub(crate) fn make(
        dev: &Device<Bound>,
        nic: &Arc<Nic>,
        offered: &Offered,
    ) -> Result<Self, Failure> {
        let trusted = params::trusted() && dev.node().read_or(c"trusted", true);
        if !trusted {
            pr_info!(
                "{:?}: bouncing transmitted data to zeroed pages\n",
                dev.nodename()
            );
        }
        let requested = nic.data().requested_queues();
        let count = offered.transport.max_queues.min(requested);
        let updates = Updates::new(nic)?;
        let mut queues = KVec::with_capacity(count as usize, GFP_KERNEL)?;
        let mut split = offered.transport.split_event_channels;
        for index in 0..count {
            match make_queue(dev, nic, index, &mut split, trusted, &updates) {
                Ok(queue) => queues.push(queue, GFP_KERNEL)?,
                // One is enough.
                Err(failure) if index > 0 => {
                    pr_warn!(
                        "{:?}: only {} of {} queues: {}\n",
                        dev.nodename(),
                        index,
                        count,
                        failure
                    );
                    break;
                }
                Err(failure) => return Err(failure),
            }
        }
        let control = if offered.features.ctrl_ring {
            match make_control(dev, &updates) {
                Ok(control) => Some(control),
                Err(failure) => {
                    pr_warn!("{:?}: no control ring: {}\n", dev.nodename(), failure);
                    None
                }
            }
        } else {
            None
        };
        Ok(Self {
            queues,
            control,
            split,
            headroom: headroom::wanted(nic.data().wants_headroom()),
            updates,
        })
    }

    /// Number of queues.
    pub(crate) fn count(&self) -> u32 {
        self.queues.len() as u32
    }

    /// The backend that is about to connect to them.
    pub(crate) fn backend(
        &self,
        dev: &Device<Bound>,
        features: &Features,
    ) -> Result<Backend, Failure> {
        Backend::new(dev, features, self.headroom, self.updates.clone())
    }

    /// Writes rings, event channels and what we can do to the xenstore. May sleep.
    pub(crate) fn announce(&self, dev: &Device<Bound>, offered: &Offered) -> Result<(), Failure> {
        transact(|t| self.write(dev, offered, t)).or_fatal("writing the rings to the xenstore")
    }

    fn write(
        &self,
        dev: &Device<Bound>,
        offered: &Offered,
        t: &Transaction,
    ) -> Result<(), Failure> {
        let own = dev.node().within(t);
        if offered.transport.multi_queue {
            own.write(c"multi-queue-num-queues", fmt!("{}", self.queues.len()))?;
        } else {
            // One of an earlier connection must not mislead.
            own.remove(c"multi-queue-num-queues")?;
        }
        for (index, queue) in self.queues.iter().enumerate() {
            if self.queues.len() == 1 {
                self.write_queue(&own, queue)?;
            } else {
                let key = Key::new(fmt!("queue-{}", index))?;
                let path = own.join(&key)?;
                self.write_queue(&Dir::new(&path).within(t), queue)?;
            }
        }
        for feature in [
            c"request-rx-copy",
            c"feature-rx-notify",
            c"feature-sg",
            c"feature-gso-tcpv4",
            c"feature-gso-tcpv6",
            c"feature-ipv6-csum-offload",
        ] {
            own.write(feature, fmt!("1"))?;
        }
        // Groups are passed on when the backend is connected.
        own.remove(c"request-multicast-control")?;
        match &self.control {
            Some(control) => control.announce(&own)?,
            None => {
                own.remove(c"ctrl-ring-ref")?;
                own.remove(c"event-channel-ctrl")?;
            }
        }
        if offered.features.xdp_headroom {
            own.write(c"xdp-headroom", fmt!("{}", self.headroom))?;
        }
        Ok(())
    }

    fn write_queue(
        &self,
        dir: &Dir<'_>,
        (tx, rx): &(KBox<TxLink>, KBox<RxLink>),
    ) -> Result<(), Failure> {
        for number in tx.ring.mem().numbers() {
            dir.write(c"tx-ring-ref", fmt!("{}", number))?;
        }
        for number in rx.ring.mem().numbers() {
            dir.write(c"rx-ring-ref", fmt!("{}", number))?;
        }
        if self.split {
            dir.write(c"event-channel-tx", fmt!("{}", tx.channel.port()))?;
            dir.write(c"event-channel-rx", fmt!("{}", rx.channel.port()))?;
            dir.remove(c"event-channel")?;
        } else {
            dir.write(c"event-channel", fmt!("{}", tx.channel.port()))?;
            dir.remove(c"event-channel-tx")?;
            dir.remove(c"event-channel-rx")?;
        }
        Ok(())
    }

    /// Connects the queues of the interface: packets can be sent and received from now on.
    pub(crate) fn accept(self, nic: &Nic) {
        let split = self.split;
        *nic.data().control.lock() = self.control;
        for (index, (tx, rx)) in self.queues.into_iter().enumerate() {
            let Some(queue) = nic.data().queues().get(index) else {
                return;
            };
            queue.split.store(split, Relaxed);
            let (tx_channel, rx_channel) = (tx.channel.clone(), rx.channel.clone());
            if let Some(mut half) = nic.lock_tx(index as u32) {
                half.link = Some(tx);
            }
            let mut half = queue.rx.lock();
            half.link.insert(rx).fill(&queue.stats);
            drop(half);
            // The backend may have looked at the rings before there was anything.
            tx_channel.notify();
            if split {
                rx_channel.notify();
            }
            nic.schedule(index as u32);
        }
    }
}

/// Makes a queue. `split` is set to false if it cannot have an event channel for each ring.
fn make_queue(
    dev: &Device<Bound>,
    nic: &Arc<Nic>,
    index: u32,
    split: &mut bool,
    trusted: bool,
    updates: &Arc<Updates>,
) -> Result<(KBox<TxLink>, KBox<RxLink>), Failure> {
    let to = dev.otherend_id();
    let ring = || SharedRing::new(to, 1).or_fatal("granting the shared ring");
    let tx = TxFrontRing::new(ring()?).map_err(|_| EINVAL)?;
    let rx = RxFrontRing::new(ring()?).map_err(|_| EINVAL)?;
    let (tx_channel, rx_channel) =
        channels(dev, nic, index, split).or_fatal("binding the event channels")?;
    let tx = TxLink::new(nic, index, tx_channel, tx, to, trusted, updates)
        .or_fatal("reserving grants for transmitting")?;
    let rx = RxLink::new(nic, dev.as_ref(), index, rx_channel, rx, to, trusted)
        .or_fatal("reserving grants for receiving")?;
    Ok((KBox::new(tx, GFP_KERNEL)?, KBox::new(rx, GFP_KERNEL)?))
}

/// Makes the control ring.
fn make_control(dev: &Device<Bound>, updates: &Arc<Updates>) -> Result<KBox<ControlLink>, Failure> {
    Ok(KBox::new(ControlLink::make(dev, updates)?, GFP_KERNEL)?)
}

/// Makes the event channels of a queue. Where two cannot be had, one is used for this and all
/// further queues.
fn channels(
    dev: &Device<Bound>,
    nic: &Arc<Nic>,
    index: u32,
    split: &mut bool,
) -> Result<(Channel, Channel)> {
    let number = crate::device::number(dev);
    let channel = |name: &CStr, direction| -> Result<Channel> {
        let handler = OnEvent {
            nic: nic.clone(),
            index,
            direction,
        };
        Arc::pin_init::<Error>(
            EventChannel::new(dev, name, Ok::<_, Error>(handler)),
            GFP_KERNEL,
        )
    };
    if *split {
        let name = |way| CString::try_from_fmt(fmt!("vif{}-q{}-{}", number, index, way));
        let both = channel(&name("tx")?, Direction::Transmit)
            .and_then(|tx| Ok((tx, channel(&name("rx")?, Direction::Receive)?)));
        match both {
            Ok(both) => return Ok(both),
            // Those before have two each, and all queues have to be alike.
            Err(error) if index > 0 => return Err(error),
            Err(_) => *split = false,
        }
    }
    let name = CString::try_from_fmt(fmt!("vif{}-q{}", number, index))?;
    let one = channel(&name, Direction::Transmit)?;
    Ok((one.clone(), one))
}

/// Ends all connections of an interface. What the backend has not answered is lost. May sleep.
pub(crate) fn disconnect(nic: &Nic) {
    let vif: &Vif = nic.data();
    vif.filter.lock().forget();
    let control = vif.control.lock().take();
    drop(control);
    for (index, queue) in vif.queues().iter().enumerate() {
        let tx = nic
            .lock_tx(index as u32)
            .and_then(|mut half| half.link.take());
        let rx = queue.rx.lock().link.take();
        if let Some(tx) = &tx {
            queue.stats.tx_dropped.add(tx.requests().into());
        }
        // Closing a channel waits for its handler.
        drop((tx, rx));
        for event in &queue.events {
            event.forget();
        }
    }
}
