// SPDX-License-Identifier: GPL-2.0

//! Talking to agents: running commands in dom0 or in a guest, moving files, from the host.

use std::collections::HashMap;
use std::fmt;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use agent::message::{Exit, Reply, Request, VERSION};
use agent::wire::{self, Deframer};
use anyhow::{Context, Result, bail};

use crate::health::Health;
use crate::pace::{Limit, MOST, Pace, Reading};
use crate::scenario::TimedOut;

/// How long a command may take unless the caller says otherwise. This and all limits are in the machine's own time: see
/// [`crate::pace`].
pub const DEFAULT_LIMIT: Duration = Duration::from_secs(60);

/// How long it may take until a command that was killed is gone.
const GRACE: Duration = Duration::from_secs(10);

/// How long a command may say nothing before its agent is asked for a sign of life.
const QUIET: Duration = Duration::from_secs(10);

/// How long an agent may take for one.
const ALIVE_LIMIT: Duration = Duration::from_secs(20);

/// How long xl may take to create something, how often it may try on a slow machine, and what it says if that was too slow.
const XL_LIMIT: Duration = Duration::from_secs(60);
const XL_ATTEMPTS: u32 = 3;
const XL_TOO_SLOW: &str = "because of timeout";

/// What an agent reads for a sign of life.
const CLOCK: &str = "/proc/uptime";

/// How often it is looked whether a place is dead while its answer is waited for.
const GLANCE: Duration = Duration::from_millis(100);

/// Bytes of a file in one message.
const PIECE: usize = 64 << 10;

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

/// How a command went.
#[derive(Clone, Debug)]
pub struct Output {
    /// Where it ran.
    pub place: String,
    /// The shell script.
    pub script: String,
    /// How it ended.
    pub exit: Exit,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
    /// How long it took, as seen from the host.
    pub took: Duration,
}

impl Output {
    /// Whether it ended with status 0.
    pub fn succeeded(&self) -> bool {
        self.exit == Exit::Code(0)
    }

    /// An error with all output unless it ended with status 0.
    pub fn ok(self) -> Result<Self> {
        match self.exit {
            Exit::Code(0) => Ok(self),
            Exit::TimedOut => Err(TimedOut(self.to_string()).into()),
            _ => bail!("{self}"),
        }
    }

    /// An error if it ended with status 0: for commands that must be refused.
    pub fn fails(self) -> Result<Self> {
        if self.succeeded() {
            bail!("this should have failed: {self}");
        }
        Ok(self)
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "in {}, after {:.1} s, this {}:",
            self.place,
            self.took.as_secs_f32(),
            self.exit
        )?;
        for (mark, text) in [
            ("$", &self.script),
            ("|", &self.stdout),
            ("!", &self.stderr),
        ] {
            let lines: Vec<_> = text.trim().lines().collect();
            let skipped = lines.len().saturating_sub(30);
            if skipped > 0 {
                write!(f, "\n    {mark} ... {skipped} lines")?;
            }
            for line in lines.into_iter().skip(skipped) {
                write!(f, "\n    {mark} {line}")?;
            }
        }
        Ok(())
    }
}

