// SPDX-License-Identifier: GPL-2.0

//! How long steps took when they were last done on this machine, kept in a file, to show how long a step will take.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How many steps are remembered; titles have versions in them, so old ones must go.
const KEPT: usize = 200;

/// Seconds by title.
#[derive(Debug, Default)]
pub(super) struct Times {
    file: Option<PathBuf>,
    seconds: BTreeMap<String, u64>,
}

impl Times {
    /// Reads the file. One that is not there or damaged is taken for an empty one.
    pub(super) fn read(file: &Path) -> Self {
        let text = fs::read_to_string(file).unwrap_or_default();
        Self {
            file: Some(file.to_owned()),
            seconds: toml::from_str(&text).unwrap_or_default(),
        }
    }

    /// How long something took last time.
    pub(super) fn last(&self, title: &str) -> Option<Duration> {
        self.seconds.get(title).copied().map(Duration::from_secs)
    }

    /// Remembers how long something took. That the file cannot be written is not worth a word.
    pub(super) fn remember(&mut self, title: &str, took: Duration) {
        if self.seconds.len() >= KEPT && !self.seconds.contains_key(title) {
            self.seconds.clear();
        }
        self.seconds.insert(title.to_owned(), took.as_secs());
        let _ = self.write();
    }

    fn write(&self) -> std::io::Result<()> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        let folder = file.parent().unwrap_or(Path::new("."));
        if !folder.is_dir() {
            // Nothing was put into the cache: it is not made for this.
            return Ok(());
        }
        let text = toml::to_string(&self.seconds).unwrap_or_default();
        let mut new = tempfile::NamedTempFile::new_in(folder)?;
        new.write_all(text.as_bytes())?;
        new.persist(file)?;
        Ok(())
    }
}

/// A time for people: `53 s`, `6 min 40 s`.
pub(super) fn human(time: Duration) -> String {
    match time.as_secs() {
        secs if secs < 60 => format!("{secs} s"),
        secs => format!("{} min {} s", secs / 60, secs % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_remembered_by_title_over_runs() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("times.toml");
        let title = "Making Rust metadata for 7.3.4+deb13-amd64 (\"x\")";
        let mut times = Times::read(&file);
        assert_eq!(times.last(title), None);
        times.remember(title, Duration::from_millis(53_900));
        let later = Times::read(&file);
        assert_eq!(later.last(title), Some(Duration::from_secs(53)));
        fs::write(&file, "not toml").unwrap();
        assert_eq!(Times::read(&file).last(title), None);
    }

    #[test]
    fn a_cache_that_is_not_there_is_not_made() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("none/times.toml");
        Times::read(&file).remember("x", Duration::from_secs(1));
        assert!(!file.parent().unwrap().exists());
    }

    #[test]
    fn times_are_written_for_people() {
        assert_eq!(human(Duration::from_millis(1500)), "1 s");
        assert_eq!(human(Duration::from_secs(400)), "6 min 40 s");
    }
}
