// SPDX-License-Identifier: GPL-2.0

//! What the user sees while something takes long: one line a step with a spinner, the time and the last line
//! of output on a terminal; plain lines in a log.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use console::style;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// The terminal, shared by all steps, from any thread.
#[derive(Clone)]
pub struct Ui {
    bars: MultiProgress,
    interactive: bool,
    verbose: bool,
    /// Time of the last sign of life on a non-terminal.
    last: Arc<Mutex<Instant>>,
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
        let title = title.into();
        let bar = self.interactive.then(|| {
            let bar = self.bars.add(ProgressBar::new_spinner());
            let style =
                ProgressStyle::with_template("  {spinner} {prefix} {elapsed:.dim} {wide_msg:.dim}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            bar.set_prefix(title.clone());
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        if bar.is_none() {
            eprintln!("   ... {title}");
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

    /// How long the step has run.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Ends the step well; `detail` is appended to its title unless empty.
    pub fn done(mut self, detail: &str) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        let detail = if detail.is_empty() {
            String::new()
        } else {
            format!(": {detail}")
        };
        let secs = self.started.elapsed().as_secs_f32();
        self.ui.line(&format!(
            "    {} {}{detail} {}",
            style("ok").for_stderr().green(),
            self.title,
            style(format!("({secs:.1} s)")).for_stderr().dim()
        ));
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}
