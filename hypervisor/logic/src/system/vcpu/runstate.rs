//! Where a vCPU's time went: running, runnable, blocked, offline.

use xen_abi::vcpu::{RunstateInfo, runstate};

/// What a vCPU does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum State {
    /// It runs.
    Running = runstate::RUNNING,
    /// It waits for a CPU.
    Runnable = runstate::RUNNABLE,
    /// It waits for an event.
    Blocked = runstate::BLOCKED,
    /// It is down or paused.
    Offline = runstate::OFFLINE,
}

/// The times, in nanoseconds of system time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    state: State,
    since: u64,
    spent: [u64; 4],
}

impl Default for Times {
    fn default() -> Self {
        Self::new(0)
    }
}

impl Times {
    /// A vCPU that is offline from now on.
    pub fn new(now: u64) -> Self {
        Self {
            state: State::Offline,
            since: now,
            spent: [0; 4],
        }
    }

    /// What it does.
    pub fn state(&self) -> State {
        self.state
    }

    /// It does something else from now on. A clock that goes backwards counts as one that stands still.
    pub fn enter(&mut self, state: State, now: u64) {
        self.spent[self.state as usize] += now.saturating_sub(self.since);
        self.since = now.max(self.since);
        self.state = state;
    }

    /// Time spent in a state until now.
    pub fn spent(&self, state: State, now: u64) -> u64 {
        let present = if state == self.state {
            now.saturating_sub(self.since)
        } else {
            0
        };
        self.spent[state as usize] + present
    }

    /// As the guest sees its own when they last changed.
    pub fn info(&self) -> RunstateInfo {
        RunstateInfo {
            state: self.state as u32,
            pad: 0,
            state_entry_time: self.since,
            time: self.spent,
        }
    }

    /// As of now, for those that ask with a hypercall.
    pub fn info_at(&self, now: u64) -> RunstateInfo {
        let mut info = self.info();
        info.time[self.state as usize] += now.saturating_sub(self.since);
        info
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_adds_up() {
        let mut times = Times::new(100);
        times.enter(State::Running, 150);
        times.enter(State::Blocked, 250);
        times.enter(State::Runnable, 240);
        times.enter(State::Running, 300);
        assert_eq!(times.spent(State::Offline, 400), 50);
        assert_eq!(times.spent(State::Running, 400), 200);
        assert_eq!(times.spent(State::Runnable, 400), 50);
        assert_eq!(times.info().time, [100, 50, 0, 50]);
        assert_eq!(times.info_at(400).time.iter().sum::<u64>(), 300);
    }
}
