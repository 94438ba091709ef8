// SPDX-License-Identifier: GPL-2.0

//! A limit that follows a machine's clock, and the text for messages when it is over.

use std::cell::Cell;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Pace, Reading};

/// How long something may take.
pub struct Limit {
    pace: Pace,
    from: Reading,
    length: Duration,
    signs: Option<Signs>,
}

/// A console's log that grows as long as all is well.
struct Signs {
    log: PathBuf,
    silence: Duration,
    size: Cell<u64>,
    heard: Cell<Reading>,
}

impl Limit {
    pub(super) fn new(pace: Pace, length: Duration) -> Self {
        Self {
            from: pace.now(),
            pace,
            length,
            signs: None,
        }
    }

    /// The limit is also over when a log has not grown for so long.
    #[must_use]
    pub fn or_silence(mut self, silence: Duration, log: &Path) -> Self {
        self.signs = Some(Signs {
            log: log.to_owned(),
            silence,
            size: Cell::new(size(log)),
            heard: Cell::new(self.from),
        });
        self
    }

    /// How much of it is left, in the machine's own time.
    pub fn left(&self) -> Duration {
        let now = self.pace.now();
        let left = self.length.saturating_sub(self.pace.since(&self.from));
        match &self.signs {
            Some(signs) => left.min(signs.left(now)),
            None => left,
        }
    }

    /// Whether it is over.
    pub fn is_over(&self) -> bool {
        self.left().is_zero()
    }

    /// What has passed so far.
    pub fn spent(&self) -> Spent {
        let now = self.pace.now();
        let silent = |signs: &Signs| now.wall.saturating_sub(signs.heard.get().wall);
        Spent {
            silent: self.signs.as_ref().map(silent),
            ..Spent::between(self.from, now)
        }
    }
}

impl Signs {
    fn left(&self, now: Reading) -> Duration {
        let size = size(&self.log);
        if size != self.size.replace(size) {
            self.heard.set(now);
        }
        let heard = self.heard.get();
        self.silence
            .saturating_sub(now.own.saturating_sub(heard.own))
    }
}

fn size(log: &Path) -> u64 {
    fs::metadata(log).map_or(0, |data| data.len())
}

/// How a wait went, for a message: it tells a slow machine from one that hangs.
#[derive(Clone, Copy, Debug)]
pub struct Spent {
    wall: Duration,
    let_run: Duration,
    own: Duration,
    ran: Duration,
    slowness: f64,
    silent: Option<Duration>,
}

impl Spent {
    pub(super) fn between(from: Reading, now: Reading) -> Self {
        Self {
            wall: now.wall.saturating_sub(from.wall),
            let_run: now.let_run.saturating_sub(from.let_run),
            own: now.own.saturating_sub(from.own),
            ran: now.ran.saturating_sub(from.ran),
            slowness: now.slowness,
            silent: None,
        }
    }
}

impl fmt::Display for Spent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (wall, own) = (self.wall.as_secs_f32(), self.own.as_secs_f32());
        write!(f, "for {own:.1} s of the reference machine's time")?;
        write!(
            f,
            " ({wall:.1} s by the clock, the emulator could run for {:.1} s of it and ran for {:.1} s of a processor's \
             time; slowness {:.1})",
            self.let_run.as_secs_f32(),
            self.ran.as_secs_f32(),
            self.slowness
        )?;
        // An idle machine with dom0 and a guest takes a tenth of a processor, and more of a slow one.
        let ran = self.ran.as_secs_f64() / self.let_run.as_secs_f64().max(0.001);
        match ran {
            ran if ran < 0.2 * self.slowness => {
                write!(f, "; its processors had hardly anything to do")?
            }
            ran if ran > 0.8 => write!(f, "; its processors were busy")?,
            _ => {}
        }
        if let Some(silent) = self.silent {
            let silent = silent.as_secs_f32();
            write!(f, "; the console has said nothing for {silent:.1} s")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::thread::sleep;

    use super::*;

    const SHORT: Duration = Duration::from_millis(40);

    #[test]
    fn it_ends_after_its_time() {
        let limit = Pace::default().limit(SHORT);
        assert!(!limit.is_over() && limit.left() <= SHORT);
        sleep(SHORT);
        assert!(limit.is_over());
        assert!(limit.spent().to_string().contains("hardly anything to do"));
    }

    #[test]
    fn it_ends_early_when_nothing_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let limit = Pace::default().limit(SHORT * 100).or_silence(SHORT, &log);
        assert!(!limit.is_over());
        for text in ["a", "ab", "abc"] {
            sleep(SHORT / 2);
            fs::write(&log, text).unwrap();
            assert!(!limit.is_over());
        }
        sleep(SHORT * 2);
        assert!(limit.is_over());
        assert!(limit.spent().to_string().contains("said nothing for 0.1 s"));
        // A sign of life starts the silence anew.
        fs::write(&log, "abcd").unwrap();
        assert!(!limit.is_over());
    }
}
