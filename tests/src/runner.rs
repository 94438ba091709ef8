// SPDX-License-Identifier: GPL-2.0

//! Runs scenarios: those with the same topology one after the other in one boot, each on a clean machine. A
//! machine that died fails the scenario it died in and is booted again for the next.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Error, Result};
use kbuild::{Images, Session};

use crate::attempts::{Attempt, Verdict, decide, is_lost, repeats};
use crate::context::{Ctx, Machines};
use crate::error::{Skip, TimedOut};
use crate::fault::Fault;
use crate::fresh::Fresh;
use crate::health::Lost;
use crate::host::{Host, Start};
use crate::matrix::Cell;
use crate::scenario::{Run, Variant};
use crate::selection::Selection;
use crate::topology::{Hypervisor, Topology};

/// One scenario's result.
#[derive(Clone, Debug)]
pub struct ScenarioResult {
    /// How it ended.
    pub verdict: Verdict,
    /// How long it took, without the boot of a machine that it shares.
    pub took: Duration,
    /// What it had to say.
    pub notes: Vec<String>,
    /// How often it ran.
    pub runs: usize,
    /// Why it ran more than once, a line for each run that does not count.
    pub repeats: Vec<String>,
    /// Where its logs are.
    pub logs: Option<PathBuf>,
}

/// Runs a scenario that needs no virtual machine. Its logs are in a folder with its name.
pub fn on_host(session: &Session, scenario: &Variant, selection: &Selection) -> ScenarioResult {
    let started = Instant::now();
    let dir = session.logs().join(&scenario.name);
    let mut fresh = Fresh::new(session, scenario.cell.fresh, dir.clone(), selection.full);
    let result = match scenario.run {
        Run::OnHost(test) => std::fs::create_dir_all(&dir)
            .map_err(Error::new)
            .and_then(|()| guarded(|| test(&mut fresh))),
        _ => Err(Error::msg("a scenario of machines was given to the host")),
    };
    ScenarioResult {
        verdict: Verdict::of(result),
        took: started.elapsed(),
        notes: fresh.notes,
        runs: 1,
        repeats: Vec::new(),
        logs: Some(dir),
    }
}

/// Runs scenarios, on the machine that runs now if it is the right one.
pub struct Runner<'a> {
    session: &'a Session,
    images: &'a Images,
    selection: &'a Selection,
    current: Option<(Topology, Host)>,
    /// Tells machines of several runners apart.
    prefix: String,
    count: u32,
    /// Boots of shared machines: which, and how long each took.
    boots: Vec<(Topology, Duration)>,
    /// How long the boots of the scenario that runs took.
    booting: Duration,
}

impl<'a> Runner<'a> {
    /// One for machines of these images; their logs are in folders whose names begin with `prefix`.
    pub fn new(
        session: &'a Session,
        images: &'a Images,
        selection: &'a Selection,
        prefix: &str,
    ) -> Self {
        Self {
            session,
            images,
            selection,
            current: None,
            prefix: prefix.to_owned(),
            count: 0,
            boots: Vec::new(),
            booting: Duration::ZERO,
        }
    }

    /// Whether a machine for such scenarios runs.
    pub fn is_up(&self, topology: &Topology) -> bool {
        matches!(&self.current, Some((is, _)) if is == topology)
    }

    /// The boots of shared machines since the last call, and how long each took.
    pub fn take_boots(&mut self) -> Vec<(Topology, Duration)> {
        std::mem::take(&mut self.boots)
    }

    /// Runs a scenario, and again if a triple fault ended it: see [`crate::attempts`].
    pub fn run(&mut self, scenario: &Variant) -> ScenarioResult {
        let started = Instant::now();
        self.booting = Duration::ZERO;
        let mut attempts = Vec::new();
        let (mut verdict, notes) = loop {
            let mut notes = Vec::new();
            let result = self.run_once(scenario, &mut notes);
            attempts.push(self.judge(result));
            if let Some(verdict) = decide(&attempts) {
                break (verdict, notes);
            }
        };
        let logs = self.logs();
        if let (Verdict::Failed(why), true) = (&mut verdict, is_lost(&attempts)) {
            why.push('\n');
            why.push_str(&self.second_opinion(&scenario.topology));
        }
        ScenarioResult {
            verdict,
            took: started.elapsed().saturating_sub(self.booting),
            notes,
            runs: attempts.len(),
            repeats: repeats(&attempts),
            logs,
        }
    }

    /// What a run has shown. After a failure the machine is left.
    fn judge(&mut self, (result, mut faults): (Result<()>, Vec<Fault>)) -> Attempt {
        let has_failed = result.as_ref().is_err_and(|error| !error.is::<Skip>());
        if let Some((_, host)) = &self.current {
            // After a success nothing is on its way any more that says otherwise.
            faults.extend(match has_failed {
                true => host.lost_domains(),
                false => host.health().take_lost(),
            });
        }
        let attempt = Attempt::new(result, faults, self.logs());
        match attempt {
            Attempt::Judged(Verdict::Passed | Verdict::Skipped(_)) => {}
            _ => self.give_up(),
        }
        attempt
    }

