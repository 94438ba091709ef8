// SPDX-License-Identifier: GPL-2.0

//! A record of the trace, as four words of memory.

use crate::hypercall_counts::HypercallKey;
use crate::mem::frames::DomId;
use crate::system::vcpu::VcpuId;

/// Words of a record.
pub(super) const WORDS: usize = 4;

/// Bytes of a record.
pub const RECORD_BYTES: usize = WORDS * 8;

/// What happened on a processor. What begins and ends is nested: a vCPU runs, in that a VMEXIT is handled, in that a
/// hypercall is made, in each of these the system's lock is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TraceEvent {
    /// It begins to run a vCPU.
    VcpuBegin(VcpuId),
    /// It has stopped running the vCPU.
    VcpuEnd,
    /// The vCPU has exited, and the exit is handled.
    ExitBegin {
        /// The exit code ([`crate::vmexit`]), of which 32 bits are kept.
        code: u32,
        /// What belongs to the code: EXITINFO1, or the guest-physical address of a nested page fault.
        info: u64,
    },
    /// The exit is handled.
    ExitEnd,
    /// A hypercall is made. Its command may be in memory, and is not known yet.
    HypercallBegin {
        /// The hypercall's number, of which 32 bits are kept.
        number: u32,
    },
    /// It has been made.
    HypercallEnd {
        /// Number and command. A number beyond 16 bits, which no hypercall has, becomes 65535.
        key: HypercallKey,
        /// The result, negative for an error; nothing if it was preempted and is made again.
        result: Option<i64>,
    },
    /// An event was sent to a vCPU by a port of its domain.
    EventSent {
        /// The vCPU that the port notifies.
        to: VcpuId,
        /// The port.
        port: u32,
    },
    /// The system's lock is held by another processor, and is waited for.
    LockWaitBegin,
    /// The lock is taken.
    LockWaitEnd,
}

/// An event with its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceRecord {
    /// The time-stamp counter of the processor.
    pub tsc: u64,
    /// What happened.
    pub event: TraceEvent,
}

/// The numbers of the events. Nothing was written where there is a zero.
mod kind {
    pub const VCPU_BEGIN: u8 = 1;
    pub const VCPU_END: u8 = 2;
    pub const EXIT_BEGIN: u8 = 3;
    pub const EXIT_END: u8 = 4;
    pub const HYPERCALL_BEGIN: u8 = 5;
    pub const HYPERCALL_END: u8 = 6;
    pub const HYPERCALL_PREEMPTED: u8 = 7;
    pub const EVENT_SENT: u8 = 8;
    pub const LOCK_WAIT_BEGIN: u8 = 9;
    pub const LOCK_WAIT_END: u8 = 10;
}

/// What an event consists of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Fields {
    kind: u8,
    short: u16,
    number: u32,
    argument: u64,
}

impl TraceEvent {
    fn fields(self) -> Fields {
        let of_kind = |kind| Fields {
            kind,
            ..Fields::default()
        };
        match self {
            Self::VcpuBegin(id) => Fields {
                short: id.domain,
                number: id.vcpu,
                ..of_kind(kind::VCPU_BEGIN)
            },
            Self::VcpuEnd => of_kind(kind::VCPU_END),
            Self::ExitBegin { code, info } => Fields {
                number: code,
                argument: info,
                ..of_kind(kind::EXIT_BEGIN)
            },
            Self::ExitEnd => of_kind(kind::EXIT_END),
            Self::HypercallBegin { number } => Fields {
                number,
                ..of_kind(kind::HYPERCALL_BEGIN)
            },
            Self::HypercallEnd {
                key: (number, command),
                result,
            } => Fields {
                kind: match result {
                    Some(_) => kind::HYPERCALL_END,
                    None => kind::HYPERCALL_PREEMPTED,
                },
                short: u16::try_from(number).unwrap_or(u16::MAX),
                number: command,
                argument: result.unwrap_or(0) as u64,
            },
            Self::EventSent { to, port } => Fields {
                short: to.domain,
                number: port,
                argument: to.vcpu.into(),
                ..of_kind(kind::EVENT_SENT)
            },
            Self::LockWaitBegin => of_kind(kind::LOCK_WAIT_BEGIN),
            Self::LockWaitEnd => of_kind(kind::LOCK_WAIT_END),
        }
    }

