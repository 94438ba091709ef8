// SPDX-License-Identifier: GPL-2.0

//! Slots of the packet rings. What one holds, a request or response or an extra, only the slots
//! before it tell, so it comes off the ring as plain bytes and is looked at afterwards.

use xen_abi::io::netif::{ExtraInfo, RxResponse, TxRequest};
use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// What a front end writes to a slot of the transmit ring.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(transparent)]
pub struct TxSlot([u32; 3]);

const _: () = assert!(size_of::<TxSlot>() == size_of::<TxRequest>());

impl TxSlot {
    /// The slot as a request.
    #[inline]
    pub fn as_request(self) -> TxRequest {
        let [gref, second, third] = self.0;
        let (offset, flags) = halves(second);
        let (id, size) = halves(third);
        TxRequest {
            gref,
            offset,
            flags,
            id,
            size,
        }
    }

    /// The slot as an extra, which is shorter.
    #[inline]
    pub fn as_extra(self) -> ExtraInfo {
        let [first, second, _] = self.0;
        extra(first, second)
    }
}

impl From<TxRequest> for TxSlot {
    #[inline]
    fn from(r: TxRequest) -> Self {
        Self([r.gref, whole(r.offset, r.flags), whole(r.id, r.size)])
    }
}

impl From<ExtraInfo> for TxSlot {
    #[inline]
    fn from(info: ExtraInfo) -> Self {
        let [first, second] = words(info);
        Self([first, second, 0])
    }
}

/// What a back end writes to a slot of the receive ring.
///
/// It is one word, so that most machines copy it in one access.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(transparent)]
pub struct RxSlot(u64);

const _: () = assert!(size_of::<RxSlot>() == size_of::<RxResponse>());

impl RxSlot {
    /// The slot as a response.
    #[inline]
    pub fn as_response(self) -> RxResponse {
        let [first, second] = self.words();
        let (id, offset) = halves(first);
        let (flags, status) = halves(second);
        RxResponse {
            id,
            offset,
            flags,
            status: status as i16,
        }
    }

    /// The slot as an extra.
    #[inline]
    pub fn as_extra(self) -> ExtraInfo {
        let [first, second] = self.words();
        extra(first, second)
    }

    #[inline]
    fn words(self) -> [u32; 2] {
        let [a, b, c, d, e, f, g, h] = self.0.to_ne_bytes();
        [
            u32::from_ne_bytes([a, b, c, d]),
            u32::from_ne_bytes([e, f, g, h]),
        ]
    }

    #[inline]
    fn of(words: [u32; 2]) -> Self {
        let [[a, b, c, d], [e, f, g, h]] = words.map(u32::to_ne_bytes);
        Self(u64::from_ne_bytes([a, b, c, d, e, f, g, h]))
    }
}

impl From<RxResponse> for RxSlot {
    #[inline]
    fn from(r: RxResponse) -> Self {
        Self::of([whole(r.id, r.offset), whole(r.flags, r.status as u16)])
    }
}

impl From<ExtraInfo> for RxSlot {
    #[inline]
    fn from(info: ExtraInfo) -> Self {
        Self::of(words(info))
    }
}

/// The two numbers of 16 bits that a word holds in memory.
#[inline]
fn halves(word: u32) -> (u16, u16) {
    let [a, b, c, d] = word.to_ne_bytes();
    (u16::from_ne_bytes([a, b]), u16::from_ne_bytes([c, d]))
}

#[inline]
fn whole(first: u16, second: u16) -> u32 {
    let ([a, b], [c, d]) = (first.to_ne_bytes(), second.to_ne_bytes());
    u32::from_ne_bytes([a, b, c, d])
}

#[inline]
fn extra(first: u32, second: u32) -> ExtraInfo {
    let [kind, flags, a, b] = first.to_ne_bytes();
    let [c, d, e, f] = second.to_ne_bytes();
    ExtraInfo {
        kind,
        flags,
        detail: [a, b, c, d, e, f],
    }
}

#[inline]
fn words(info: ExtraInfo) -> [u32; 2] {
    let [a, b, c, d, e, f] = info.detail;
    [
        u32::from_ne_bytes([info.kind, info.flags, a, b]),
        u32::from_ne_bytes([c, d, e, f]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use zerocopy::{FromBytes, IntoBytes};

    const BYTES: [u8; 12] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];

    #[test]
    fn a_slot_has_the_bytes_of_what_it_holds() {
        let slot = TxSlot::read_from_bytes(&BYTES).expect("12 bytes");
        assert_eq!(slot.as_request().as_bytes(), BYTES);
        assert_eq!(slot.as_extra().as_bytes(), &BYTES[..8]);
        assert_eq!(TxSlot::from(slot.as_request()), slot);
        let extra = TxSlot::from(slot.as_extra());
        assert_eq!(extra.as_bytes(), [1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0]);

        let slot = RxSlot::read_from_bytes(&BYTES[..8]).expect("8 bytes");
        assert_eq!(slot.as_response().as_bytes(), &BYTES[..8]);
        assert_eq!(slot.as_extra().as_bytes(), &BYTES[..8]);
        assert_eq!(RxSlot::from(slot.as_response()), slot);
        assert_eq!(RxSlot::from(slot.as_extra()), slot);
    }
}
