// SPDX-License-Identifier: GPL-2.0

//! Drivers of frontends. This module decides for all of them when to offer, connect, close, resume
//! and remove; a driver implements these steps only ([`FrontendDriver`]).
//!
//! The state table is [`xen_ring::xenbus`], a pure function that is tested on the host. This module
//! carries out the actions that the table returns:
//!
//! | thread | steps that run in it | waits for the backend? |
//! |---|---|---|
//! | xenwatch | `offer`, `connect`, `quiesce`, `resume` and others | never: it serves all devices |
//! | work item | `is_idle`, `close`, the first step of reconnecting | by running again later |
//! | unbinding task | `remove`, then `drop` | up to [`CLOSE_TIMEOUT`] for each step of closing |
//!
//! A device whose folder was removed, or whose `state` was changed by another domain, is removed in
//! the xenwatch thread. It counts as vanished, so its removal waits for no backend.
//!
//! A device whose first offer or connection fails is unbound, so that it does not keep the driver's
//! module loaded.
//!
//! The transitions to and from Initialising are published in the xenwatch thread only, others in
//! any thread: in that thread the bus compares the state in the xenstore with the device's, when
//! anything in the device's folder changes. If they differ and one of them is Initialising, it
//! takes that for a reset and removes the device (`xenbus_dev_changed`).

use core::time::Duration;

use kernel::{
    bindings,
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{
            AtomicFlag,
            Relaxed, //
        },
        new_mutex,
        Arc,
        Mutex, //
    },
};

use kernel_ext::{
    module::InModule,
    sync::NoIo,
    work::{
        new_worker,
        Job,
        Worker, //
    },
};

use xen_ring::xenbus::{
    Phase,
    Protocol, //
};

use super::{
    unusable::unbind_later,
    Bound,
    Device,
    DeviceId,
    Driver,
    Failure,
    IdTable,
    State, //
};

mod machine;

use machine::Machine;

/// Time that a backend has for each step of closing: to answer the requests in flight, and to
/// follow when the frontend closes.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Interval at which the work item tests whether the requests in flight are answered.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// The driver of a kind of frontend; a value is one device, from probe to remove.
///
/// No two functions run at a time for a device. All may sleep, none but [`close`](Self::close) and
/// [`remove`](Self::remove) may wait for the backend. Dropping the value ends the connection and
/// frees its memory; the backend has closed its side before that, or has exceeded the timeout.
///
/// # Examples
///
/// A module with a whole frontend, `linux-pv/sample`. It is compiled when the modules are checked.
///
#[doc = concat!("```ignore\n", include_str!("../../sample/xen_sample_rs.rs"), "```")]
pub trait FrontendDriver: InModule + Sized + Send + Unpin + 'static {
    /// Rings and event channels that were offered to the backend and are not in use yet. It is
    /// dropped if the backend does not connect to them.
    type Offer: Send + Unpin;

    /// The kinds of devices.
    const IDS: IdTable;

    /// The driver's name on the bus; the first kind of device if none is given.
    const NAME: Option<&'static CStr> = None;

    /// The properties of the protocol that the state table depends on.
    const PROTOCOL: Protocol;

    /// Starts driving a device. The backend's folder is not read before [`offer`](Self::offer).
    fn probe(dev: &Device<Bound>, handle: FrontendHandle<Self>) -> Result<Self, Failure>;

    /// Makes rings and event channels, and writes to the xenstore what the backend needs to
    /// connect to them. Initialised is published after this.
    fn offer(&mut self, dev: &Device<Bound>) -> Result<Self::Offer, Failure>;

    /// Takes an offer into use that the backend has connected to, or is about to
    /// ([`Protocol::connects_first`]). Connected is published after this.
    fn connect(&mut self, dev: &Device<Bound>, offer: Self::Offer) -> Result<(), Failure>;

    /// Connected was published.
    fn connected(&mut self, dev: &Device<Bound>) -> Result<(), Failure> {
        let _ = dev;
        Ok(())
    }

    /// The backend has published Connected while the frontend is Connected.
    fn backend_connected(&mut self, dev: &Device<Bound>) {
        let _ = dev;
    }

    /// Removes the parts of the device that the backend takes away. Reconfiguring is published
    /// after this. `connected` is false if the offer was not connected before; it is dropped then.
    fn begin_reconfiguring(&mut self, dev: &Device<Bound>, connected: bool) -> Result<(), Failure> {
        let _ = (dev, connected);
        Ok(())
    }

    /// Adds the parts that the backend has added. Connected is published after this.
    fn end_reconfiguring(&mut self, dev: &Device<Bound>) -> Result<(), Failure> {
        let _ = dev;
        Ok(())
    }

    /// The connection is about to be closed: no further requests are sent.
    fn quiesce(&mut self);

    /// Whether the backend has answered all requests.
    fn is_idle(&self) -> bool {
        true
    }

    /// Fails the requests that the backend has not answered, and all further ones: the backend
    /// closes, or is lost. It keeps its access to rings and pages until the driver is dropped.
    /// Closed is published after this.
    fn close(&mut self) {}

    /// Ends the connection in order to make another one, see [`FrontendHandle::reconnect`].
    fn disconnect(&mut self) {}

    /// The domain was resumed: the backend is a new one, and the grants and event channels of the
    /// connection do not exist any more.
    fn resume(&mut self, dev: &Device<Bound>) -> Result<(), Failure>;

    /// Whether the device can be used, once it is Connected; booting waits for it.
    fn is_ready(&self) -> bool {
        true
    }

    /// The device or the driver is removed. If `backend_alive`, the connection is still in use, and
    /// the backend closes it after this.
    fn remove(&mut self, backend_alive: bool);
}

