// SPDX-License-Identifier: GPL-2.0

//! Talking to the agents in dom0 and in guests: connections, requests and answers.
//!
//! What can be done there is in [`commands`], scripts that run in the background in [`job`].

mod commands;
mod job;
mod output;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU32;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use agent::message::{Reply, Request};
use agent::wire::{self, Deframer};
use anyhow::{Context, Result, bail};

use crate::error::TimedOut;
use crate::health::Health;
use crate::pace::{Limit, Pace};

pub use job::Job;
pub use output::Output;

/// How long a command may take unless the caller says otherwise. This and all limits are in the machine's own time: see
/// [`crate::pace`].
pub const DEFAULT_LIMIT: Duration = Duration::from_secs(60);

/// How often it is checked whether a place is dead while its answer is waited for.
const HEALTH_CHECK: Duration = Duration::from_millis(100);

/// A place where commands run: dom0 or a guest. Cheap to clone.
#[derive(Clone)]
pub struct Place(Arc<Endpoint>);

struct Endpoint {
    name: String,
    health: Health,
    pace: Pace,
    /// What its console says.
    log: PathBuf,
    out: Out,
    waiting: Mutex<HashMap<u32, Sender<Reply>>>,
    next: AtomicU32,
    /// Guests reached through this one, by channel.
    channels: Mutex<HashMap<u32, (Deframer, Place)>>,
}

enum Out {
    Stream(Mutex<UnixStream>),
    Channel(Place, u32),
}

impl Place {
    /// Connects to the agent that a machine's socket leads to; its reader thread ends with the stream.
    pub(crate) fn connect(
        name: &str,
        stream: UnixStream,
        health: &Health,
        pace: &Pace,
        log: &Path,
    ) -> Result<Self> {
        let mut input = stream.try_clone()?;
        let out = Out::Stream(Mutex::new(stream));
        let place = Self::new(name, health.clone(), pace.clone(), log, out);
        let reader = place.clone();
        thread::Builder::new()
            .name(format!("{name}'s agent"))
            .spawn(move || {
                let end = loop {
                    match wire::read_frame(&mut input) {
                        Ok(Some(body)) => {
                            if let Err(error) = reader.take(&body) {
                                break error;
                            }
                        }
                        Ok(None) => break anyhow::anyhow!("the machine closed it"),
                        Err(error) => break error.into(),
                    }
                };
                reader.0.health.died(format!(
                    "the connection to {}'s agent ended: {end:#}",
                    reader.name()
                ));
            })?;
        Ok(place)
    }

    /// Makes the place for a guest that is reached through this one.
    pub(crate) fn open(
        &self,
        name: &str,
        channel: u32,
        domid: u32,
        health: Health,
        log: &Path,
    ) -> Result<Self> {
        let out = Out::Channel(self.clone(), channel);
        let place = Self::new(name, health, self.0.pace.clone(), log, out);
        lock(&self.0.channels).insert(channel, (Deframer::default(), place.clone()));
        self.send(&Request::Open { channel, domid })?;
        Ok(place)
    }

    /// Goes on with a guest that now has another number.
    pub(crate) fn reopen(&self, channel: u32, domid: u32) -> Result<()> {
        self.send(&Request::Open { channel, domid })
    }

    /// Forgets a guest.
    pub(crate) fn close(&self, channel: u32) {
        lock(&self.0.channels).remove(&channel);
        // If the machine is gone, so is the channel.
        let _ = self.send(&Request::Close { channel });
    }

    fn new(name: &str, health: Health, pace: Pace, log: &Path, out: Out) -> Self {
        Self(Arc::new(Endpoint {
            name: name.to_owned(),
            health,
            pace,
            log: log.to_owned(),
            out,
            waiting: Mutex::default(),
            next: AtomicU32::new(1),
            channels: Mutex::default(),
        }))
    }

    /// Its name, for messages.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Whether it is alive.
    pub fn health(&self) -> &Health {
        &self.0.health
    }

