// SPDX-License-Identifier: GPL-2.0

//! What the user sees while something takes long: one line a step with a spinner, the time and the last line
//! of output on a terminal; plain lines in a log. Each says how long it took last time and what comes after it.

mod times;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use console::style;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use times::Times;

/// Less is not worth telling how long it takes.
const WORTH_A_WORD: Duration = Duration::from_secs(5);

/// The terminal, shared by all steps, from any thread.
#[derive(Clone, Debug)]
pub struct Ui {
    bars: MultiProgress,
    interactive: bool,
    verbose: bool,
    /// Time of the last sign of life on a non-terminal.
    last: Arc<Mutex<Instant>>,
    times: Arc<Mutex<Times>>,
}

/// Something that consists of steps, such as a whole command.
pub struct Whole {
    ui: Ui,
    title: String,
    started: Instant,
}

/// One thing being done. Dropped without [`Step::done`] it vanishes from the terminal, because the error that
/// follows says what failed.
pub struct Step {
    ui: Ui,
    title: String,
    started: Instant,
    bar: Option<ProgressBar>,
}

impl Ui {
    /// `verbose` prints every line of every command.
    pub fn new(verbose: bool) -> Self {
        Self {
            bars: MultiProgress::new(),
            interactive: console::user_attended_stderr(),
            verbose,
            last: Arc::new(Mutex::new(Instant::now())),
            times: Arc::default(),
        }
    }

    /// Keeps in a file how long steps take, and shows it the next time.
    #[must_use]
    pub fn with_times(self, file: &Path) -> Self {
        let times = Arc::new(Mutex::new(Times::read(file)));
        Self { times, ..self }
    }

    fn times(&self) -> MutexGuard<'_, Times> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a whole, and says how long it took last time, if it is known.
    pub fn whole(&self, title: impl Into<String>) -> Whole {
        let title = title.into();
        let last = self.times().last(&title);
        if let Some(last) = last.filter(|last| *last > WORTH_A_WORD) {
            self.line(&format!(
                "    {title} took {} last time",
                times::human(last)
            ));
        }
        Whole {
            ui: self.clone(),
            title,
            started: Instant::now(),
        }
    }

    /// Whether every line of output is wanted.
    pub fn verbose(&self) -> bool {
        self.verbose
    }

    /// Prints a line above all spinners.
    pub fn line(&self, text: &str) {
        self.bars.suspend(|| eprintln!("{text}"));
    }

    /// Runs something that prints to the terminal itself, spinners out of the way.
    pub fn suspend<T>(&self, what: impl FnOnce() -> T) -> T {
        self.bars.suspend(what)
    }

    /// Starts a step, such as "Building the sandbox (trixie)".
    pub fn step(&self, title: impl Into<String>) -> Step {
        self.step_before(title, "")
    }

    /// Starts a long step, and says what comes after it, such as "the modules".
    pub fn step_before(&self, title: impl Into<String>, next: &str) -> Step {
        let title = title.into();
        let last = self.times().last(&title);
        let last = last.filter(|last| *last > WORTH_A_WORD);
        let last = last.map(|last| format!("{} last time", times::human(last)));
        let next = (!next.is_empty()).then(|| format!("then {next}"));
        let hints: Vec<_> = last.into_iter().chain(next).collect();
        let shown = match hints.is_empty() {
            true => title.clone(),
            false => format!("{title} ({})", hints.join(", ")),
        };
        let bar = self.interactive.then(|| {
            let bar = self.bars.add(ProgressBar::new_spinner());
            let style =
                ProgressStyle::with_template("  {spinner} {prefix} {elapsed:.dim} {wide_msg:.dim}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            bar.set_prefix(shown.clone());
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        if bar.is_none() {
            eprintln!("   ... {shown}");
        }
        Step {
            ui: self.clone(),
            title,
            started: Instant::now(),
            bar,
        }
    }
}

impl Step {
    /// Shows the latest line of output (a log file keeps them all).
    pub fn note(&self, line: &str) {
        let line = line.trim();
        if line.is_empty() {
            return;
        }
        if self.ui.verbose {
            self.ui.line(&format!("      {line}"));
        } else if let Some(bar) = &self.bar {
            bar.set_message(console::strip_ansi_codes(line).into_owned());
        } else if let Ok(mut last) = self.ui.last.lock() {
            // CI systems kill jobs that are silent for long; one line in 20 s tells that we live.
            if last.elapsed() > Duration::from_secs(20) {
                *last = Instant::now();
                eprintln!(
                    "       {} ({} s): {line}",
                    self.title,
                    self.started.elapsed().as_secs()
                );
            }
        }
    }

    /// Shows a line that is worth more than the latest output, such as why it waits.
    pub fn say(&self, line: &str) {
        self.ui.line(&format!("       {}: {line}", self.title));
    }

    /// How long the step has run.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Ends the step well; `detail` is appended to its title unless empty.
    pub fn done(mut self, detail: &str) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        let took = self.started.elapsed();
        self.ui.times().remember(&self.title, took);
        let detail = if detail.is_empty() {
            String::new()
        } else {
            format!(": {detail}")
        };
        let secs = took.as_secs_f32();
        self.ui.line(&format!(
            "    {} {}{detail} {}",
            style("ok").for_stderr().green(),
            self.title,
            style(format!("({secs:.1} s)")).for_stderr().dim()
        ));
    }
}

impl Whole {
    /// Ends the whole well, and remembers how long it took.
    pub fn done(self) {
        let took = self.started.elapsed();
        self.ui.times().remember(&self.title, took);
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}
