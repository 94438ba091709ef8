// SPDX-License-Identifier: GPL-2.0

//! The life of a backend, from its nodes in the xenstore to the end of the device.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::thread::sleep;
use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::block;
use crate::finding::{finding, is_finding};
use crate::folders::{Device, Folders, state};
use crate::net;
use crate::plan::{Ending, Plan};
use crate::service::Service;

/// How long a frontend may take to make its offer, in seconds of a machine that is not slow.
const OFFER_LIMIT: Duration = Duration::from_secs(20);

/// How long it gets for that if it has reasons not to.
const REFUSAL_LIMIT: Duration = Duration::from_millis(700);

/// How long it may take to close: five seconds are for requests that were not answered.
const CLOSE_LIMIT: Duration = Duration::from_secs(30);

/// How long a backend serves at least and at most, however much work there is. A frontend that has found something wrong has
/// none.
const SERVICE: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(1500)];

/// Events in a storm from one look at the rings to the next, on each of the device's ports.
const EVENTS: u32 = 100;

/// What a script is run with.
pub struct Script {
    /// The device that is made.
    pub device: Device,
    /// The script.
    pub seed: u64,
    /// What is done instead of what the seed says.
    pub plan: Option<Plan>,
    /// How much longer everything takes than on a machine that is not slow.
    pub pace: u32,
}

/// What has happened.
pub struct Report {
    seed: u64,
    plan: Plan,
    connected: bool,
    answered: u32,
    /// Mappings that it kept although it had answered for their pages.
    kept: usize,
    /// Events that had no reason, a second.
    events: u64,
    /// Why it did not serve to the end.
    lost: Option<io::Error>,
    /// How long the frontend took to close.
    closed: Option<Duration>,
    /// How long all of it took.
    took: Duration,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, plan, .. } = self;
        let connected = u8::from(self.connected);
        write!(
            f,
            "seed={seed} connected={connected} answered={} kept={} events={} ms={}",
            self.answered,
            self.kept,
            self.events,
            self.took.as_millis()
        )?;
        write!(
            f,
            " lies={:?} calm={} of={}",
            plan.lies, plan.calm, plan.interval
        )?;
        let keys: Vec<_> = plan.nodes.keys().collect();
        write!(f, " nodes={keys:?} states={}", plan.states.len())?;
        write!(
            f,
            " trusted={} ending={:?}",
            u8::from(plan.trusted),
            plan.ending
        )?;
        if let Some(closed) = self.closed {
            write!(f, " closed_ms={}", closed.as_millis())?;
        }
        if let Some(lost) = &self.lost {
            write!(f, " lost={:?}", lost.to_string())?;
        }
        Ok(())
    }
}

impl Script {
    /// Runs it. The device is gone from the xenstore afterwards, in any case.
    ///
    /// # Errors
    ///
    /// What the frontend did wrong, or that the script cannot be run.
    pub fn run(&self) -> io::Result<Report> {
        let started = Instant::now();
        let mut rng = Rng::with_seed(self.seed);
        let is_block = self.device.class == "vbd";
        let keys: &[&str] = if is_block { &block::KEYS } else { &net::KEYS };
        let drawn = Plan::draw(&mut rng, keys);
        let plan = self.plan.clone().unwrap_or(drawn);
        let nodes = if is_block {
            block::nodes(&mut rng)
        } else {
            net::nodes(&mut rng)
        };
        let mut folders = Folders::make(&self.device)?;
        self.announce(&mut folders, &plan, &nodes)?;
        let mut report = Report {
            seed: self.seed,
            plan,
            connected: false,
            answered: 0,
            kept: 0,
            events: 0,
            lost: None,
            closed: None,
            took: Duration::ZERO,
        };
        let service = self.connect(&mut folders, &report.plan, &nodes)?;
        report.connected = service.is_some();
        let service = match service {
            None => None,
            Some(mut service) => {
                let mut ended = serve(&mut *service, &mut folders, &report.plan, &mut rng);
                if ended.is_ok() {
                    let stormed = self.storm(&mut *service, &report.plan, &mut rng);
                    ended = stormed.map(|events| report.events = events);
                }
                report.answered = service.answered();
                report.kept = service.kept();
                let withdrew = folders.front_state()? != state::CONNECTED;
                report.lost = self.judge(ended, &report.plan, withdrew)?;
                Some(service)
            }
        };
        report.closed = self.end(folders, service, &report.plan, &mut rng)?;
        report.took = started.elapsed();
        Ok(report)
    }

    /// Makes the nodes and goes through the states that come before the right ones.
    fn announce(
        &self,
        folders: &mut Folders,
        plan: &Plan,
        nodes: &BTreeMap<&str, String>,
    ) -> io::Result<()> {
        match self.device.class {
            "vbd" => block::start(folders, &self.device, plan, nodes, &[])?,
            _ => net::start(folders, &self.device, plan, nodes)?,
        }
        for (state, lasts) in &plan.states {
            folders.set_state(state)?;
            sleep(*lasts);
        }
        folders.set_state(b"2")
    }

