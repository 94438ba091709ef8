// SPDX-License-Identifier: GPL-2.0

//! What follows from the runs of a scenario. One in which a domain ended by a triple fault shows nothing, because that can be
//! the emulator's ([`crate::fault`]): the scenario runs again, and the report says so. If every run ends so, it fails: a kernel that
//! kills every domain must not pass.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::Error;

use crate::error::{Skip, TimedOut};
use crate::fault::{Culprit, Fault};
use crate::health::Lost;

/// How often a scenario is run at most.
pub const MAX_RUNS: usize = 3;

/// How one run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// With a verdict.
    Judged(Verdict),
    /// A domain ended by a triple fault.
    Lost(LostRun),
}

/// How a scenario ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As expected.
    Passed,
    /// It could not be run here.
    Skipped(String),
    /// Not as expected.
    Failed(String),
    /// Not within the time that it may take.
    TimedOut(String),
}

/// A run that a triple fault ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostRun {
    /// The triple faults.
    pub faults: Vec<Fault>,
    /// What the scenario said.
    pub error: String,
    /// Where its logs are.
    pub logs: Option<PathBuf>,
}

impl Attempt {
    /// A run's result, with the triple faults that were seen in it.
    pub fn new(result: Result<(), Error>, mut faults: Vec<Fault>, logs: Option<PathBuf>) -> Self {
        if let Some(Lost(more)) = result.as_ref().err().and_then(Error::downcast_ref) {
            faults.extend(more.iter().cloned());
        }
        if !faults.is_empty() {
            let error = match result {
                Ok(()) => "the scenario noticed nothing".into(),
                Err(error) => format!("{error:#}"),
            };
            return Self::Lost(LostRun {
                faults,
                error,
                logs,
            });
        }
        Self::Judged(Verdict::of(result))
    }
}

impl Verdict {
    /// What a scenario's result says.
    pub fn of(result: Result<(), Error>) -> Self {
        match result {
            Ok(()) => Self::Passed,
            Err(error) if error.is::<Skip>() => Self::Skipped(format!("{error:#}")),
            Err(error) if error.is::<TimedOut>() => Self::TimedOut(format!("{error:#}")),
            Err(error) => Self::Failed(format!("{error:#}")),
        }
    }
}

/// What follows from the runs so far; nothing if there has to be one more.
pub fn decide(attempts: &[Attempt]) -> Option<Verdict> {
    match attempts.last()? {
        Attempt::Judged(verdict) => Some(verdict.clone()),
        Attempt::Lost(_) if attempts.len() < MAX_RUNS => None,
        Attempt::Lost(last) => Some(Verdict::Failed(lost_always(attempts, last))),
    }
}

/// Whether it was a triple fault that failed it.
pub fn is_lost(attempts: &[Attempt]) -> bool {
    attempts.len() >= MAX_RUNS && matches!(attempts.last(), Some(Attempt::Lost(_)))
}

/// A line for each run that a triple fault ended.
pub fn repeats(attempts: &[Attempt]) -> Vec<String> {
    let mut lines = Vec::new();
    for (index, attempt) in attempts.iter().enumerate() {
        if let Attempt::Lost(loss) = attempt {
            lines.push(format!("run {}: {}", index + 1, loss.describe()));
        }
    }
    lines
}

impl LostRun {
    fn describe(&self) -> String {
        let faults: Vec<_> = self.faults.iter().map(Fault::to_string).collect();
        let mut text = faults.join("; ");
        if let Some(logs) = &self.logs {
            let _ = write!(text, " (logs: {})", logs.display());
        }
        text
    }
}

fn lost_always(attempts: &[Attempt], last: &LostRun) -> String {
    let culprits = attempts.iter().flat_map(|attempt| match attempt {
        Attempt::Lost(loss) => loss.faults.iter(),
        Attempt::Judged(_) => [].iter(),
    });
    let whose = match culprits.map(Fault::culprit).all(|c| c == Culprit::Emulator) {
        true => "the emulator's fault each time, so that nothing was learnt",
        false => "the emulator's fault or the kernel's",
    };
    let mut text = format!(
        "a domain ended by a triple fault in each of {} runs: {whose}",
        attempts.len()
    );
    for line in repeats(attempts) {
        let _ = write!(text, "\n{line}");
    }
    let _ = write!(text, "\nthe last run ended with: {}", last.error);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::anyhow;

    fn fault(rip: &str) -> Fault {
        let mut fault = Fault::of_line("(XEN) d3v1 Triple fault - invoking").unwrap();
        fault.read(&format!("(XEN) RIP:    0010:[<{rip}>]"));
        fault
    }

    fn lost(rip: &str) -> Attempt {
        Attempt::new(
            Err(anyhow!("g1 is dead")),
            vec![fault(rip)],
            Some("/l/boot-1".into()),
        )
    }

    const GUESTS: &str = "ffffffff81000000";
    const XENS: &str = "ffff82d040201234";

    #[test]
    fn what_is_lost_every_time_fails_and_says_so() {
        let attempts = [lost(XENS), lost(GUESTS), lost(GUESTS)];
        assert_eq!(decide(&attempts[..1]), None);
        assert_eq!(decide(&attempts[..2]), None);
        let Some(Verdict::Failed(why)) = decide(&attempts) else {
            panic!("not failed");
        };
        assert!(
            why.contains("in each of 3 runs: the emulator's fault or the kernel's"),
            "{why}"
        );
        assert!(
            why.contains("run 3: triple fault of d3v1 at RIP 0xffffffff81000000"),
            "{why}"
        );
        assert!(
            why.contains("/l/boot-1") && why.contains("g1 is dead"),
            "{why}"
        );
        assert!(is_lost(&attempts) && !is_lost(&attempts[..2]));
    }

    #[test]
    fn the_emulators_own_fault_every_time_fails_too() {
        let attempts = [lost(XENS), lost(XENS), lost(XENS)];
        let Some(Verdict::Failed(why)) = decide(&attempts) else {
            panic!("not failed");
        };
        assert!(why.contains("the emulator's fault each time"), "{why}");
    }

    #[test]
    fn a_verdict_after_a_loss_stands_and_the_loss_is_told() {
        let passed = Attempt::new(Ok(()), vec![], None);
        let attempts = [lost(XENS), passed.clone()];
        assert_eq!(decide(&attempts), Some(Verdict::Passed));
        assert_eq!(repeats(&attempts).len(), 1);
        assert!(repeats(&[passed]).is_empty());
        let failed = Attempt::new(Err(anyhow!("no")), vec![], None);
        assert_eq!(
            decide(&[lost(XENS), failed]),
            Some(Verdict::Failed("no".into()))
        );
    }

    #[test]
    fn a_run_that_ends_well_beside_a_triple_fault_does_not_count() {
        let attempt = Attempt::new(Ok(()), vec![fault(GUESTS)], None);
        assert_eq!(decide(&[attempt]), None);
    }

    #[test]
    fn errors_keep_their_kind_below_their_contexts() {
        let of = |error: Error| decide(&[Attempt::new(Err(error), vec![], None)]).unwrap();
        let late = Error::from(TimedOut("90 s".into())).context("g1 did not come up");
        assert_eq!(
            of(late),
            Verdict::TimedOut("g1 did not come up: 90 s".into())
        );
        assert_eq!(
            of(Skip("no KVM".into()).into()),
            Verdict::Skipped("no KVM".into())
        );
        let lost = Error::msg("gone")
            .context(Lost(vec![fault(XENS)]))
            .context("dom0");
        assert!(matches!(
            Attempt::new(Err(lost), vec![], None),
            Attempt::Lost(_)
        ));
    }
}