    /// The clock of its machine.
    pub fn pace(&self) -> &Pace {
        &self.0.pace
    }

    fn call(&self, job: u32, request: &Request) -> Result<Call> {
        self.0.health.check()?;
        let (sender, replies) = channel();
        lock(&self.0.waiting).insert(job, sender);
        let call = Call {
            place: self.clone(),
            job,
            replies,
        };
        self.send(request)?;
        Ok(call)
    }

    fn send(&self, request: &Request) -> Result<()> {
        self.send_bytes(wire::frame(&request.encode()))
    }

    fn send_bytes(&self, bytes: Vec<u8>) -> Result<()> {
        match &self.0.out {
            Out::Stream(stream) => {
                let sent = lock(stream).write_all(&bytes);
                sent.with_context(|| format!("cannot send to {}'s agent", self.name()))
            }
            Out::Channel(dom0, channel) => dom0.send(&Request::Data {
                channel: *channel,
                data: bytes,
            }),
        }
    }

    fn take(&self, body: &[u8]) -> Result<()> {
        let reply = Reply::decode(body)?;
        let job = match &reply {
            Reply::Data { channel, data } => return self.take_channel(*channel, data),
            Reply::Lost { channel, message } => {
                if let Some((_, guest)) = lock(&self.0.channels).get(channel) {
                    guest.0.health.died(format!(
                        "the agent in {} is out of reach: {message}",
                        guest.name()
                    ));
                }
                return Ok(());
            }
            Reply::Hello { .. } => 0,
            Reply::Started { job, .. }
            | Reply::Output { job, .. }
            | Reply::Exited { job, .. }
            | Reply::Failed { job, .. }
            | Reply::Done { job }
            | Reply::Content { job, .. } => *job,
        };
        if let Some(sender) = lock(&self.0.waiting).get(&job) {
            // The wait may be over.
            let _ = sender.send(reply);
        }
        Ok(())
    }

    fn take_channel(&self, channel: u32, data: &[u8]) -> Result<()> {
        let (bodies, guest) = match lock(&self.0.channels).get_mut(&channel) {
            Some((deframer, guest)) => (deframer.push(data), guest.clone()),
            None => return Ok(()),
        };
        let taken = bodies
            .map_err(anyhow::Error::from)
            .and_then(|bodies| bodies.iter().try_for_each(|body| guest.take(body)));
        if let Err(error) = taken {
            // Only this guest's stream is broken.
            guest.0.health.died(format!(
                "the agent in {} talks nonsense: {error:#}",
                guest.name()
            ));
        }
        Ok(())
    }

    fn no_answer(&self, limit: &Limit) -> TimedOut {
        TimedOut(format!(
            "{} did not answer {}; see {}",
            self.name(),
            limit.spent(),
            self.0.log.display()
        ))
    }
}

/// A request that was sent, and its answers.
struct Call {
    place: Place,
    job: u32,
    replies: Receiver<Reply>,
}

impl Call {
    /// The next answer; none if the limit is over before. Fails at once when the machine or guest is dead.
    fn next(&self, limit: Option<&Limit>) -> Result<Option<Reply>> {
        loop {
            let over = limit.is_some_and(Limit::is_over);
            match self.replies.recv_timeout(HEALTH_CHECK) {
                Ok(Reply::Failed { message, .. }) => bail!("{}: {message}", self.place.name()),
                Ok(reply) => return Ok(Some(reply)),
                Err(RecvTimeoutError::Disconnected) => bail!("the request was given up"),
                Err(RecvTimeoutError::Timeout) => {
                    self.place.health().check()?;
                    if over {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// The next answer, which has to come in time.
    fn answer(&self, limit: &Limit) -> Result<Reply> {
        let answer = self.next(Some(limit))?;
        answer.ok_or_else(|| self.place.no_answer(limit).into())
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        lock(&self.place.0.waiting).remove(&self.job);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
