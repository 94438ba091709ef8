// SPDX-License-Identifier: GPL-2.0

//! What begins and ends on a processor, of the records that say so.

use paravane::hypercall_counts::HypercallKey;
use paravane::system::vcpu::VcpuId;
use paravane::trace::{TraceEvent, TraceRecord};

/// What takes a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// A vCPU runs.
    Vcpu(VcpuId),
    /// A VMEXIT is handled.
    Exit {
        /// Its code.
        code: u32,
        /// What belongs to that.
        info: u64,
    },
    /// A hypercall is made.
    Hypercall {
        /// Its number.
        number: u32,
        /// With its command and its result, once it has ended; without a result it was preempted.
        end: Option<(HypercallKey, Option<i64>)>,
    },
    /// The system's lock is waited for.
    LockWait,
}

/// It, with its times by the time-stamp counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// What it is.
    pub activity: Activity,
    /// When it begins.
    pub begin: u64,
    /// When it ends; it has not ended when the trace does if there is none.
    pub end: Option<u64>,
}

/// What happens at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventSent {
    /// When.
    pub tsc: u64,
    /// The vCPU that it is for.
    pub to: VcpuId,
    /// The port by which it was sent.
    pub port: u32,
}

/// What a processor did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Track {
    /// In the order of their ends; those that have not ended follow.
    pub slices: Vec<Slice>,
    /// In the order in which they were sent.
    pub events: Vec<EventSent>,
    /// Ends without beginnings: these were overwritten, or torn.
    pub unmatched: usize,
}

impl Track {
    /// What a processor's records say, which are in their order.
    pub fn of(records: &[TraceRecord]) -> Self {
        let mut track = Self::default();
        let mut open = Vec::new();
        for &TraceRecord { tsc, event } in records {
            let mut begin = |activity| {
                open.push(Slice {
                    activity,
                    begin: tsc,
                    end: None,
                });
            };
            match event {
                TraceEvent::VcpuBegin(id) => begin(Activity::Vcpu(id)),
                TraceEvent::ExitBegin { code, info } => begin(Activity::Exit { code, info }),
                TraceEvent::HypercallBegin { number } => {
                    begin(Activity::Hypercall { number, end: None });
                }
                TraceEvent::LockWaitBegin => begin(Activity::LockWait),
                TraceEvent::EventSent { to, port } => {
                    track.events.push(EventSent { tsc, to, port })
                }
                TraceEvent::VcpuEnd
                | TraceEvent::ExitEnd
                | TraceEvent::HypercallEnd { .. }
                | TraceEvent::LockWaitEnd => track.end(&mut open, tsc, event),
            }
        }
        track.slices.append(&mut open);
        track
    }

    /// Ends the innermost activity of the event's kind. What is in it has ended too, if a record is missing.
    fn end(&mut self, open: &mut Vec<Slice>, tsc: u64, event: TraceEvent) {
        let is_meant = |slice: &Slice| {
            matches!(
                (slice.activity, event),
                (Activity::Vcpu(_), TraceEvent::VcpuEnd)
                    | (Activity::Exit { .. }, TraceEvent::ExitEnd)
                    | (Activity::Hypercall { .. }, TraceEvent::HypercallEnd { .. })
                    | (Activity::LockWait, TraceEvent::LockWaitEnd)
            )
        };
        let Some(index) = open.iter().rposition(is_meant) else {
            self.unmatched += 1;
            return;
        };
        self.unmatched += open.len() - index - 1;
        for mut slice in open.drain(index..).rev() {
            slice.end = Some(tsc);
            if let (Activity::Hypercall { end, .. }, TraceEvent::HypercallEnd { key, result }) =
                (&mut slice.activity, event)
            {
                *end = Some((key, result));
            }
            self.slices.push(slice);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VCPU: VcpuId = VcpuId { domain: 1, vcpu: 0 };

    /// Records with times that begin at 100.
    fn track(events: &[TraceEvent]) -> Track {
        let records = events.iter().zip(100..);
        let records: Vec<_> = records
            .map(|(event, tsc)| TraceRecord { tsc, event: *event })
            .collect();
        Track::of(&records)
    }

    const EXIT: TraceEvent = TraceEvent::ExitBegin {
        code: 0x81,
        info: 0,
    };

    #[test]
    fn what_is_nested_ends_from_within() {
        let end = TraceEvent::HypercallEnd {
            key: (36, 1),
            result: Some(-38),
        };
        let track = track(&[
            TraceEvent::VcpuBegin(VCPU),
            EXIT,
            TraceEvent::HypercallBegin { number: 36 },
            TraceEvent::LockWaitBegin,
            TraceEvent::LockWaitEnd,
            TraceEvent::EventSent { to: VCPU, port: 7 },
            end,
            TraceEvent::ExitEnd,
            TraceEvent::VcpuEnd,
        ]);
        assert_eq!((track.unmatched, track.events.len()), (0, 1));
        let times: Vec<_> = track
            .slices
            .iter()
            .map(|slice| (slice.begin, slice.end))
            .collect();
        let ends = [(103, 104), (102, 106), (101, 107), (100, 108)];
        assert_eq!(times, ends.map(|(begin, end)| (begin, Some(end))));
        let hypercall = Activity::Hypercall {
            number: 36,
            end: Some(((36, 1), Some(-38))),
        };
        assert_eq!(track.slices[1].activity, hypercall);
    }

    #[test]
    fn what_has_not_ended_is_there() {
        let track = track(&[TraceEvent::VcpuBegin(VCPU), EXIT, TraceEvent::LockWaitBegin]);
        assert_eq!(track.unmatched, 0);
        assert!(track.slices.iter().all(|slice| slice.end.is_none()));
        let begins: Vec<_> = track.slices.iter().map(|slice| slice.begin).collect();
        assert_eq!(begins, [100, 101, 102]);
    }

    #[test]
    fn a_beginning_that_is_lost_costs_only_itself() {
        // Overwritten are the vCPU's beginning and the exit's; torn is the end of the second exit.
        let track = track(&[
            TraceEvent::ExitEnd,
            TraceEvent::VcpuEnd,
            TraceEvent::VcpuBegin(VCPU),
            EXIT,
            TraceEvent::VcpuEnd,
        ]);
        assert_eq!(track.unmatched, 3);
        let times: Vec<_> = track
            .slices
            .iter()
            .map(|slice| (slice.begin, slice.end))
            .collect();
        assert_eq!(times, [(103, Some(104)), (102, Some(104))]);
    }
}
