// SPDX-License-Identifier: GPL-2.0

//! Runstates of a vCPU, and the time spent in each.

use xen_abi::vcpu::{RunstateInfo, runstate};

/// What a vCPU does (`RUNSTATE_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Runstate {
    /// It runs on a CPU.
    Running = runstate::RUNNING,
    /// It waits for a CPU.
    Runnable = runstate::RUNNABLE,
    /// It waits for an event.
    Blocked = runstate::BLOCKED,
    /// It is down or paused.
    Offline = runstate::OFFLINE,
}

/// The present runstate, and the time spent in each, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunstateTimes {
    state: Runstate,
    since: u64,
    spent: [u64; 4],
}

impl Default for RunstateTimes {
    fn default() -> Self {
        Self::new(0)
    }
}

impl RunstateTimes {
    /// Of a vCPU that is offline from `now` on.
    pub fn new(now: u64) -> Self {
        Self {
            state: Runstate::Offline,
            since: now,
            spent: [0; 4],
        }
    }

    /// The present runstate.
    pub fn state(&self) -> Runstate {
        self.state
    }

    /// Changes the runstate. A clock that goes backwards counts as one that stands still.
    pub fn enter(&mut self, state: Runstate, now: u64) {
        self.spent[self.state as usize] += now.saturating_sub(self.since);
        self.since = now.max(self.since);
        self.state = state;
    }

    /// Nanoseconds spent in a runstate until `now`.
    pub fn spent(&self, state: Runstate, now: u64) -> u64 {
        let present = if state == self.state {
            now.saturating_sub(self.since)
        } else {
            0
        };
        self.spent[state as usize] + present
    }

    /// As a runstate area shows them: up to the last change.
    pub fn info(&self) -> RunstateInfo {
        RunstateInfo {
            state: self.state as u32,
            pad: 0,
            state_entry_time: self.since,
            time: self.spent,
        }
    }

    /// As `VCPUOP_get_runstate_info` returns them: up to `now`.
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
        let mut times = RunstateTimes::new(100);
        times.enter(Runstate::Running, 150);
        times.enter(Runstate::Blocked, 250);
        times.enter(Runstate::Runnable, 240);
        times.enter(Runstate::Running, 300);
        assert_eq!(times.spent(Runstate::Offline, 400), 50);
        assert_eq!(times.spent(Runstate::Running, 400), 200);
        assert_eq!(times.spent(Runstate::Runnable, 400), 50);
        assert_eq!(times.info().time, [100, 50, 0, 50]);
        assert_eq!(times.info_at(400).time.iter().sum::<u64>(), 300);
    }
}