    fn run_once(
        &mut self,
        scenario: &Variant,
        notes: &mut Vec<String>,
    ) -> (Result<()>, Vec<Fault>) {
        match scenario.run {
            Run::Booted(test) => {
                let selection = self.selection;
                let (boots, cell) = (scenario.boots, scenario.cell);
                let result = self.get(&scenario.topology, boots).and_then(|host| {
                    host.health().take_lost();
                    let result = one(host, test, cell, selection, notes);
                    // Of a machine that hangs nothing else tells why.
                    if result.as_ref().is_err_and(|error| error.is::<TimedOut>()) {
                        notes.extend(host.record_state());
                    }
                    result
                });
                (result, Vec::new())
            }
            Run::Alone(test) => {
                self.current = None;
                let dir = self.next_dir();
                let mut machines =
                    Machines::new(self.images, scenario.topology, dir, self.selection.full);
                let result = guarded(|| test(&mut machines));
                notes.append(&mut machines.notes);
                let result = verdict(result, &machines.complaints(), || Ok(()));
                (result, machines.lost())
            }
            // They need no machine: see `on_host`.
            Run::OnHost(_) => {
                let error = Error::msg("a scenario of the host was given to a machine");
                (Err(error), Vec::new())
            }
        }
    }

    /// A machine like this, which runs already or is started; if `boots`, one that has booted.
    fn get(&mut self, topology: &Topology, boots: bool) -> Result<&Host> {
        let is_other =
            |(is, host): &(Topology, Host)| is != topology || boots && host.is_from_snapshot;
        if self.current.as_ref().is_some_and(is_other) {
            self.current = None;
        }
        if self.current.is_none() {
            let dir = self.next_dir();
            let step = self.session.ui.step(format!("Starting {topology}"));
            let started = Instant::now();
            let start = match (self.selection.snapshots, boots) {
                (false, _) => Start::Boot,
                (true, true) => Start::BootAndKeep,
                (true, false) => Start::Snapshot,
            };
            let host = Host::start(self.images, topology, &dir, start);
            self.booting += started.elapsed();
            let host = host?;
            step.done(match host.is_from_snapshot {
                true => "from a snapshot",
                false => "booted",
            });
            self.boots.push((*topology, host.boot_time));
            self.current = Some((*topology, host));
        }
        match &self.current {
            Some((_, host)) => Ok(host),
            None => unreachable!("the machine was booted just now"),
        }
    }

    /// After triple faults on Xen: whether the same kernel comes up on our own hypervisor, in the same emulator.
    fn second_opinion(&mut self, topology: &Topology) -> String {
        if topology.hypervisor != Hypervisor::Xen || self.images.hypervisor().is_err() {
            return "the kernel was not tried on another hypervisor".into();
        }
        let dir = self.next_dir();
        let step = self
            .session
            .ui
            .step("Booting the same kernel on our hypervisor");
        match Host::start(self.images, &Topology::PARAVANE, &dir, Start::Boot) {
            Ok(_) => {
                step.done("");
                "the same kernel does come up as a PVH dom0 on our own hypervisor, in the same emulator".into()
            }
            Err(error) => format!(
                "the same kernel does not come up as a PVH dom0 on our own hypervisor either: {error:#}"
            ),
        }
    }

    fn next_dir(&mut self) -> PathBuf {
        self.count += 1;
        self.dir()
    }

    fn dir(&self) -> PathBuf {
        let name = format!("{}boot-{}", self.prefix, self.count);
        self.session.logs().join(name)
    }

    fn logs(&self) -> Option<PathBuf> {
        (self.count > 0).then(|| self.dir())
    }

    /// After a failure: keeps what dom0 can still tell; the next scenario gets a new machine, because nobody
    /// knows what state this one is in.
    fn give_up(&mut self) {
        if let Some((_, host)) = self.current.take() {
            host.keep_logs();
        }
    }
}

fn one(
    host: &Host,
    test: fn(&mut Ctx<'_>) -> Result<()>,
    cell: Cell,
    selection: &Selection,
    notes: &mut Vec<String>,
) -> Result<()> {
    let mut ctx = Ctx {
        host,
        driver: selection.driver,
        full: selection.full,
        notes: Vec::new(),
        cell,
        expected: Vec::new(),
    };
    let result = guarded(|| test(&mut ctx));
    notes.append(&mut ctx.notes);
    let expected = ctx.expected;
    let complaints: Vec<_> = host
        .health()
        .take_complaints()
        .into_iter()
        .filter(|line| !expected.iter().any(|text| line.contains(text)))
        .collect();
    verdict(result, &complaints, || host.clean())
}

/// Runs a test: one that panics must not take the others with it.
fn guarded(test: impl FnOnce() -> Result<()>) -> Result<()> {
    catch_unwind(AssertUnwindSafe(test))
        .unwrap_or_else(|panic| Err(Error::msg(panic_text(panic.as_ref()))))
}

/// A test's result, with what kernels complained about meanwhile.
fn verdict(
    result: Result<()>,
    complaints: &[String],
    clean: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let result = match result {
        Ok(()) if complaints.is_empty() => clean(),
        Ok(()) => Err(Error::msg("a kernel complained")),
        Err(error) => Err(error),
    };
    result.map_err(|error| {
        if complaints.is_empty() || error.is::<Skip>() {
            return error;
        }
        let shown: Vec<_> = complaints
            .iter()
            .take(10)
            .map(|line| format!("    {line}"))
            .collect();
        let text = format!("{error:#}\nkernel messages:\n{}", shown.join("\n"));
        // What kind of error it is must survive.
        match error.downcast::<Lost>() {
            Ok(lost) => Error::new(lost).context(text),
            Err(error) if error.is::<TimedOut>() => TimedOut(text).into(),
            Err(_) => Error::msg(text),
        }
    })
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    format!(
        "the scenario itself panicked: {}",
        text.unwrap_or("without a message")
    )
}
