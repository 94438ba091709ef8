// SPDX-License-Identifier: GPL-2.0

//! What can be done in a place: finding out whether its agent answers, running scripts, moving files.

use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use agent::message::{Reply, Request, VERSION};
use anyhow::{Context, Result, bail};

use super::{DEFAULT_LIMIT, Job, Output, Place};
use crate::error::TimedOut;
use crate::pace::{Limit, MAX_SLOWNESS};

/// How long an agent may take for a sign of life.
const ALIVE_LIMIT: Duration = Duration::from_secs(20);

/// What an agent reads for a sign of life.
const CLOCK: &str = "/proc/uptime";

/// How long xl may take to create something.
const XL_LIMIT: Duration = Duration::from_secs(60);

/// How often xl may try that on a slow machine.
const XL_ATTEMPTS: u32 = 3;

/// What xl says if that was too slow.
const XL_TOO_SLOW: &str = "because of timeout";

/// Bytes of a file in one message.
const PIECE: usize = 64 << 10;

impl Place {
    /// Waits until the agent of something that runs already answers; returns the kernel's release there.
    pub fn hello(&self, limit: Duration) -> Result<String> {
        self.greet(&self.0.pace.limit(limit))
    }

    /// Waits until the agent of something that starts answers, or until the console says nothing for too long.
    pub fn comes_up(&self, limit: Duration, silence: Duration) -> Result<String> {
        let limit = self.0.pace.limit(limit).or_silence(silence, &self.0.log);
        self.greet(&limit)
    }

    fn greet(&self, limit: &Limit) -> Result<String> {
        let call = self.call(0, &Request::Hello)?;
        let reply = call
            .next(Some(limit))?
            .ok_or_else(|| self.no_answer(limit))
            .with_context(|| format!("{} did not come up", self.name()))?;
        match reply {
            Reply::Hello {
                version: VERSION,
                kernel,
            } => Ok(kernel),
            other => bail!("{} has an agent of another version: {other:?}", self.name()),
        }
    }

    /// An agent that nothing is wrong with answers this at once, whatever else is done there. An error says what is wrong.
    pub(super) fn is_alive(&self) -> Result<()> {
        let limit = self.0.pace.limit(ALIVE_LIMIT);
        self.read(CLOCK, 0, &limit)
            .map(drop)
            .with_context(|| format!("{} hangs", self.name()))
    }

    /// Runs a shell script with the default time limit. The result may be a failure: see [`Output::ok`].
    pub fn run(&self, script: &str) -> Result<Output> {
        self.run_for(DEFAULT_LIMIT, script)
    }

    /// Runs a shell script with a time limit, after which the script and what it started are killed.
    pub fn run_for(&self, limit: Duration, script: &str) -> Result<Output> {
        self.start(Some(limit), script)?.wait()
    }

    /// Runs a shell script that has to succeed; returns its standard output without the last line's end.
    pub fn sh(&self, script: &str) -> Result<String> {
        Ok(self.run(script)?.ok()?.stdout.trim_end().to_owned())
    }

    /// Runs a shell script that has xl create something. The toolstack gives a hotplug script 40 seconds by dom0's clock and then
    /// undoes all, which no option changes. Where a machine is too slow for that it may try again.
    pub fn run_xl(&self, script: &str) -> Result<Output> {
        self.run_xl_for(XL_LIMIT, script)
    }

    /// The same with another time limit, which is that of each try.
    pub fn run_xl_for(&self, limit: Duration, script: &str) -> Result<Output> {
        for _ in 1..XL_ATTEMPTS {
            let slow = self.pace().factor() > 1;
            let output = self.run_for(limit, script)?;
            if !(slow && output.stderr.contains(XL_TOO_SLOW)) {
                return Ok(output);
            }
        }
        self.run_for(limit, script)
    }

    /// Starts a shell script in the background.
    pub fn spawn(&self, script: &str) -> Result<Job> {
        self.start(None, script)
    }

