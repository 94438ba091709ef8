// SPDX-License-Identifier: GPL-2.0

//! Scripts that run in the background of dom0 or of a guest, until they end or their time is over.

use std::time::Duration;

use agent::message::{Exit, Reply, Request};
use anyhow::{Context, Result};

use super::{Call, Output};
use crate::error::TimedOut;
use crate::pace::{Limit, Pace, Reading};

/// How long it may take until a command that was killed is gone.
const GRACE: Duration = Duration::from_secs(10);

/// How long a command may say nothing before its agent is asked for a sign of life.
const QUIET: Duration = Duration::from_secs(10);

/// A script that runs in the background.
pub struct Job {
    pub(super) call: Call,
    pub(super) script: String,
    /// Its own; none for one that may run for ever.
    pub(super) limit: Option<Limit>,
    pub(super) started: Reading,
}

/// What a script has written so far.
#[derive(Default)]
struct Written {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Job {
    /// Waits for the end, as long as the script's own limit allows (for ever if it has none); then the script and what it started
    /// are killed.
    pub fn wait(mut self) -> Result<Output> {
        let (limit, mut written) = (self.limit.take(), Written::default());
        if let Some(exit) = self.collect(limit.as_ref(), &mut written)? {
            return Ok(self.output(exit, written));
        }
        self.kill(9)?;
        let grace = self.pace().limit(GRACE);
        if self.collect(Some(&grace), &mut written)?.is_none() {
            // Either nothing is done there any more, or the script is stuck in the kernel, which is its own failure.
            self.call
                .place
                .is_alive()
                .with_context(|| self.description())?;
            written.stderr.extend(b"(the agent: it cannot be killed)");
        }
        if let Some(limit) = limit {
            let note = format!("(it was stopped after it had run {})", limit.spent());
            written.stderr.extend(note.bytes());
        }
        Ok(self.output(Exit::TimedOut, written))
    }

    /// Waits at most this long from now for the end; the script goes on if that is not enough.
    pub fn wait_for(self, limit: Duration) -> Result<Output> {
        let (limit, mut written) = (self.pace().limit(limit), Written::default());
        match self.collect(Some(&limit), &mut written)? {
            Some(exit) => Ok(self.output(exit, written)),
            None => {
                let spent = limit.spent();
                let what = format!(
                    "it is not done after it was waited for {spent}; {}",
                    self.description()
                );
                Err(TimedOut(what).into())
            }
        }
    }

    fn pace(&self) -> &Pace {
        &self.call.place.0.pace
    }

    fn description(&self) -> String {
        let name = self.call.place.name();
        format!("while this ran in {name}: {}", self.script)
    }

    /// Calls `each` with every piece that the script writes, and the number of the stream (1 or 2), until it ends. Fails if its
    /// place dies or hangs meanwhile.
    pub fn stream(&self, mut each: impl FnMut(u8, &[u8])) -> Result<Exit> {
        let end = self.take_output(None, &mut each)?;
        end.context("a command without a limit has ended by it")
    }

    fn collect(&self, limit: Option<&Limit>, written: &mut Written) -> Result<Option<Exit>> {
        self.take_output(limit, &mut |stream, data| match stream {
            1 => written.stdout.extend(data),
            _ => written.stderr.extend(data),
        })
    }

    /// Takes what the script writes until it ends, or the limit is over. While it writes nothing, the agent has to give signs of
    /// life: a place that hangs is found long before the limit of what was to be done there.
    fn take_output(
        &self,
        limit: Option<&Limit>,
        each: &mut dyn FnMut(u8, &[u8]),
    ) -> Result<Option<Exit>> {
        let mut quiet = self.pace().limit(QUIET);
        loop {
            let rest = limit.map_or(Duration::MAX, Limit::left);
            let next = match rest < quiet.left() {
                true => self.call.next(limit),
                false => self.call.next(Some(&quiet)),
            };
            match next.with_context(|| self.description())? {
                Some(Reply::Output { stream, data, .. }) => each(stream, &data),
                Some(Reply::Exited { exit, .. }) => return Ok(Some(exit)),
                Some(_) => {}
                None if limit.is_some_and(Limit::is_over) => return Ok(None),
                None => {
                    let alive = self.call.place.is_alive();
                    alive.with_context(|| self.description())?;
                }
            }
            // A script that writes without end has to be stopped like one that writes nothing.
            if limit.is_some_and(Limit::is_over) {
                return Ok(None);
            }
            quiet = self.pace().limit(QUIET);
        }
    }

    fn output(&self, exit: Exit, written: Written) -> Output {
        Output {
            place: self.call.place.name().to_owned(),
            script: self.script.clone(),
            exit,
            stdout: String::from_utf8_lossy(&written.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&written.stderr).into_owned(),
            took: self.pace().now().wall.saturating_sub(self.started.wall),
        }
    }

    /// Sends a signal to the script and all it started.
    pub fn kill(&self, signal: u32) -> Result<()> {
        self.call.place.send(&Request::Kill {
            job: self.call.job,
            signal,
        })
    }

    /// A handle that sends input from another thread; none at all closes the standard input.
    pub(crate) fn input_handle(&self) -> impl Fn(Vec<u8>) -> Result<()> + Send + use<> {
        let (place, job) = (self.call.place.clone(), self.call.job);
        move |data| place.send(&Request::Input { job, data })
    }

    /// A handle that kills the script from another thread.
    pub(crate) fn kill_handle(&self) -> impl FnOnce() + Send + use<> {
        let (place, job) = (self.call.place.clone(), self.call.job);
        move || {
            // Fails only when the machine is gone, and the script with it.
            let _ = place.send(&Request::Kill { job, signal: 9 });
        }
    }

    /// Calls `each` with every piece of standard output until the script ends. Returns how it ended.
    pub(crate) fn follow(self, mut each: impl FnMut(&[u8])) -> Result<Exit> {
        loop {
            match self.call.next(None)? {
                Some(Reply::Output {
                    stream: 1, data, ..
                }) => each(&data),
                Some(Reply::Exited { exit, .. }) => return Ok(exit),
                _ => {}
            }
        }
    }
}
