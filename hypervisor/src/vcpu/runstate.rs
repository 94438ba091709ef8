// SPDX-License-Identifier: GPL-2.0

//! What a vCPU's time went to (`vcpu_runstate_info`, public header vcpu.h), for itself and where it wants it written.

use paravane::mem::MachineMemory;

use crate::arch::phys::Machine;
use crate::domain::Domain;

/// Bytes of a `vcpu_runstate_info`.
pub const SIZE: usize = 48;
/// A vCPU's states, `RUNSTATE_*`; being runnable does not happen where each has a processor of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It runs.
    Running = 0,
    /// It sleeps until an event or an interrupt.
    Blocked = 2,
    /// It was not started or was turned off.
    Offline = 3,
}

/// Set in the entry time while the rest is being written (`XEN_RUNSTATE_UPDATE`).
const UPDATE: u64 = 1 << 63;

/// A vCPU's accounts. Times are in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Runstate {
    state: State,
    since: u64,
    times: [u64; 4],
    /// Guest-physical addresses of the place it is written to: its start, and where it goes on behind a page's end.
    place: Option<(u64, u64)>,
}

impl Runstate {
    /// Off since time 0.
    pub fn new() -> Self {
        Self {
            state: State::Offline,
            since: 0,
            times: [0; 4],
            place: None,
        }
    }

    /// Has it written to a place from now on, given by the guest-physical addresses of its first byte and of the first
    /// byte of the next page of the guest's.
    pub fn register(&mut self, domain: &Domain, first: u64, next: u64) {
        self.place = Some((first, next));
        self.write(domain);
    }

    /// The state changes.
    pub fn enter(&mut self, domain: &Domain, state: State, now: u64) {
        if state == self.state {
            return;
        }
        self.times[self.state as usize] += now.saturating_sub(self.since);
        self.state = state;
        self.since = now;
        self.write(domain);
    }

    /// The structure as it is now.
    pub fn bytes(&self, now: u64) -> [u8; SIZE] {
        let mut times = self.times;
        times[self.state as usize] += now.saturating_sub(self.since);
        self.encode(self.since, times)
    }

    fn encode(&self, since: u64, times: [u64; 4]) -> [u8; SIZE] {
        let mut bytes = [0; SIZE];
        bytes[..4].copy_from_slice(&(self.state as u32).to_le_bytes());
        bytes[8..16].copy_from_slice(&since.to_le_bytes());
        for (slot, time) in bytes[16..].chunks_exact_mut(8).zip(times) {
            slot.copy_from_slice(&time.to_le_bytes());
        }
        bytes
    }

    fn write(&self, domain: &Domain) {
        let Some((first, next)) = self.place else {
            return;
        };
        let put = |offset: usize, bytes: &[u8]| {
            // Byte by byte where the place crosses a page, which is rare; the entry time never does, being aligned.
            let room = (4096 - first % 4096) as usize;
            let split = room.saturating_sub(offset).min(bytes.len());
            let (here, there) = bytes.split_at(split);
            for (gpa, part) in [
                (first + offset as u64, here),
                (next + (offset + split).saturating_sub(room) as u64, there),
            ] {
                if !part.is_empty() {
                    if let Some(address) = domain.machine_address(gpa, true) {
                        Machine.write(address, part);
                    }
                }
            }
        };
        // Readers on other vCPUs see the mark first and the time without it last.
        let order = || core::sync::atomic::fence(core::sync::atomic::Ordering::SeqCst);
        put(8, &(self.since | UPDATE).to_le_bytes());
        order();
        put(0, &self.encode(self.since | UPDATE, self.times));
        order();
        put(8, &self.since.to_le_bytes());
    }
}
