// SPDX-License-Identifier: GPL-2.0

//! One run of the tool: the cache, the terminal, the options every part obeys, and the folder of this run's logs.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail};

use crate::accel::AccelChoice;
use crate::cache::Cache;
use crate::config::Config;
use crate::fsutil;
use crate::ui::Ui;

/// How many runs' log folders are kept.
const KEPT_LOGS: usize = 20;

/// Options that every part obeys.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Print every line of every command.
    pub verbose: bool,
    /// Ask the archive again for versions, even if the last answer is recent.
    pub refresh: bool,
    /// The Debian mirror to use in place of the one apt is configured with.
    pub mirror: Option<String>,
    /// What executes the instructions of machines.
    pub accel: AccelChoice,
}

/// One run of the tool. Shared by reference between threads.
pub struct Session {
    /// Everything downloaded or built.
    pub cache: Cache,
    /// Where steps and messages are shown.
    pub ui: Ui,
    /// What the user asked for.
    pub options: Options,
    /// `kernels.toml`.
    pub config: Config,
    workspace: PathBuf,
    logs: OnceLock<PathBuf>,
    log_number: AtomicUsize,
}

impl Session {
    /// Starts a run for the work tree at `workspace` (see [`find_workspace`]).
    pub fn new(workspace: &Path, options: Options) -> Result<Self> {
        let cache = Cache::from_env()?;
        let ui = Ui::new(options.verbose).with_times(&cache.root().join("times.toml"));
        Ok(Self {
            cache: cache.with_ui(ui.clone()),
            config: Config::read(&workspace.join("kernels.toml"))?,
            workspace: workspace.canonicalize()?,
            logs: OnceLock::new(),
            log_number: AtomicUsize::new(1),
            ui,
            options,
        })
    }

    /// A run with a cache of its own that knows no kernels.
    #[cfg(test)]
    pub(crate) fn for_tests(cache: Cache, workspace: &Path) -> Self {
        Self {
            cache,
            config: Config::default(),
            workspace: workspace.to_owned(),
            logs: OnceLock::new(),
            log_number: AtomicUsize::new(1),
            ui: Ui::new(false),
            options: Options::default(),
        }
    }

    /// The root of the work tree.
    pub fn workspace(&self) -> &Path {
        &self.workspace
    }

    /// The folder of this run's logs, which is made when the first one asks for it: a run that only tells something
    /// changes nothing.
    pub fn logs(&self) -> &Path {
        self.logs.get_or_init(|| {
            let root = self.cache.root().join("logs");
            let run = format!("{}-{}", timestamp(SystemTime::now()), std::process::id());
            let logs = root.join(run);
            // If it cannot be made, the first write to a log there reports why.
            if fs::create_dir_all(&logs).is_ok() {
                prune_logs(&root, &logs);
            }
            logs
        })
    }

    /// A new log file's path, numbered in the order the steps began.
    pub fn log(&self, name: &str) -> PathBuf {
        let number = self.log_number.fetch_add(1, Ordering::Relaxed);
        self.logs().join(format!("{number:02}-{name}.log"))
    }

    /// How many processes may work at the same time.
    pub fn jobs(&self) -> usize {
        std::thread::available_parallelism().map_or(1, |n| n.get())
    }
}

/// The work tree this tool belongs to: the folder above the crate cargo runs, else the nearest one above the
/// current folder that holds `kernels.toml`.
pub fn find_workspace() -> Result<PathBuf> {
    let from_cargo = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let start = match from_cargo {
        Some(dir) => dir,
        None => std::env::current_dir()?,
    };
    for dir in start.ancestors() {
        if dir.join("kernels.toml").is_file() {
            return Ok(dir.to_owned());
        }
    }
    bail!(
        "no kernels.toml in {} or above: run this inside Paravane's work tree",
        start.display()
    )
}

fn prune_logs(root: &Path, keep: &Path) {
    let latest = root.join("latest");
    let _ = fs::remove_file(&latest);
    let _ = std::os::unix::fs::symlink(fsutil::name(keep), &latest);
    let Ok(mut runs) = fsutil::read_dir_sorted(root) else {
        return;
    };
    runs.retain(|path| path.is_dir() && !path.is_symlink() && !is_running(path));
    let surplus = runs.len().saturating_sub(KEPT_LOGS);
    for old in runs.iter().take(surplus) {
        let _ = fsutil::remove_all(old);
    }
}

/// Whether the run that writes these logs, whose process number ends the folder's name, goes on.
fn is_running(logs: &Path) -> bool {
    let name = fsutil::name(logs);
    let number = name.rsplit('-').next().unwrap_or_default();
    Path::new("/proc").join(number).join("stat").exists()
}

/// UTC as `YYYYMMDD-HHMMSS`.
fn timestamp(time: SystemTime) -> String {
    let secs = time.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let (days, rest) = (secs / 86_400, secs % 86_400);
    // Days to a civil date, counted from 1 March of year 0 so that leap days come last.
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!(
        "{year:04}{month:02}{day:02}-{:02}{:02}{:02}",
        rest / 3600,
        rest / 60 % 60,
        rest % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn timestamps_are_civil_dates() {
        let at = |secs| timestamp(UNIX_EPOCH + Duration::from_secs(secs));
        assert_eq!(at(0), "19700101-000000");
        assert_eq!(at(951_827_696), "20000229-123456");
        assert_eq!(at(1_795_168_800), "20261120-100000");
    }
}