    fn of(fields: Fields) -> Option<Self> {
        let Fields {
            kind,
            short,
            number,
            argument,
        } = fields;
        let id = |domain: DomId, vcpu| VcpuId { domain, vcpu };
        Some(match kind {
            kind::VCPU_BEGIN => Self::VcpuBegin(id(short, number)),
            kind::VCPU_END => Self::VcpuEnd,
            kind::EXIT_BEGIN => Self::ExitBegin {
                code: number,
                info: argument,
            },
            kind::EXIT_END => Self::ExitEnd,
            kind::HYPERCALL_BEGIN => Self::HypercallBegin { number },
            kind::HYPERCALL_END => Self::HypercallEnd {
                key: (short.into(), number),
                result: Some(argument as i64),
            },
            kind::HYPERCALL_PREEMPTED => Self::HypercallEnd {
                key: (short.into(), number),
                result: None,
            },
            kind::EVENT_SENT => Self::EventSent {
                to: id(short, u32::try_from(argument).ok()?),
                port: number,
            },
            kind::LOCK_WAIT_BEGIN => Self::LockWaitBegin,
            kind::LOCK_WAIT_END => Self::LockWaitEnd,
            _ => return None,
        })
    }
}

/// The words of a record. `sequence` is how many there were before it, in its first and its last word.
pub(super) fn encode(sequence: u32, record: &TraceRecord) -> [u64; WORDS] {
    let fields = record.event.fields();
    let sequence = u64::from(sequence);
    [
        sequence | u64::from(fields.kind) << 32 | u64::from(fields.short) << 48,
        record.tsc,
        fields.argument,
        u64::from(fields.number) | sequence << 32,
    ]
}

/// A record and its sequence number. `None` if there is none, or only a part of one.
pub(super) fn decode(words: [u64; WORDS]) -> Option<(u32, TraceRecord)> {
    let [first, tsc, argument, last] = words;
    let sequence = first as u32;
    if sequence != (last >> 32) as u32 {
        return None;
    }
    let event = TraceEvent::of(Fields {
        kind: (first >> 32) as u8,
        short: (first >> 48) as u16,
        number: last as u32,
        argument,
    })?;
    Some((sequence, TraceRecord { tsc, event }))
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Any event.
    pub fn any_event() -> impl Strategy<Value = TraceEvent> {
        let vcpu = || {
            let parts = (any::<u16>(), any::<u32>());
            parts.prop_map(|(domain, vcpu)| VcpuId { domain, vcpu })
        };
        prop_oneof![
            vcpu().prop_map(TraceEvent::VcpuBegin),
            Just(TraceEvent::VcpuEnd),
            (any::<u32>(), any::<u64>())
                .prop_map(|(code, info)| TraceEvent::ExitBegin { code, info }),
            Just(TraceEvent::ExitEnd),
            any::<u32>().prop_map(|number| TraceEvent::HypercallBegin { number }),
            (any::<u16>(), any::<u32>(), any::<Option<i64>>()).prop_map(
                |(number, command, result)| TraceEvent::HypercallEnd {
                    key: (number.into(), command),
                    result
                }
            ),
            (vcpu(), any::<u32>()).prop_map(|(to, port)| TraceEvent::EventSent { to, port }),
            Just(TraceEvent::LockWaitBegin),
            Just(TraceEvent::LockWaitEnd),
        ]
    }

    proptest! {
        #[test]
        fn a_record_is_read_as_it_was_written(
            event in any_event(), tsc: u64, sequence: u32,
        ) {
            let record = TraceRecord { tsc, event };
            prop_assert_eq!(decode(encode(sequence, &record)), Some((sequence, record)));
        }

        #[test]
        fn any_words_are_read(words: [u64; WORDS]) {
            decode(words);
        }
    }

    #[test]
    fn empty_memory_has_no_record() {
        assert_eq!(decode([0; WORDS]), None);
    }

    #[test]
    fn a_hypercall_that_does_not_exist_stays_one() {
        let event = TraceEvent::HypercallEnd {
            key: (0x1_0020, 5),
            result: Some(-38),
        };
        let (_, record) = decode(encode(0, &TraceRecord { tsc: 1, event })).unwrap();
        let TraceEvent::HypercallEnd { key, result } = record.event else {
            panic!("{record:?}");
        };
        assert_eq!((key, result), ((0xffff, 5), Some(-38)));
    }
}
