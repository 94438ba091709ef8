// SPDX-License-Identifier: GPL-2.0

//! The phase of one device, and the steps that lead from one to the next.

use core::time::Duration;

use kernel::{
    prelude::*,
    time::{
        Delta,
        Instant,
        Monotonic, //
    },
};

use xen_ring::xenbus::{
    Action,
    Phase, //
};

use crate::bus::{
    Bound,
    Device,
    Failure,
    State, //
};

use super::{
    FrontendDriver,
    CLOSE_TIMEOUT, //
};

/// Requests are in flight, and the backend may still answer them.
pub(super) struct Busy;

/// A device between probe and remove.
pub(super) struct Machine<T: FrontendDriver> {
    phase: Phase,
    /// In phase `Offered`.
    offer: Option<T::Offer>,
    /// None while the work item closes the device.
    driver: Option<T>,
    /// When the phase became `Closing`.
    closing_since: Instant<Monotonic>,
    /// How long after that the backend may answer requests.
    close_timeout: Delta,
    /// There was a connection at some time.
    was_connected: bool,
}

impl<T: FrontendDriver> Machine<T> {
    pub(super) fn new(phase: Phase, driver: T) -> Self {
        Self {
            phase,
            offer: None,
            driver: Some(driver),
            closing_since: Instant::now(),
            close_timeout: Delta::ZERO,
            was_connected: false,
        }
    }

    pub(super) fn is_ready(&self) -> bool {
        self.driver.as_ref().is_some_and(T::is_ready)
    }

    /// Whether the driver is there, and not taken out by the work item.
    pub(super) fn has_driver(&self) -> bool {
        self.driver.is_some()
    }

    /// Whether a failure has ended the device before it could be used.
    pub(super) fn is_unusable(&self) -> bool {
        self.phase == Phase::Failed && !self.was_connected
    }

    /// Whether the work item has to be scheduled.
    pub(super) fn is_closing(&self) -> bool {
        self.phase == Phase::Closing
    }

    /// The backend has published a state. In the xenwatch thread.
    pub(super) fn on_backend(&mut self, dev: &Device<Bound>, state: State) {
        let action = self.phase.on_backend(state, &T::PROTOCOL);
        match self.act(dev, action) {
            Ok(phase) => self.phase = phase,
            Err(failure) => {
                dev.answer(&failure);
                // Published by `answer` if the failure is fatal.
                if dev.state() == State::Closing {
                    self.phase = Phase::Failed;
                }
            }
        }
    }

    /// Carries an action out, and returns the next phase.
    fn act(&mut self, dev: &Device<Bound>, action: Action) -> Result<Phase, Failure> {
        let Some(driver) = &mut self.driver else {
            return Ok(self.phase);
        };
        match action {
            Action::Ignore => {}
            Action::Reopen => dev.switch_state(State::Initialising),
            Action::Offer => {
                self.offer = Some(driver.offer(dev)?);
                dev.switch_state(State::Initialised);
            }
            Action::OfferAndConnect => {
                let offer = driver.offer(dev)?;
                if !T::PROTOCOL.connects_first {
                    dev.switch_state(State::Initialised);
                }
                return self.connect(dev, offer);
            }
            Action::Connect => {
                if let Some(offer) = self.offer.take() {
                    return self.connect(dev, offer);
                }
                return Ok(self.phase);
            }
            Action::Notice => driver.backend_connected(dev),
            Action::BeginReconfiguring => {
                let connected = self.offer.take().is_none();
                driver.begin_reconfiguring(dev, connected)?;
                dev.switch_state(State::Reconfiguring);
            }
            Action::EndReconfiguring => {
                driver.end_reconfiguring(dev)?;
                dev.switch_state(State::Connected);
            }
            Action::PublishClosed => dev.switch_state(State::Closed),
            Action::Disconnect => {
                driver.disconnect();
                dev.switch_state(State::Initialising);
            }
            Action::LookForLoss => {
                let exists = dev.otherend_node().exists(c"state");
                if exists.is_ok_and(|exists| !exists) {
                    dev_warn!(
                        dev.as_ref(),
                        "the backend is lost: its xenstore folder is gone\n"
                    );
                    return Ok(self.begin_closing(dev, Duration::ZERO));
                }
            }
            Action::Close => return Ok(self.begin_closing(dev, CLOSE_TIMEOUT)),
        }
        Ok(self.phase.after(action))
    }