/// The bus's view of a device with its driver: a driver is registered as
/// [`Registration<Frontend<T>>`](super::Registration).
pub struct Frontend<T: FrontendDriver>(Arc<Stepper<T>>);

/// Requests steps of a device's state machine. It may outlive the device.
pub struct FrontendHandle<T: FrontendDriver>(Arc<Stepper<T>>);

impl<T: FrontendDriver> FrontendHandle<T> {
    /// Closes the connection and makes another one, if there is one. Any context; the steps are
    /// taken in a work item, and as the backend follows.
    pub fn reconnect(&self) {
        self.0.shared().reconnect.store(true, Relaxed);
        self.0.schedule();
    }
}

/// The work item of a device.
struct Stepper<T: FrontendDriver>(Pin<KBox<Worker<Step<T>>>>);

impl<T: FrontendDriver> Stepper<T> {
    fn shared(&self) -> &Shared<T> {
        &self.0.job().0
    }

    fn schedule(&self) {
        self.0.as_ref().schedule(Duration::ZERO);
    }
}

/// What the bus's callbacks and the work item share.
#[pin_data]
struct Shared<T: FrontendDriver> {
    /// None before the driver has probed the device, and from the beginning of its removal on.
    #[pin]
    machine: Mutex<Option<Machine<T>>>,
    /// Another connection was asked for.
    reconnect: AtomicFlag,
    dev: ARef<Device>,
}

/// One run of the work item: a step of closing or reconnecting, if one is due.
struct Step<T: FrontendDriver>(Arc<Shared<T>>);

impl<T: FrontendDriver> Job for Step<T> {
    fn run(&self) -> Option<Duration> {
        let Shared {
            machine,
            reconnect,
            dev,
        } = &*self.0;
        // Reclaim must not wait for I/O of the disk that is closed here.
        let _noio = NoIo::new();
        let mut driver = {
            let mut machine = machine.lock();
            let machine = (*machine).as_mut()?;
            if reconnect.xchg(false, Relaxed) {
                machine.begin_reconnecting(dev);
            }
            match machine.take_to_close()? {
                Ok(driver) => driver,
                Err(machine::Busy) => return Some(POLL_INTERVAL),
            }
        };
        // Not under the lock: the backend may publish its next state meanwhile, and the xenwatch
        // thread must not wait until this has returned.
        driver.close();
        dev.frontend_closed();
        if let Some(machine) = &mut *machine.lock() {
            machine.closed(driver);
        }
        None
    }
}