impl Place {
    /// Connects to dom0's agent over the machine's socket; its reader thread ends with the stream.
    pub(crate) fn connect(
        stream: UnixStream,
        health: &Health,
        pace: &Pace,
        log: &Path,
    ) -> Result<Self> {
        let mut input = stream.try_clone()?;
        let out = Out::Stream(Mutex::new(stream));
        let place = Self::new("dom0", health.clone(), pace.clone(), log, out);
        let reader = place.clone();
        thread::Builder::new()
            .name("dom0's agent".into())
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
                reader
                    .0
                    .health
                    .died(format!("the connection to dom0's agent ended: {end:#}"));
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
    fn is_alive(&self) -> Result<()> {
        let limit = self.0.pace.limit(ALIVE_LIMIT);
        self.read(CLOCK, 0, &limit)
            .map(drop)
            .with_context(|| format!("{} hangs", self.name()))
    }

    fn no_answer(&self, limit: &Limit) -> TimedOut {
        TimedOut(format!(
            "{} did not answer {}; see {}",
            self.name(),
            limit.spent(),
            self.0.log.display()
        ))
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
        for _ in 1..XL_ATTEMPTS {
            let slow = self.pace().factor() > 1;
            let output = self.run_for(XL_LIMIT, script)?;
            if !(slow && output.stderr.contains(XL_TOO_SLOW)) {
                return Ok(output);
            }
        }
        self.run_for(XL_LIMIT, script)
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
            u32::try_from((limit * MOST * 2).as_millis()).unwrap_or(0)
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
            // Whoever waited may have given up.
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
            match self.replies.recv_timeout(GLANCE) {
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

/// A script that runs in the background.
pub struct Job {
    call: Call,
    script: String,
    limit: Option<Limit>,
    started: Reading,
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

    /// Takes what the script writes until it ends, or the limit is over. While it writes nothing, the agent has to give signs of
    /// life: a place that hangs is found long before the limit of what was to be done there.
    fn collect(&self, limit: Option<&Limit>, written: &mut Written) -> Result<Option<Exit>> {
        let mut quiet = self.pace().limit(QUIET);
        loop {
            let rest = limit.map_or(Duration::MAX, Limit::left);
            let next = match rest < quiet.left() {
                true => self.call.next(limit),
                false => self.call.next(Some(&quiet)),
            };
            match next.with_context(|| self.description())? {
                Some(Reply::Output {
                    stream: 1, data, ..
                }) => written.stdout.extend(data),
                Some(Reply::Output { data, .. }) => written.stderr.extend(data),
                Some(Reply::Exited { exit, .. }) => return Ok(Some(exit)),
                Some(_) => {}
                None if limit.is_some_and(Limit::is_over) => return Ok(None),
                None => {
                    let alive = self.call.place.is_alive();
                    alive.with_context(|| self.description())?;
                }
            }
            // Whoever never stops writing is no better than who writes nothing.
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

    /// Calls `each` with every piece of standard output until the script ends.
    pub(crate) fn follow(self, mut each: impl FnMut(&[u8])) -> Result<()> {
        loop {
            match self.call.next(None)? {
                Some(Reply::Output {
                    stream: 1, data, ..
                }) => each(&data),
                Some(Reply::Exited { .. }) => return Ok(()),
                _ => {}
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A place served by the real agent on the other end of a socket.
    fn here() -> Place {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let answers = theirs.try_clone().unwrap();
        thread::spawn(move || agent::serve::serve(theirs, answers, false));
        let log = Path::new("/no/console");
        Place::connect(ours, &Health::default(), &Pace::default(), log).unwrap()
    }

    #[test]
    fn commands_files_and_background_jobs() {
        let place = here();
        place.hello(DEFAULT_LIMIT).unwrap();
        assert_eq!(place.sh("echo a; echo b >&2").unwrap(), "a");
        let failed = place.run("echo why >&2; exit 4").unwrap();
        assert!(failed.clone().fails().is_ok());
        assert!(failed.ok().unwrap_err().to_string().contains("! why"));
        let job = place.spawn("sleep 60").unwrap();
        job.kill(15).unwrap();
        assert_eq!(job.wait_for(DEFAULT_LIMIT).unwrap().exit, Exit::Signal(15));
        let path = std::env::temp_dir().join(format!("vmtest-{}", std::process::id()));
        let path = path.to_str().unwrap();
        let content: Vec<u8> = (0..200_000u32).flat_map(u32::to_le_bytes).collect();
        place.put(path, 0o600, &content).unwrap();
        assert!(place.get(path).unwrap() == content);
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_death_ends_the_wait() {
        let place = here();
        let job = place.spawn("sleep 5").unwrap();
        place.health().died("the machine burns");
        let error = job.wait().unwrap_err();
        assert!(format!("{error:#}").contains("burns"));
    }

    #[test]
    fn time_limits_are_kept_inside() {
        let output = here()
            .run_for(Duration::from_millis(300), "sleep 20")
            .unwrap();
        assert_eq!(output.exit, Exit::TimedOut);
        assert!(output.stderr.contains("reference machine"), "{output}");
        assert!(output.took < Duration::from_secs(10), "{output}");
    }

    #[test]
    fn on_a_fast_machine_xl_has_one_attempt() {
        let dir = tempfile::tempdir().unwrap();
        let tries = dir.path().join("tries");
        let script = format!(
            "echo >> {}; echo killing because of timeout >&2; exit 3",
            tries.display()
        );
        assert!(!here().run_xl(&script).unwrap().succeeded());
        assert_eq!(std::fs::read_to_string(tries).unwrap(), "\n");
    }

    #[test]
    fn who_writes_for_ever_is_stopped_too() {
        let limit = Duration::from_millis(300);
        let output = here()
            .run_for(limit, "while :; do echo more; done")
            .unwrap();
        assert_eq!(output.exit, Exit::TimedOut);
    }

    #[test]
    fn a_place_without_signs_of_life_hangs() {
        // Nobody reads at the other end, but it is open.
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let (pace, log) = (Pace::default(), Path::new("/no/console"));
        let place = Place::connect(ours, &Health::default(), &pace, log).unwrap();
        let limit = Duration::from_millis(300);
        let error = format!("{:#}", place.hello(limit).unwrap_err());
        assert!(error.contains("dom0 did not answer for 0."), "{error}");
        assert!(error.contains("see /no/console"), "{error}");
    }

    #[test]
    fn scripts_know_by_how_much_the_machine_is_slower() {
        assert_eq!(here().sh("echo $PACE").unwrap(), "1");
    }
}
