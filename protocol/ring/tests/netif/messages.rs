// SPDX-License-Identifier: GPL-2.0

//! What a driver logs when a packet, a request or a setting is refused: the cause, with the numbers
//! that were seen.

use std::fmt::Display;
use xen_ring::netif::control::{NotAsked, Refused};
use xen_ring::netif::extra::BadExtra;
use xen_ring::netif::mac::BadMac;
use xen_ring::netif::rx::Dropped;
use xen_ring::netif::tx::decode::Fatal;
use xen_ring::netif::tx::in_flight::SendError;
use xen_ring::netif::tx::Misfit;
use xen_ring::Corrupt;

fn check<T: Display>(texts: impl IntoIterator<Item = (T, &'static str)>) {
    for (error, text) in texts {
        assert_eq!(error.to_string(), text);
    }
}

#[test]
fn a_packet_that_cannot_be_sent() {
    let piece = Misfit::Piece {
        offset: 4090,
        len: 7,
    };
    let misfits = [
        (Misfit::Pieces(19), "a packet cannot have 19 pieces"),
        (piece, "7 bytes at 4090 are no piece of a page"),
        (
            Misfit::ShortHead(13),
            "13 bytes are too short for a packet's head",
        ),
        (
            Misfit::TooLong(65_536),
            "packet of 65536 bytes is too big for wire format",
        ),
    ];
    check(misfits);
    check(misfits.map(|(misfit, text)| (SendError::Misfit(misfit), text)));
    check([
        (SendError::Full, "the ring is full"),
        (
            SendError::Corrupt(Corrupt::UnknownId(0x1f)),
            "response has incorrect id 0x1f",
        ),
    ]);
}

#[test]
fn a_packet_that_a_back_end_does_not_take() {
    let extra = Fatal::Extra(BadExtra::UnknownGso(3));
    check([
        (
            Fatal::Incomplete,
            "the requests of a packet are not all there",
        ),
        (Fatal::Endless, "a packet has too many requests"),
        (extra, "bad GSO type 3"),
        (
            Fatal::BeyondPage,
            "a piece of a packet crosses a page boundary",
        ),
    ]);
}

#[test]
fn a_packet_that_is_lost() {
    let beyond = Dropped::BeyondPage {
        offset: 4000,
        len: 97,
    };
    let extra = Dropped::BadExtra(BadExtra::UnknownType(6));
    check([
        (Dropped::Failed(-7), "the back end failed with status -7"),
        (beyond, "rx->offset: 4000, size: 97"),
        (Dropped::TooManyPieces, "too many slots"),
        (extra, "invalid extra type 6"),
        (
            Dropped::BadExtra(BadExtra::GsoSizeZero),
            "GSO size must not be zero",
        ),
        (Dropped::UnexpectedExtra(2), "unexpected extra type 2"),
        (Dropped::Headroom(256), "no data behind 256 bytes head room"),
        (Dropped::GsoPrefix, "a GSO prefix was not asked for"),
        (Dropped::TooShort(13), "13 bytes are too short for a packet"),
    ]);
}

#[test]
fn a_setting_that_is_not_made() {
    check([
        (Refused::NotSupported, "the back end does not support it"),
        (
            Refused::InvalidParameter,
            "the back end takes it for invalid",
        ),
        (Refused::TooLarge, "the back end has no room for it"),
    ]);
    check([
        (
            NotAsked::Busy,
            "another control request is not answered yet",
        ),
        (
            NotAsked::OutOfRange,
            "the control request's data exceed a page or wrap around",
        ),
    ]);
    check([
        (BadMac::Form, "it is not of the form 00:16:3e:xx:xx:xx"),
        (BadMac::Zero, "it is all zeroes"),
        (
            BadMac::Multicast,
            "it is a multicast address: the first byte is odd",
        ),
    ]);
}
