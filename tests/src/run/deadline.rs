// SPDX-License-Identifier: GPL-2.0

//! The time that the user has given, by this machine's clock: when it is over, whatever is waited for ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use crate::health::Health;

/// A running deadline; dropping it stops it.
pub struct Deadline {
    is_over: Arc<AtomicBool>,
    _stop: Option<Sender<()>>,
}

impl Deadline {
    /// Starts it. When `time` is over, what `health` belongs to counts as dead, which ends every wait for it.
    pub fn start(time: Option<Duration>, health: &Health) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let Some(time) = time else {
            return Self {
                is_over,
                _stop: None,
            };
        };
        let (stop, stopped) = channel();
        let (flag, health) = (Arc::clone(&is_over), health.clone());
        thread::spawn(move || {
            if stopped.recv_timeout(time) == Err(RecvTimeoutError::Timeout) {
                flag.store(true, Ordering::Relaxed);
                health.died(format!("its time of {} s is over", time.as_secs()));
            }
        });
        Self {
            is_over,
            _stop: Some(stop),
        }
    }

    /// Whether the time is over.
    pub fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_over_is_dead_and_what_was_stopped_is_not() {
        let (one, two) = (Health::default(), Health::default());
        let short = Deadline::start(Some(Duration::from_millis(1)), &one);
        drop(Deadline::start(Some(Duration::from_millis(1)), &two));
        while !short.is_over() || one.check().is_ok() {
            thread::yield_now();
        }
        let none = Deadline::start(None, &two);
        thread::sleep(Duration::from_millis(20));
        assert!(two.check().is_ok() && !none.is_over());
    }
}
