// SPDX-License-Identifier: GPL-2.0

//! A run of some targets, several at a time, and what it tells.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use kbuild::ui::Step;
use kbuild::{Session, process};

use super::binaries::Binaries;
use super::finding;
use super::output::{Output, Progress};
use super::record::Record;

/// How long a single input may take; none takes more than milliseconds.
const INPUT: Duration = Duration::from_secs(60);

/// What a run works with.
pub struct Round<'s> {
    pub session: &'s Session,
    pub binaries: Binaries,
    /// The folder that has a folder for each target with its inputs.
    pub folder: PathBuf,
    /// How long each target runs.
    pub time: Duration,
    /// Where inputs are added up, as soon as a target has ended: a long run may be interrupted.
    pub record: Mutex<PathBuf>,
}

/// How the run of a target ended.
#[derive(Clone, Debug)]
pub struct Ended {
    pub progress: Progress,
    /// How long it ran.
    pub time: Duration,
    /// The input that broke a promise, as a file in the work tree.
    pub finding: Option<PathBuf>,
}

impl Round<'_> {
    /// Runs targets, `jobs` at a time. The first that cannot be run ends the rest; one that finds something does not.
    pub fn run(&self, names: &[String], jobs: usize) -> Result<Vec<(String, Ended)>> {
        let waiting = Mutex::new(names.iter().collect::<VecDeque<_>>());
        let next = || {
            waiting
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .pop_front()
        };
        let work = || {
            let mut ended = Vec::new();
            while let Some(name) = next() {
                let run = self.target(name);
                if run.is_err() {
                    waiting
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .clear();
                }
                ended.push((name.clone(), run?));
            }
            Ok(ended)
        };
        let mut ended = thread::scope(|scope| {
            let workers: Vec<_> = (0..jobs.max(1)).map(|_| scope.spawn(work)).collect();
            let mut all = Vec::new();
            for worker in workers {
                let ended: Result<Vec<_>> = worker.join().unwrap_or_else(|panic| {
                    std::panic::resume_unwind(panic);
                });
                all.extend(ended?);
            }
            anyhow::Ok(all)
        })?;
        ended.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(ended)
    }

    fn target(&self, name: &str) -> Result<Ended> {
        let step = self.session.ui.step(format!("Fuzzing {name}"));
        let work = self.folder.join(name);
        let corpus = work.join("corpus");
        fs::create_dir_all(&corpus).with_context(|| corpus.display().to_string())?;
        let mut command = self
            .binaries
            .command(name, &work)
            .arg(format!("-max_total_time={}", self.time.as_secs().max(1)))
            .arg(format!("-timeout={}", INPUT.as_secs()))
            // Longer inputs come sooner than by libFuzzer's own choice: a conversation takes some.
            .arg("-len_control=20")
            // Optimised code compares several fields at once: how close a comparison came leads to the fields one by one.
            .arg("-use_value_profile=1")
            .arg("-print_final_stats=1")
            .arg("corpus")
            .build()?;
        let mut output = Output::default();
        let log = self.session.log(&format!("fuzz-{name}"));
        let what = format!("fuzzing {name}");
        let started = Instant::now();
        let run = process::run_watched(&step, &what, &mut command, &log, |line| {
            output.read(line);
        });
        let time = started.elapsed();
        let record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        Record::add_to(&record, name, output.progress.inputs)?;
        drop(record);
        let finding = self.finding(&step, name, &work)?;
        // libFuzzer's status says no more than that there is one.
        if finding.is_none() {
            run?;
        }
        let ended = Ended {
            progress: output.progress,
            time,
            finding,
        };
        match &ended.finding {
            Some(_) => step.say(&format!("{}, a promise is broken", ended.describe())),
            None => step.done(&ended.describe()),
        }
        Ok(ended)
    }

    /// Keeps what was found, if something was.
    fn finding(&self, step: &Step, name: &str, work: &Path) -> Result<Option<PathBuf>> {
        let Some(found) = finding::find(work)? else {
            return Ok(None);
        };
        let kept = finding::keep(self.session, step, &self.binaries, name, &found)?;
        finding::forget(work)?;
        Ok(Some(kept))
    }
}

impl Ended {
    fn describe(&self) -> String {
        let Progress { inputs, edges, .. } = self.progress;
        format!("{} inputs, {edges} edges", grouped(inputs))
    }
}

/// What was run and covered, a line for each target.
pub fn table(ended: &[(String, Ended)], record: &Record) -> String {
    let mut text = format!(
        "{:16} {:>15} {:>10} {:>7} {:>7} {:>17}\n",
        "target", "inputs", "a second", "edges", "corpus", "inputs, all runs"
    );
    let mut sum = 0;
    for (name, Ended { progress, time, .. }) in ended {
        let each = progress.inputs as f64 / time.as_secs_f64().max(1e-3);
        sum += record.of(name);
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "{name:16} {:>15} {:>10} {:>7} {:>7} {:>17}",
            grouped(progress.inputs),
            grouped(each as u64),
            progress.edges,
            progress.corpus,
            grouped(record.of(name)),
        );
    }
    let _ = writeln!(text, "{:>77}", grouped(sum));
    text
}

/// What broke promises; nothing if none did.
pub fn findings(ended: &[(String, Ended)]) -> Option<String> {
    let mut text = String::new();
    for (
        name,
        Ended {
            progress, finding, ..
        },
    ) in ended
    {
        if let Some(file) = finding {
            let why = progress.panic.as_deref();
            let why = why.unwrap_or("no panic: too slow, or too much memory");
            let _ = writeln!(text, "{name}: {why}\n  {}", file.display());
        }
    }
    (!text.is_empty()).then_some(text)
}

/// A number with its thousands apart.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(finding: Option<&str>) -> Ended {
        Ended {
            progress: Progress {
                inputs: 1_200_000,
                edges: 312,
                corpus: 97,
                panic: finding.map(|_| "more than there is room for".to_owned()),
            },
            time: Duration::from_secs(10),
            finding: finding.map(PathBuf::from),
        }
    }

    #[test]
    fn the_table_has_a_line_for_each_target_and_the_sum() {
        let mut record = Record::default();
        record.add("front_ring", 5_000_000);
        let ended = [("front_ring".to_owned(), ended(None))];
        let table = table(&ended, &record);
        let lines: Vec<_> = table
            .lines()
            .map(|l| l.split_whitespace().collect::<Vec<_>>())
            .collect();
        assert_eq!(
            lines[1],
            [
                "front_ring",
                "1,200,000",
                "120,000",
                "312",
                "97",
                "5,000,000"
            ]
        );
        assert_eq!(lines[2], ["5,000,000"]);
    }

    #[test]
    fn findings_are_told_with_the_panic_and_the_file() {
        assert_eq!(findings(&[("a".to_owned(), ended(None))]), None);
        let text = findings(&[("a".to_owned(), ended(Some("dir/0123")))]).unwrap();
        assert_eq!(text, "a: more than there is room for\n  dir/0123\n");
    }

    #[test]
    fn thousands_are_apart() {
        let numbers = [0, 999, 1000, 1_234_567].map(grouped);
        assert_eq!(numbers, ["0", "999", "1,000", "1,234,567"]);
    }
}