    /// Runs a script that has to succeed again and again until its output satisfies `done`.
    pub fn wait_for(
        &self,
        what: &str,
        limit: Duration,
        script: &str,
        done: impl Fn(&str) -> bool,
    ) -> Result<String> {
        let limit = self.0.pace.limit(limit);
        loop {
            let over = limit.is_over();
            let output = self.run(script)?;
            if output.succeeded() && done(output.stdout.trim_end()) {
                return Ok(output.stdout.trim_end().to_owned());
            }
            if over {
                let spent = limit.spent();
                let what = format!("waited in vain for {what}, {spent}; last, {output}");
                return Err(TimedOut(what).into());
            }
            thread::sleep(Duration::from_millis(200));
        }
    }

    /// So many seconds or milliseconds, lengthened for what counts them by its own clock in there and has to take as long as
    /// something that the machine does meanwhile.
    pub fn lengthened(&self, time: u32) -> u32 {
        time * self.0.pace.factor()
    }

    fn start(&self, limit: Option<Duration>, script: &str) -> Result<Job> {
        // Whatever counts time in there multiplies it by this.
        let text = format!("export PACE={}\n{script}", self.0.pace.factor());
        let argv = ["sh", "-c", &text].map(str::to_owned).to_vec();
        self.start_argv(argv, limit, false, None, script)
    }

    pub(crate) fn start_argv(
        &self,
        argv: Vec<String>,
        limit: Option<Duration>,
        stdin: bool,
        pty: Option<(u16, u16)>,
        script: &str,
    ) -> Result<Job> {
        let job = self.0.next.fetch_add(1, Ordering::Relaxed);
        // We say when its time is over, since that depends on the machine. This is for when we cannot.
        let timeout_ms = limit.map_or(0, |limit| {
            u32::try_from((limit * MAX_SLOWNESS * 2).as_millis()).unwrap_or(0)
        });
        let call = self.call(
            job,
            &Request::Spawn {
                job,
                argv,
                timeout_ms,
                stdin,
                pty,
            },
        )?;
        Ok(Job {
            call,
            script: script.to_owned(),
            limit: limit.map(|limit| self.0.pace.limit(limit)),
            started: self.0.pace.now(),
        })
    }

    /// Writes a file, making its folders.
    pub fn put(&self, path: &str, mode: u32, content: &[u8]) -> Result<()> {
        let mut append = false;
        // An empty file is written too.
        for piece in content
            .chunks(PIECE)
            .chain(content.is_empty().then_some(&[][..]))
        {
            let job = self.0.next.fetch_add(1, Ordering::Relaxed);
            let (path, data) = (path.to_owned(), piece.to_vec());
            let call = self.call(
                job,
                &Request::Write {
                    job,
                    path,
                    mode,
                    append,
                    data,
                },
            )?;
            match call.answer(&self.0.pace.limit(DEFAULT_LIMIT))? {
                Reply::Done { .. } => append = true,
                other => bail!("unexpected answer of {}: {other:?}", self.name()),
            }
        }
        Ok(())
    }

    /// Reads a file.
    pub fn get(&self, path: &str) -> Result<Vec<u8>> {
        let mut content = Vec::new();
        loop {
            let limit = self.0.pace.limit(DEFAULT_LIMIT);
            match self.read(path, content.len() as u64, &limit)? {
                data if data.is_empty() => return Ok(content),
                data => content.extend(data),
            }
        }
    }

    /// Reads a part of a file.
    fn read(&self, path: &str, offset: u64, limit: &Limit) -> Result<Vec<u8>> {
        let job = self.0.next.fetch_add(1, Ordering::Relaxed);
        let call = self.call(
            job,
            &Request::Read {
                job,
                path: path.to_owned(),
                offset,
                len: u32::try_from(PIECE)?,
            },
        )?;
        match call.answer(limit)? {
            Reply::Content { data, .. } => Ok(data),
            other => bail!("unexpected answer of {}: {other:?}", self.name()),
        }
    }
}
