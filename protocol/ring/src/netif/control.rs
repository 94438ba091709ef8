// SPDX-License-Identifier: GPL-2.0

//! The control ring: requests of the front end that set up hashing, one at a time.
//!
//! The back end chooses a queue for each packet that the front end receives, by default in a way
//! that the protocol leaves open. With an algorithm, hash types, a key and a mapping it uses the
//! hash, and sends it along: see [`super::extra::Hash`].

use super::extra::HashKind;
use crate::Corrupt;
use core::fmt;
use xen_abi::io::netif::{ctrl, ctrl_status, hash_algorithm, hash_flag, CtrlRequest, CtrlResponse};
use xen_abi::PAGE_SIZE;

/// Most entries of a mapping that one request can set: a page full of 32-bit queue numbers.
pub const MAX_MAPPING_PART: u32 = (PAGE_SIZE / size_of::<u32>()) as u32;
/// Longest key in bytes that one request can set. Linux's netback takes 40.
pub const MAX_KEY: u32 = PAGE_SIZE as u32;

/// A set of hash types, as it stands in a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HashTypes(u32);

impl HashTypes {
    /// All that there are.
    pub const ALL: HashTypes =
        HashTypes(hash_flag::IPV4 | hash_flag::IPV4_TCP | hash_flag::IPV6 | hash_flag::IPV6_TCP);

    /// With a type.
    #[must_use]
    pub const fn with(self, kind: HashKind) -> HashTypes {
        HashTypes(self.0 | Self::flag(kind))
    }

    /// Whether it has a type.
    pub const fn has(self, kind: HashKind) -> bool {
        self.0 & Self::flag(kind) != 0
    }

    /// Those that both sets have.
    #[must_use]
    pub const fn and(self, other: HashTypes) -> HashTypes {
        HashTypes(self.0 & other.0)
    }

    /// Whether it has none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    const fn flag(kind: HashKind) -> u32 {
        match kind {
            HashKind::IpV4 => hash_flag::IPV4,
            HashKind::TcpV4 => hash_flag::IPV4_TCP,
            HashKind::IpV6 => hash_flag::IPV6,
            HashKind::TcpV6 => hash_flag::IPV6_TCP,
        }
    }
}

/// How hashes are calculated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// Not at all: the back end spreads packets as it likes.
    None,
    /// Toeplitz.
    Toeplitz,
}

/// What the front end may ask for.
///
/// Linux's netback wants the algorithm to be chosen first, and the size of the mapping before its
/// content, each of whose entries has to be less than the number of queues. A page that is named
/// has to stay granted, for reading, until the response has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// Which hash types are there? Answered by [`Answer::HashTypes`].
    GetHashTypes,
    /// These types are to be calculated. None: the back end spreads packets as it likes.
    SetHashTypes(HashTypes),
    /// This is how.
    SetAlgorithm(Algorithm),
    /// This is the key; what is missing in it is zero.
    SetKey {
        /// Grant of the page at whose start it lies.
        gref: u32,
        /// Its length in bytes, [`MAX_KEY`] at most.
        len: u32,
    },
    /// How large can a mapping be? Answered by [`Answer::MappingSize`].
    GetMappingSize,
    /// The mapping has that many entries from now on, all of queue zero. None: the queue is the
    /// hash modulo the number of queues.
    SetMappingSize(u32),
    /// A part of the mapping.
    SetMapping {
        /// Grant of the page at whose start it lies, as 32-bit queue numbers.
        gref: u32,
        /// Number of its entries, [`MAX_MAPPING_PART`] at most.
        count: u32,
        /// The entry of the mapping that is its first.
        first: u32,
    },
}

/// What the back end says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is done.
    Done,
    /// It knows these hash types, of those that we know.
    HashTypes(HashTypes),
    /// A mapping can have that many entries; none if there is no mapping.
    MappingSize(u32),
}

/// Why the back end has not done what it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// There is no such operation, or not before an algorithm is chosen.
    NotSupported,
    /// A number is bad, or a page cannot be read.
    InvalidParameter,
    /// It has no room for so many data.
    TooLarge,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refused::NotSupported => "the back end does not support it",
            Refused::InvalidParameter => "the back end takes it for invalid",
            Refused::TooLarge => "the back end has no room for it",
        })
    }
}

impl core::error::Error for Refused {}

/// Why a request is not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotAsked {
    /// Another one is not answered yet.
    Busy,
    /// Its numbers cannot be meant: a mistake of the caller.
    OutOfRange,
}

impl fmt::Display for NotAsked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NotAsked::Busy => "another control request is not answered yet",
            NotAsked::OutOfRange => "the control request's data exceed a page or wrap around",
        })
    }
}