impl<T: FrontendDriver> Frontend<T> {
    fn shared(&self) -> &Shared<T> {
        self.0.shared()
    }

    /// Cancels the work item, waits until it has put back a driver that it closes, and calls `step`
    /// with the machine locked.
    fn with_driver<R>(&self, step: impl FnOnce(&mut Option<Machine<T>>) -> R) -> R {
        loop {
            self.0 .0.as_ref().cancel();
            let mut machine = self.shared().machine.lock();
            // A request to reconnect may have run the work item again. It closes a device once, so
            // this ends.
            if (*machine).as_ref().is_none_or(Machine::has_driver) {
                return step(&mut machine);
            }
        }
    }
}

// SAFETY: The functions of `Driver` are in this crate or in the module of `T`; the latter keeps
// this crate's module loaded.
unsafe impl<T: FrontendDriver> InModule for Frontend<T> {
    const MODULE: *mut bindings::module = T::MODULE;
}

impl<T: FrontendDriver> Driver for Frontend<T> {
    type Data = KBox<Self>;

    const IDS: IdTable = T::IDS;
    const NAME: Option<&'static CStr> = T::NAME;

    fn probe(dev: &Device<Bound>, _id: &DeviceId) -> Result<KBox<Self>, Failure> {
        let shared = pin_init!(Shared {
            machine <- new_mutex!(None, "xen::bus::Frontend"),
            reconnect: AtomicFlag::new(false),
            dev: ARef::from(&**dev),
        });
        let shared = Arc::pin_init(shared, GFP_KERNEL)?;
        let worker = KBox::pin_init(new_worker!(Step(shared.clone())), GFP_KERNEL)?;
        let stepper = Arc::new(Stepper(worker), GFP_KERNEL)?;
        let this = KBox::new(Self(stepper.clone()), GFP_KERNEL)?;
        let driver = T::probe(dev, FrontendHandle(stepper))?;
        let phase = match dev.state() {
            // Another driver had the device, and the backend may not have closed yet.
            State::Closed => Phase::Reopening,
            _ => Phase::Initialising,
        };
        *shared.machine.lock() = Some(Machine::new(phase, driver));
        Ok(this)
    }

    fn otherend_changed(this: &Self, dev: &Device<Bound>, state: State) -> Result<(), Failure> {
        let mut machine = this.shared().machine.lock();
        if let Some(machine) = &mut *machine {
            machine.on_backend(dev, state);
            if machine.is_closing() {
                this.0.schedule();
            }
            if machine.is_unusable() {
                // SAFETY: The module is that of the driver, whose callback this is.
                unsafe { unbind_later(dev, T::MODULE) };
            }
        }
        Ok(())
    }

    fn resume(this: &Self, dev: &Device<Bound>) -> Result<(), Failure> {
        let result = this.with_driver(|machine| match machine {
            Some(machine) => machine.resume(dev),
            None => Ok(()),
        });
        // A step of closing, which was cancelled, may still be due.
        this.0.schedule();
        result
    }

    fn is_ready(this: &Self, _dev: &Device<Bound>) -> bool {
        let machine = this.shared().machine.try_lock();
        machine.is_some_and(|machine| (*machine).as_ref().is_some_and(Machine::is_ready))
    }

    fn remove(this: &Self, dev: &Device<Bound>) {
        let machine = this.with_driver(Option::take);
        // A driver owns handles, which refer to the machine: take the machine out to drop it.
        if let Some(machine) = machine {
            machine.remove(dev);
        }
    }
}