    /// Connects to the frontend's rings; `None` if there are none.
    fn connect(
        &self,
        folders: &mut Folders,
        plan: &Plan,
        nodes: &BTreeMap<&str, String>,
    ) -> io::Result<Option<Box<dyn Service>>> {
        let honest = plan.is_honest_at_first();
        let limit = match plan.patience {
            Some(patience) => patience,
            None if honest => OFFER_LIMIT,
            None => REFUSAL_LIMIT,
        };
        let wanted = [
            state::INITIALISED,
            state::CONNECTED,
            state::CLOSING,
            state::CLOSED,
        ];
        let found = folders.await_front(&wanted, limit * self.pace)?;
        let offered = matches!(found, Some(state::INITIALISED | state::CONNECTED));
        if honest && !offered && plan.patience.is_none() {
            return Err(finding(format!(
                "the frontend makes no offer to an honest backend; its state is {found:?}"
            )));
        }
        if !offered {
            return Ok(None);
        }
        let domid = self.device.domid;
        let service = if self.device.class == "vbd" {
            let persistent = nodes
                .get("feature-persistent")
                .is_some_and(|value| value == "1");
            block::Server::connect(domid, folders, plan, persistent)
                .map(|server| Box::new(server) as Box<dyn Service>)
        } else {
            net::Server::connect(domid, folders).map(|server| Box::new(server) as Box<dyn Service>)
        };
        match service {
            Ok(service) => {
                folders.set_state(b"4")?;
                Ok(Some(service))
            }
            Err(error) if honest || is_finding(&error) => Err(error),
            Err(_) => Ok(None),
        }
    }

    /// Sends events for as long as the plan says, and serves meanwhile. Returns how many it was a second.
    fn storm(&self, service: &mut dyn Service, plan: &Plan, rng: &mut Rng) -> io::Result<u64> {
        let lasts = plan.storm * self.pace;
        let started = Instant::now();
        let mut events = 0;
        while started.elapsed() < lasts {
            service.serve(plan, rng)?;
            events += service.storm(EVENTS)?;
        }
        Ok(events * 1000 / (started.elapsed().as_millis() as u64).max(1))
    }

    /// Whether the service ended for a reason that is the backend's own fault, or the frontend's need: then it `withdrew`.
    fn judge(
        &self,
        ended: io::Result<()>,
        plan: &Plan,
        withdrew: bool,
    ) -> io::Result<Option<io::Error>> {
        match ended {
            Ok(()) => Ok(None),
            Err(error) if is_finding(&error) => Err(error),
            Err(error) if plan.patience.is_some() && withdrew => Ok(Some(error)),
            Err(error) if plan.is_honest_at_first() && plan.lies.is_empty() => Err(finding(
                format!("the frontend is unkind to an honest backend: {error}"),
            )),
            Err(error) => Ok(Some(error)),
        }
    }

    /// Ends the device. Returns how long the frontend took to close, if it had to.
    fn end(
        &self,
        mut folders: Folders,
        service: Option<Box<dyn Service>>,
        plan: &Plan,
        rng: &mut Rng,
    ) -> io::Result<Option<Duration>> {
        folders.settle();
        let mut service = service;
        let started = Instant::now();
        match plan.ending {
            Ending::Removed => {
                folders.remove_front()?;
                use_what_is_left(&mut service, rng);
                return Ok(None);
            }
            Ending::Vanish => folders.remove_back()?,
            Ending::Die => {
                service = None;
                folders.set_state(b"5")?;
            }
            Ending::Restart => {
                folders.set_state(b"6")?;
                sleep(Duration::from_millis(rng.u64(..50)));
                folders.set_state(b"2")?;
                sleep(Duration::from_millis(rng.u64(..50)));
                folders.set_state(b"5")?;
            }
            Ending::Close | Ending::CloseAndUse => folders.set_state(b"5")?,
        }
        // A frontend that has nothing to close may stay as it is: one whose driver has refused the device, for instance.
        let is_open = folders.front_state()? > state::INIT_WAIT;
        let closed = match is_open {
            true => folders.await_front(&[state::CLOSED, 0], CLOSE_LIMIT * self.pace)?,
            false => Some(0),
        };
        let took = started.elapsed();
        if closed.is_none() {
            let found = folders.front_state()?;
            return Err(finding(format!(
                "the frontend does not close, its state is {found}"
            )));
        }
        if plan.ending == Ending::CloseAndUse {
            use_what_is_left(&mut service, rng);
        }
        if plan.ending != Ending::Vanish {
            folders.set_state(b"6")?;
        }
        folders.remove_front()?;
        if plan.ending == Ending::CloseAndUse {
            use_what_is_left(&mut service, rng);
        }
        Ok(Some(took))
    }
}

/// Serves as many requests as the plan says, or until the frontend has had enough.
fn serve(
    service: &mut dyn Service,
    folders: &mut Folders,
    plan: &Plan,
    rng: &mut Rng,
) -> io::Result<()> {
    let started = Instant::now();
    while started.elapsed() < SERVICE[0]
        || service.answered() < plan.serves && started.elapsed() < SERVICE[1]
    {
        service.serve(plan, rng)?;
        service.wait()?;
        if folders.front_state()? > state::CONNECTED {
            break;
        }
    }
    Ok(())
}

/// Goes on as if nothing had ended. What is not there any more cannot be used: that is no error.
fn use_what_is_left(service: &mut Option<Box<dyn Service>>, rng: &mut Rng) {
    if let Some(service) = service {
        for _ in 0..5 {
            let _ = service.use_what_is_left(rng);
            sleep(Duration::from_millis(10));
        }
    }
}
