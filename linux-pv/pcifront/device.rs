// SPDX-License-Identifier: GPL-2.0

//! A device, from probe to remove: the steps that [`xen::bus::Frontend`] asks for.
//!
//! | step | what is done |
//! |---|---|
//! | offer | the shared page and its event channel are made; they are in use at once |
//! | connect | the buses that the backend lists are made, and their functions found |
//! | begin to reconfigure | functions that the backend takes away are removed |
//! | end reconfiguring | functions that it has added are found |
//! | close, remove | all buses are removed |
//!
//! C makes its offer when it is probed, which is a race with the bus: see [`xen::bus::Frontend`].
//!
//! When the domain is resumed elsewhere, the page is offered to the new backend, and the buses
//! stay. The devices may be others: a domain with devices passed to it can only be saved if
//! the toolstack lets it.

use kernel::{
    prelude::*,
    sync::Arc, //
};
use xen::bus::{
    Bound,
    Device,
    Failure,
    FrontendDriver,
    FrontendHandle,
    IdTable,
    Protocol,
    State, //
};

use crate::{
    exchange::Exchange,
    link::Link,
    recovery::Recoverer,
    roots::Roots,
    stats::{
        accesses_file,
        AccessesFile, //
    },
};

/// A device, which stands for all buses of one backend.
pub(crate) struct Pcifront {
    exchange: Arc<Exchange>,
    roots: Arc<Roots>,
    recoverer: Arc<Recoverer>,
    /// The buses were looked for since the offer.
    installed: bool,
    _file: Option<AccessesFile>,
}

kernel_ext::in_module!(Pcifront);

impl FrontendDriver for Pcifront {
    /// The page is in use by [`Exchange`] as soon as it is offered.
    type Offer = ();

    const IDS: IdTable = xen::device_ids![c"pci"];

    const NAME: Option<&'static CStr> = Some(c"pcifront");

    const PROTOCOL: Protocol = Protocol {
        // Linux's backend is Initialised when it has listed its buses.
        offer_when: &[State::InitWait, State::Initialised],
        connects_first: false,
        reconfigures: true,
        reopens: true,
    };

    fn probe(dev: &Device<Bound>, _handle: FrontendHandle<Self>) -> Result<Self, Failure> {
        let exchange = Exchange::new(dev)?;
        let roots = Roots::new()?;
        let recoverer = Recoverer::new(&exchange, &roots)?;
        // Counters are not needed for anything.
        let file = accesses_file(dev.number().unwrap_or(0), &exchange).ok();
        Ok(Self {
            exchange,
            roots,
            recoverer,
            installed: false,
            _file: file,
        })
    }

    fn offer(&mut self, dev: &Device<Bound>) -> Result<(), Failure> {
        let link = Link::make(dev, &self.exchange, &self.recoverer)?;
        let announced = link.announce(dev);
        // Even if that failed: the channel's handler keeps the exchange, which has to let go of it.
        self.exchange.set_link(Some(link));
        self.installed = false;
        announced.inspect_err(|_| self.exchange.set_link(None))
    }

    fn connect(&mut self, dev: &Device<Bound>, _offer: ()) -> Result<(), Failure> {
        self.scan(dev)
    }

    fn begin_reconfiguring(&mut self, dev: &Device<Bound>, connected: bool) -> Result<(), Failure> {
        if !connected {
            // There are no buses yet. All that the backend lists then is looked for.
            return Ok(());
        }
        self.roots.detach(dev)
    }

    fn end_reconfiguring(&mut self, dev: &Device<Bound>) -> Result<(), Failure> {
        self.scan(dev)
    }

    fn quiesce(&mut self) {
        dev_warn!(self.exchange.device(), "backend going away!\n");
    }

    fn close(&mut self) {
        if self.installed {
            dev_info!(self.exchange.device(), "Disconnecting PCI Frontend Buses\n");
        }
        self.roots.remove_all();
    }

    fn resume(&mut self, _dev: &Device<Bound>) -> Result<(), Failure> {
        self.exchange.set_link(None);
        Ok(())
    }

    fn remove(&mut self, _backend_alive: bool) {
        self.roots.remove_all();
    }
}

impl Pcifront {
    /// Finds what the backend passes.
    fn scan(&mut self, dev: &Device<Bound>) -> Result<(), Failure> {
        if !core::mem::replace(&mut self.installed, true) {
            dev_info!(self.exchange.device(), "Installing PCI frontend\n");
        }
        self.roots.scan(dev, &self.exchange)
    }
}

impl Drop for Pcifront {
    fn drop(&mut self) {
        self.roots.remove_all();
        self.exchange.set_link(None);
        // It may be handling a report, which nobody waits for any more.
        self.recoverer.stop();
    }
}
