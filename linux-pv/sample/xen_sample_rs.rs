// SPDX-License-Identifier: GPL-2.0

//! A minimal frontend. It grants its backend one page to read, and counts the backend's events.
//!
//! No backend has devices of type `sample`: this shows what a driver consists of, and is compiled
//! with the checks of the modules, but not installed.

#![forbid(unsafe_code)]

use kernel::{
    prelude::*,
    sync::atomic::{
        Atomic,
        Relaxed, //
    },
};
use xen::{
    bus::{
        self,
        transact,
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
    event::{
        Eoi,
        Event,
        EventChannel,
        Handler, //
    },
    grant::{
        Access,
        Grant, //
    },
    page::GrantablePage, //
};

/// Counts events. Called with interrupts off.
struct Counter(Atomic<u64>);

impl Handler for Counter {
    fn handle(&self, event: Event<'_>) -> Eoi {
        self.0.fetch_add(1, Relaxed);
        event.handled()
    }
}

/// What the backend connects to. Dropping it ends the backend's access.
struct Connection {
    channel: Pin<KBox<EventChannel<Counter>>>,
    _page: Grant,
}

/// A device.
struct Sample(Option<Connection>);

kernel_ext::in_module!(Sample);

impl FrontendDriver for Sample {
    type Offer = Connection;

    const IDS: IdTable = xen::device_ids![c"sample"];
    const PROTOCOL: Protocol = Protocol {
        offer_when: &[State::InitWait],
        connects_first: false,
        reconfigures: false,
        reopens: true,
    };

    fn probe(_dev: &Device<Bound>, _handle: FrontendHandle<Self>) -> Result<Self, Failure> {
        Ok(Self(None))
    }

    fn offer(&mut self, dev: &Device<Bound>) -> Result<Connection, Failure> {
        let page = GrantablePage::new(GFP_KERNEL)?;
        page.copy_in(0, b"Hello")?;
        let page = Grant::new(page, dev.otherend_id(), Access::ReadOnly)?;
        let counter = Ok::<_, Error>(Counter(Atomic::new(0)));
        let channel = KBox::pin_init(EventChannel::new(dev, c"sample", counter), GFP_KERNEL)?;
        transact(|transaction| -> Result<(), Failure> {
            let node = dev.node().within(transaction);
            node.write(c"page-ref", fmt!("{}", page.number()))?;
            node.write(c"event-channel", fmt!("{}", channel.port()))?;
            Ok(())
        })
        .or_fatal("writing what the backend connects to")?;
        Ok(Connection {
            channel,
            _page: page,
        })
    }

    fn connect(&mut self, _dev: &Device<Bound>, offer: Connection) -> Result<(), Failure> {
        offer.channel.notify();
        self.0 = Some(offer);
        Ok(())
    }

    /// There are no requests to stop.
    fn quiesce(&mut self) {}

    fn resume(&mut self, _dev: &Device<Bound>) -> Result<(), Failure> {
        self.0 = None;
        Ok(())
    }

    fn remove(&mut self, _backend_alive: bool) {
        if let Some(connection) = &self.0 {
            let events = connection.channel.handler().0.load(Relaxed);
            pr_info!("the backend sent {events} events\n");
        }
    }
}

#[pin_data]
struct Module {
    #[pin]
    _driver: bus::Registration<bus::Frontend<Sample>>,
}

impl kernel::InPlaceModule for Module {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            _driver <- bus::Registration::new(<LocalModule as kernel::ModuleMetadata>::NAME),
        }? Error)
    }
}

module! {
    type: Module,
    name: "xen_sample_rs",
    authors: ["Paravane developers"],
    description: "Minimal Xen frontend",
    license: "GPL",
    alias: ["xen:sample"],
}
