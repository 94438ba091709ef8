// SPDX-License-Identifier: GPL-2.0

//! The life of a device: what the driver does when the bus calls.
//!
//! | back end | front end |
//! |---|---|
//! | InitWait, Initialised | makes the shared page and offers it, becomes Initialised |
//! | Connected | makes the buses and finds the devices, becomes Connected |
//! | Reconfiguring | takes away devices that the back end takes away, becomes Reconfiguring |
//! | Reconfigured | looks for devices that the back end has added, becomes Connected |
//! | Closing, Closed | takes away all buses, becomes Closed |
//!
//! C offers the page when it is probed. That must not be done here, nor when the domain is resumed: the bus looks at our
//! folder whenever something in it changes, in the thread that calls [`otherend_changed`](bus::Driver::otherend_changed),
//! and if it reads our state just before another thread publishes the next one, it takes that for a reset and throws the
//! device away (7.2's `xenbus_dev_changed`; seen). In that thread nothing comes between.
//!
//! When the domain is resumed elsewhere, the page is offered to the new back end, and the buses stay. The devices are
//! others, perhaps: a domain with devices passed to it can only be saved if the toolstack lets it.

use core::time::Duration;

use kernel::prelude::*;
use kernel::sync::{Arc, ArcBorrow};
use xen::bus::{self, Bound, Device, DeviceId, Failure, IdTable, State};

use crate::exchange::Wire;
use crate::link::Link;
use crate::recovery::Recoverer;
use crate::roots::Roots;
use crate::stats::Files;

/// How long a back end gets to follow.
const PATIENCE: Duration = Duration::from_secs(5);

/// The driver, to the bus.
pub(crate) struct Pcifront;

/// A device from probe to remove.
pub(crate) struct Passed {
    wire: Arc<Wire>,
    roots: Arc<Roots>,
    recoverer: Arc<Recoverer>,
    _files: Option<Files>,
}

impl bus::Driver for Pcifront {
    type Data = Arc<Passed>;

    const IDS: IdTable = xen::device_ids![c"pci"];

    const NAME: Option<&'static CStr> = Some(c"pcifront");

    fn probe(dev: &Device<Bound>, _id: &DeviceId) -> Result<Arc<Passed>, Failure> {
        let wire = Wire::new(dev)?;
        let roots = Roots::new()?;
        let recoverer = Recoverer::new(&wire, &roots)?;
        // What is counted is not needed for anything.
        let files = Files::new(dev.number().unwrap_or(0), &wire).ok();
        let passed = Passed {
            wire,
            roots,
            recoverer,
            _files: files,
        };
        let passed = Arc::new(passed, GFP_KERNEL)?;
        dev.begin_again(PATIENCE);
        Ok(passed)
    }

    fn otherend_changed(
        passed: ArcBorrow<'_, Passed>,
        dev: &Device<Bound>,
        state: State,
    ) -> Result<(), Failure> {
        match state {
            State::InitWait | State::Initialised if dev.state() == State::Initialising => {
                passed.offer(dev)
            }
            State::Connected if dev.state() == State::Initialised => {
                dev_info!(passed.wire.device(), "Installing PCI frontend\n");
                passed.find(dev)
            }
            State::Reconfiguring => match dev.state() {
                State::Connected => {
                    passed.roots.detach(dev)?;
                    dev.switch_state(State::Reconfiguring);
                    Ok(())
                }
                // The back end was Connected for so short a time that nobody saw it.
                State::Initialised => {
                    dev_info!(passed.wire.device(), "Installing PCI frontend\n");
                    dev.switch_state(State::Reconfiguring);
                    Ok(())
                }
                _ => Ok(()),
            },
            State::Reconfigured if dev.state() == State::Reconfiguring => passed.find(dev),
            State::Closing => {
                passed.close(dev);
                Ok(())
            }
            // While we are Initialising there is nothing to close, and this may be how the back end was left: see
            // `Device::begin_again`.
            State::Closed if !matches!(dev.state(), State::Closed | State::Initialising) => {
                passed.close(dev);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn resume(passed: ArcBorrow<'_, Passed>, _dev: &Device<Bound>) -> Result<(), Failure> {
        passed.wire.set_link(None);
        Ok(())
    }

    fn remove(passed: ArcBorrow<'_, Passed>, dev: &Device<Bound>) {
        passed.roots.remove_all();
        let alive = !dev.has_vanished() && dev.otherend_state() == State::Connected;
        if alive {
            // The back end gets to let go of the page, so that it can be freed at once.
            dev.switch_state(State::Closing);
            dev.wait_while(PATIENCE, |state| state == State::Connected);
        }
        passed.wire.set_link(None);
        // It may be dealing with a report for which no answer is wanted any more.
        passed.recoverer.stop();
    }
}

impl Passed {
    /// Makes a connection and offers it to the back end.
    fn offer(&self, dev: &Device<Bound>) -> Result<(), Failure> {
        let link = Link::make(dev, &self.wire, &self.recoverer)?;
        let announced = link.announce(dev);
        // From here on it is the wire's to take apart again: the channel's handler is a part of it.
        self.wire.set_link(Some(link));
        announced.inspect_err(|_| self.wire.set_link(None))?;
        dev.switch_state(State::Initialised);
        Ok(())
    }

    /// Finds what the back end passes.
    fn find(&self, dev: &Device<Bound>) -> Result<(), Failure> {
        self.roots.scan(dev, &self.wire)?;
        dev.switch_state(State::Connected);
        Ok(())
    }

    /// The back end closes, or has done so.
    fn close(&self, dev: &Device<Bound>) {
        if matches!(dev.state(), State::Closing | State::Closed) {
            return;
        }
        dev_warn!(self.wire.device(), "backend going away!\n");
        if matches!(dev.state(), State::Connected | State::Reconfiguring) {
            dev_info!(self.wire.device(), "Disconnecting PCI Frontend Buses\n");
        }
        self.roots.remove_all();
        dev.switch_state(State::Closed);
    }
}
