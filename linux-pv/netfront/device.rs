// SPDX-License-Identifier: GPL-2.0

//! The life of a device: what the driver does when the bus calls.
//!
//! | back end | front end |
//! |---|---|
//! | InitWait | makes queues and offers them, registers the interface, becomes Connected |
//! | Connected | tells the neighbours where the interface is now |
//! | Closing, Closed | takes the carrier away, becomes Closed |
//! | Closing, Closed after us, for another number of queues | becomes Closed, then Initialising: another connection |
//!
//! When the domain is resumed elsewhere the queues are made anew, for the interface that there is. Packets that the
//! back end before had not answered are lost, as on a wire.

use core::sync::atomic::Ordering::Relaxed;
use core::time::Duration;

use kernel::prelude::*;
use kernel::str::CString;
use kernel::sync::aref::ARef;
use kernel::sync::{new_mutex, Arc, ArcBorrow, Mutex};
use kernel_ext::net::Registration;
use kernel_ext::show::Show;
use xen::bus::{self, Bound, Device, DeviceId, Failure, IdTable, OrFail, State};
use xen_ring::netif::mac;

use crate::connect::{disconnect, Links, Offered};
use crate::interface::{capabilities, Bus, Nic, Vif};
use crate::params;
use crate::stats::{files, Files};
use crate::transmit::Transmitter;

/// How long a back end that closes gets for it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// The driver, to the bus.
pub(crate) struct Netfront;

/// A device from probe to remove.
#[pin_data]
pub(crate) struct Interface {
    nic: Arc<Nic>,
    #[pin]
    life: Mutex<Life>,
}

/// How far a device is.
struct Life {
    /// Since the first connection.
    registration: Option<Registration<Vif>>,
    _files: Option<Files>,
    /// The back end has closed: there is no way back.
    closed: bool,
}

impl bus::Driver for Netfront {
    type Data = Arc<Interface>;

    const IDS: IdTable = xen::device_ids![c"vif"];

    fn probe(dev: &Device<Bound>, _id: &DeviceId) -> Result<Arc<Interface>, Failure> {
        let queues = params::max_queues();
        let vif = Vif::new(queues)?;
        let mut transmitters = KVec::with_capacity(queues as usize, GFP_KERNEL)?;
        for _ in 0..queues {
            transmitters.push(Transmitter::new()?, GFP_KERNEL)?;
        }
        let nic = Nic::new(dev.as_ref(), queues, &capabilities(), vif, || {
            transmitters.pop().unwrap_or_default()
        })
        .or_fatal("creating netdev")?;
        // What is counted is not needed for anything.
        let files = files(&nic, number(dev)).ok();
        let life = Life {
            registration: None,
            _files: files,
            closed: false,
        };
        let interface = pin_init!(Interface { nic, life <- new_mutex!(life) });
        let interface = Arc::pin_init(interface, GFP_KERNEL)?;
        dev.begin_again(PATIENCE);
        Ok(interface)
    }

    fn otherend_changed(
        interface: ArcBorrow<'_, Interface>,
        dev: &Device<Bound>,
        state: State,
    ) -> Result<(), Failure> {
        let mut life = interface.life.lock();
        match state {
            State::InitWait if dev.state() == State::Initialising && !life.closed => {
                interface.connect(dev, &mut life)
            }
            State::Connected if dev.state() == State::Connected => {
                interface.nic.notify_peers();
                interface.nic.data().tell_spread(&interface.nic);
                // The stack tells again when something changes.
                let _ = interface.nic.data().tell_groups(&interface.nic);
                Ok(())
            }
            State::Closing | State::Closed if interface.nic.data().renewing.load(Relaxed) => {
                life.renew(&interface.nic, dev, state);
                Ok(())
            }
            State::Closing => life.close(&interface.nic, dev),
            // While we are Initialising there is nothing to close, and this may be how the back end was left:
            // see `Device::begin_again`.
            State::Closed if !matches!(dev.state(), State::Closed | State::Initialising) => {
                life.close(&interface.nic, dev)
            }
            _ => Ok(()),
        }
    }

    fn resume(interface: ArcBorrow<'_, Interface>, _dev: &Device<Bound>) -> Result<(), Failure> {
        let mut life = interface.life.lock();
        life.closed = false;
        life.end_connection(&interface.nic);
        Ok(())
    }

    fn remove(interface: ArcBorrow<'_, Interface>, dev: &Device<Bound>) {
        let mut life = interface.life.lock();
        let alive = !life.closed && !dev.has_vanished() && dev.otherend_state() == State::Connected;
        life.closed = true;
        interface.nic.carrier_off();
        if alive {
            // The back end gets to close its side, so that all memory can be freed at once.
            dev.switch_state(State::Closing);
            dev.wait_while(PATIENCE, |state| state == State::Connected);
            dev.frontend_closed();
            dev.wait_while(PATIENCE, |state| state == State::Closing);
        }
        life.registration = None;
        disconnect(&interface.nic);
    }
}

impl Interface {
    /// The first connection, or another one after the domain was resumed.
    fn connect(&self, dev: &Device<Bound>, life: &mut Life) -> Result<(), Failure> {
        let nic = &self.nic;
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
        disconnect(nic);
        let links = Links::make(dev, nic, &offered)?;
        links.announce(dev, nic, &offered)?;
        nic.set_address(&address);
        nic.data().repair();
        nic.data().set_offloads(offered.features.offloads());
        nic.use_queues(links.count())
            .or_fatal("setting the number of queues")?;
        links.accept(nic);
        let known = life.registration.is_some();
        if !known {
            let registration =
                Registration::new(nic.clone()).or_fatal("registering the interface")?;
            life.registration = Some(registration);
        }
        nic.update_features();
        if known {
            nic.attach();
        }
        nic.carrier_on();
        dev.switch_state(State::Connected);
        *nic.data().bus.lock() = Some(Bus {
            dev: ARef::from(&**dev),
            backend: CString::try_from_fmt(fmt!("{}", dev.otherend()))?,
            headroom: offered.features.xdp_headroom,
            multicast: offered.features.dynamic_multicast_control,
        });
        Ok(())
    }
}

impl Life {
    /// The back end closes, or has done so.
    fn close(&mut self, nic: &Nic, dev: &Device<Bound>) -> Result<(), Failure> {
        self.closed = true;
        // The rings stay granted until the device goes, since the back end may still use them.
        nic.carrier_off();
        dev.frontend_closed();
        Ok(())
    }

    /// The back end follows us in ending the connection; when it has, another one is made.
    fn renew(&self, nic: &Nic, dev: &Device<Bound>, state: State) {
        if state == State::Closing {
            dev.switch_state(State::Closed);
        } else {
            self.end_connection(nic);
            dev.switch_state(State::Initialising);
        }
    }

    /// There is no back end until the next connection is made.
    fn end_connection(&self, nic: &Nic) {
        nic.data().renewing.store(false, Relaxed);
        nic.carrier_off();
        if self.registration.is_some() {
            nic.detach();
        }
        disconnect(nic);
    }
}

/// The device's number among the interfaces of the domain.
pub(crate) fn number(dev: &Device<Bound>) -> u64 {
    dev.number().unwrap_or(0)
}