    fn connect(&mut self, dev: &Device<Bound>, offer: T::Offer) -> Result<Phase, Failure> {
        if let Some(driver) = &mut self.driver {
            driver.connect(dev, offer)?;
            self.phase = Phase::Connected;
            self.was_connected = true;
            dev.switch_state(State::Connected);
            driver.connected(dev)?;
        }
        Ok(self.phase)
    }

    /// Sends no further requests. Those in flight may be answered until `timeout`; then the work
    /// item closes the device.
    fn begin_closing(&mut self, dev: &Device<Bound>, timeout: Duration) -> Phase {
        self.offer = None;
        if let Some(driver) = &mut self.driver {
            driver.quiesce();
        }
        if self.phase == Phase::Initialising {
            // Not in the work item, see the module's documentation.
            dev.frontend_closed();
        }
        self.closing_since = Instant::now();
        self.close_timeout = Delta::from_millis(timeout.as_millis() as i64);
        Phase::Closing
    }

    /// In the work item: the first step of making another connection, if there is one.
    pub(super) fn begin_reconnecting(&mut self, dev: &Device) {
        if !self.phase.may_reconnect() {
            return;
        }
        if let Some(driver) = &mut self.driver {
            driver.quiesce();
            self.phase = Phase::Reconnecting;
            dev.switch_state(State::Closing);
        }
    }

    /// In the work item: takes the driver out to close it, if that is due. None if the device is
    /// not in phase `Closing`.
    pub(super) fn take_to_close(&mut self) -> Option<Result<T, Busy>> {
        if !self.is_closing() {
            return None;
        }
        let idle = self.driver.as_ref()?.is_idle();
        if !idle && self.closing_since.elapsed() < self.close_timeout {
            return Some(Err(Busy));
        }
        self.driver.take().map(Ok)
    }

    /// Takes back the driver, which was closed.
    pub(super) fn closed(&mut self, driver: T) {
        self.driver = Some(driver);
        if self.is_closing() {
            self.phase = Phase::Closed;
        }
    }

    /// The domain was resumed. The work item has not taken the driver out.
    pub(super) fn resume(&mut self, dev: &Device<Bound>) -> Result<(), Failure> {
        self.offer = None;
        // The old backend answers nothing any more.
        self.close_timeout = Delta::ZERO;
        let Some(phase) = self.phase.after_resume(&T::PROTOCOL) else {
            return Ok(());
        };
        self.phase = phase;
        match &mut self.driver {
            Some(driver) => driver.resume(dev),
            None => Ok(()),
        }
    }

    /// The device or the driver is removed. Waits for a backend that is alive to close.
    pub(super) fn remove(self, dev: &Device<Bound>) {
        let Self {
            phase,
            offer,
            driver,
            ..
        } = self;
        let Some(mut driver) = driver else {
            return;
        };
        drop(offer);
        let in_use = |state| {
            use State::{
                Connected,
                Reconfigured,
                Reconfiguring, //
            };
            matches!(state, Connected | Reconfiguring | Reconfigured)
        };
        let alive = phase.is_open() && !dev.has_vanished() && in_use(dev.otherend_state());
        driver.remove(alive);
        if alive {
            // Pages that the backend has unmapped can be freed at once.
            dev.switch_state(State::Closing);
            dev.wait_while(CLOSE_TIMEOUT, in_use);
            dev.frontend_closed();
            dev.wait_while(CLOSE_TIMEOUT, |state| state == State::Closing);
        }
        drop(driver);
    }
}