impl core::error::Error for NotAsked {}

impl Message {
    /// Its type on the ring.
    const fn kind(self) -> u16 {
        match self {
            Message::GetHashTypes => ctrl::GET_HASH_FLAGS,
            Message::SetHashTypes(_) => ctrl::SET_HASH_FLAGS,
            Message::SetAlgorithm(_) => ctrl::SET_HASH_ALGORITHM,
            Message::SetKey { .. } => ctrl::SET_HASH_KEY,
            Message::GetMappingSize => ctrl::GET_HASH_MAPPING_SIZE,
            Message::SetMappingSize(_) => ctrl::SET_HASH_MAPPING_SIZE,
            Message::SetMapping { .. } => ctrl::SET_HASH_MAPPING,
        }
    }

    const fn data(self) -> [u32; 3] {
        match self {
            Message::GetHashTypes | Message::GetMappingSize => [0; 3],
            Message::SetHashTypes(types) => [types.0, 0, 0],
            Message::SetAlgorithm(Algorithm::None) => [hash_algorithm::NONE, 0, 0],
            Message::SetAlgorithm(Algorithm::Toeplitz) => [hash_algorithm::TOEPLITZ, 0, 0],
            Message::SetKey { gref, len } => [gref, len, 0],
            Message::SetMappingSize(entries) => [entries, 0, 0],
            Message::SetMapping { gref, count, first } => [gref, count, first],
        }
    }

    const fn in_range(self) -> bool {
        match self {
            Message::SetKey { len, .. } => len <= MAX_KEY,
            Message::SetMapping { count, first, .. } => {
                count <= MAX_MAPPING_PART && first.checked_add(count).is_some()
            }
            _ => true,
        }
    }
}

/// The conversation on a control ring.
#[derive(Debug, Default)]
pub struct Control {
    /// Id of the next request, by which a late or repeated answer is recognised.
    next_id: u16,
    asked: Option<(u16, Message)>,
}

impl Control {
    /// Nothing is asked yet.
    pub const fn new() -> Self {
        Self {
            next_id: 0,
            asked: None,
        }
    }

    /// What is asked and not answered yet.
    pub fn asked(&self) -> Option<Message> {
        self.asked.map(|(_, message)| message)
    }

    /// Makes the request for a message, to be put on the ring.
    pub fn ask(&mut self, message: Message) -> Result<CtrlRequest, NotAsked> {
        if self.asked.is_some() {
            return Err(NotAsked::Busy);
        }
        if !message.in_range() {
            return Err(NotAsked::OutOfRange);
        }
        let id = self.next_id;
        self.next_id = id.wrapping_add(1);
        self.asked = Some((id, message));
        Ok(CtrlRequest {
            id,
            kind: message.kind(),
            data: message.data(),
        })
    }

    /// Takes the response to what was asked. A refusal is an answer like another.
    ///
    /// # Errors
    ///
    /// It is a violation, to be given to [`poison`](crate::FrontRing::poison), if nothing is asked,
    /// or something else, or the status does not exist. What is asked then stays unanswered.
    pub fn answered(
        &mut self,
        response: &CtrlResponse,
    ) -> Result<Result<Answer, Refused>, Corrupt> {
        let id = u64::from(response.id);
        let Some((asked_id, message)) = self.asked else {
            return Err(Corrupt::StaleId(id));
        };
        if response.id != asked_id {
            return Err(Corrupt::UnknownId(id));
        }
        if response.kind != message.kind() {
            return Err(Corrupt::Protocol(OTHER_KIND));
        }
        let answer = match response.status {
            ctrl_status::SUCCESS => Ok(match message {
                // What a later protocol adds is nothing that we could ask for.
                Message::GetHashTypes => {
                    Answer::HashTypes(HashTypes(response.data).and(HashTypes::ALL))
                }
                Message::GetMappingSize => Answer::MappingSize(response.data),
                _ => Answer::Done,
            }),
            ctrl_status::NOT_SUPPORTED => Err(Refused::NotSupported),
            ctrl_status::INVALID_PARAMETER => Err(Refused::InvalidParameter),
            ctrl_status::BUFFER_OVERFLOW => Err(Refused::TooLarge),
            status => {
                return Err(Corrupt::UnknownStatus {
                    id,
                    status: status as i32,
                })
            }
        };
        self.asked = None;
        Ok(answer)
    }

    /// Forgets what is asked, for the connection is gone.
    pub fn reset(&mut self) {
        self.asked = None;
    }
}

const OTHER_KIND: &str = "a control response is for another type of request than was asked";
