// SPDX-License-Identifier: GPL-2.0

//! A device, from probe to remove: the steps that [`xen::bus::Frontend`] asks for.
//!
//! | step | what is done |
//! |---|---|
//! | offer, connect | queues are made and used at once; the interface is registered once |
//! | backend is Connected | the neighbours are told where the interface is now |
//! | quiesce | the carrier is taken away |
//! | disconnect, resume | the queues are taken apart; unanswered packets are lost, as on a wire |
//! | remove | the interface is unregistered |

use kernel::{
    prelude::*,
    sync::Arc, //
};
use kernel_ext::{
    net::Registration,
    show::Show, //
};
use xen::{
    bus::{
        Bound,
        Device,
        Failure,
        FrontendDriver,
        FrontendHandle,
        IdTable,
        OrFail,
        Protocol,
        State, //
    },
    grant::has_too_many_retired, //
};
use xen_ring::netif::mac;

use crate::{
    backend::Backend,
    connect::{
        disconnect,
        Links,
        Offered, //
    },
    features,
    interface::Nic,
    params,
    stats::{
        files,
        Files, //
    },
    transmit::Transmitter,
    vif::Vif, //
};

/// A device.
pub(crate) struct Netfront {
    nic: Arc<Nic>,
    /// For the backend of the connection that was made last.
    backend: Option<Backend>,
    /// Since the first connection.
    registration: Option<Registration<Vif>>,
    _files: Option<Files>,
}

/// Queues that were offered, and what is needed to use them.
pub(crate) struct Offer {
    links: Links,
    offered: Offered,
    /// The interface's Ethernet address.
    address: [u8; 6],
}

kernel_ext::in_module!(Netfront);

impl FrontendDriver for Netfront {
    type Offer = Offer;

    const IDS: IdTable = xen::device_ids![c"vif"];

    const PROTOCOL: Protocol = Protocol {
        offer_when: &[State::InitWait],
        connects_first: true,
        reconfigures: false,
        reopens: true,
    };

    fn probe(dev: &Device<Bound>, handle: FrontendHandle<Self>) -> Result<Self, Failure> {
        let queues = params::max_queues();
        let vif = Vif::new(queues, handle)?;
        let mut transmitters = KVec::with_capacity(queues as usize, GFP_KERNEL)?;
        for _ in 0..queues {
            transmitters.push(Transmitter::new()?, GFP_KERNEL)?;
        }
        let nic = Nic::new(dev.as_ref(), queues, &features::capabilities(), vif, || {
            transmitters.pop().unwrap_or_default()
        })
        .or_fatal("creating netdev")?;
        // Counters are not needed for anything.
        let files = files(&nic, number(dev)).ok();
        Ok(Self {
            nic,
            backend: None,
            registration: None,
            _files: files,
        })
    }

    fn offer(&mut self, dev: &Device<Bound>) -> Result<Offer, Failure> {
        if has_too_many_retired() {
            return Err(EBUSY).or_fatal("lending memory, of which backends have too much mapped");
        }
        let offered = Offered::read(dev)?;
        let address = dev.node().read_value(c"mac").or_fatal("reading mac")?;
        let address = mac::parse(address.as_bytes()).map_err(|bad| {
            dev.fatal(
                EINVAL,
                fmt!("parsing {}/mac: {}", dev.nodename(), Show(bad)),
            );
            Failure::silent(EINVAL)
        })?;
        // Nothing of an earlier connection may be left.
        disconnect(&self.nic);
        let links = Links::make(dev, &self.nic, &offered)?;
        links.announce(dev, &offered)?;
        Ok(Offer {
            links,
            offered,
            address,
        })
    }

    fn connect(&mut self, dev: &Device<Bound>, offer: Offer) -> Result<(), Failure> {
        let nic = &self.nic;
        let Offer {
            links,
            offered,
            address,
        } = offer;
        let backend = links.backend(dev, &offered.features)?;
        nic.set_address(&address);
        nic.data().repair();
        *nic.data().offloads.lock() = offered.features.offloads();
        nic.use_queues(links.count())
            .or_fatal("setting the number of queues")?;
        links.accept(nic);
        let known = self.registration.is_some();
        if !known {
            let registration =
                Registration::new(nic.clone()).or_fatal("registering the interface")?;
            self.registration = Some(registration);
        }
        nic.update_features();
        if known {
            nic.attach();
        }
        nic.carrier_on();
        self.backend = Some(backend);
        Ok(())
    }

    fn connected(&mut self, _dev: &Device<Bound>) -> Result<(), Failure> {
        *self.nic.data().backend.lock() = self.backend.take();
        Ok(())
    }

    fn backend_connected(&mut self, _dev: &Device<Bound>) {
        self.nic.notify_peers();
        self.nic.data().update_backend();
    }

    fn quiesce(&mut self) {
        self.nic.carrier_off();
        self.nic.data().stop_updates();
    }

    // In `close` nothing is done: the rings stay granted until the device is removed, since the
    // backend may still use them.

    fn disconnect(&mut self) {
        self.nic.data().stop_updates();
        self.nic.carrier_off();
        if self.registration.is_some() {
            self.nic.detach();
        }
        disconnect(&self.nic);
    }

    fn resume(&mut self, _dev: &Device<Bound>) -> Result<(), Failure> {
        self.disconnect();
        Ok(())
    }

    fn remove(&mut self, _backend_alive: bool) {
        self.quiesce();
    }
}

impl Drop for Netfront {
    fn drop(&mut self) {
        self.registration = None;
        disconnect(&self.nic);
    }
}

/// The device's number among the interfaces of the domain.
pub(crate) fn number(dev: &Device<Bound>) -> u64 {
    dev.number().unwrap_or(0)
}
