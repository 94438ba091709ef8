// SPDX-License-Identifier: GPL-2.0

//! Random hypercalls, and those of an honest guest, whose results do not change.

use misbehaving::calls;
use misbehaving::random::Random;
use misbehaving::scratch::{self, Scratch};
use xen_abi::event_channel::{self, op, status};
use xen_abi::memory;
use xen_abi::xen::{domid, hypercall};
use zerocopy::{FromZeros, IntoBytes};

use crate::arch::{self, hypercall as make};
use crate::report::{failed, say};

/// `-ENOSPC`: random calls may have taken all ports.
const NO_SPACE: i64 = -28;

/// Makes `count` random hypercalls; returns how many succeeded.
pub fn random(count: u64, scratch: &Scratch, random: &mut Random) -> u64 {
    let mut succeeded = 0;
    for number in 0..count {
        // Memory that was given away is populated again, or there would soon be none left.
        if number % 256 == 0 {
            repopulate(scratch);
        }
        let call = match number {
            // First each existing number once.
            0..56 => calls::of_number(number, scratch, random),
            _ => calls::random(scratch, random),
        };
        for (index, word) in (0u64..).zip(call.words) {
            arch::write(call.at + index * 8, 8, word);
        }
        let holds = |(index, word)| arch::read(call.at + index * 8, 8) == word;
        if call.needs_its_words() && !(0u64..).zip(call.words).all(holds) {
            continue;
        }
        if make(call.number, call.arguments) >= 0 {
            succeeded += 1;
        }
    }
    succeeded
}

/// Populates the window's memory again, page by page.
fn repopulate(scratch: &Scratch) {
    for index in 0..scratch::MEMORY {
        let frame = scratch.first_frame + index;
        let mut request = memory::Reservation::new_zeroed();
        request.extent_start = (&raw const frame) as u64;
        request.nr_extents = 1;
        request.domid = domid::SELF;
        let arguments = [
            memory::op::POPULATE_PHYSMAP.into(),
            request.as_bytes().as_ptr() as u64,
            0,
            0,
            0,
        ];
        make(hypercall::MEMORY_OP.into(), arguments);
    }
}

/// Results of hypercalls before anything happened.
pub struct Honest {
    version: i64,
    features: u32,
}

impl Honest {
    /// Makes the hypercalls for the first time. 32-bit code, which made one on the way to here, was told the same.
    pub fn ask() -> Self {
        let features = features();
        for (code, told) in arch::CODE_32.iter().zip(arch::features_of_32_bit_code()) {
            if told != Ok(features) {
                failed(format_args!(
                    "32-bit code {code} is told the features {told:x?}, not {features:x}"
                ));
            }
        }
        Self {
            version: version(),
            features,
        }
    }

    /// Makes them again, and prints a line. A different result is a failure.
    pub fn still(&self, after: &str, scratch: &Scratch) {
        repopulate(scratch);
        let found = (version(), features());
        if found != (self.version, self.features) || found.0 < 4 << 16 {
            failed(format_args!(
                "after {after}: version and features are {found:x?}, not {:x?}",
                (self.version, self.features)
            ));
        }
        let yielded = make(hypercall::SCHED_OP.into(), [0; 5]);
        if yielded != 0 {
            failed(format_args!("after {after}: yielding returns {yielded}"));
        }
        port(after);
        say(format_args!("alive after {after}"));
    }
}

fn version() -> i64 {
    make(hypercall::XEN_VERSION.into(), [0; 5])
}

/// `XENVER_get_features` of submap 0.
fn features() -> u32 {
    let mut words = [0u32; 2];
    let arguments = [6, words.as_mut_ptr() as u64, 0, 0, 0];
    let result = make(hypercall::XEN_VERSION.into(), arguments);
    if result != 0 {
        failed(format_args!("asking for features returns {result}"));
    }
    words[1]
}

/// Allocates an event channel port, reads its status, and closes it.
fn port(after: &str) {
    let events = |command: u32, argument: &mut [u8]| {
        let arguments = [command.into(), argument.as_mut_ptr() as u64, 0, 0, 0];
        make(hypercall::EVENT_CHANNEL_OP.into(), arguments)
    };
    let mut open = event_channel::AllocUnbound::new_zeroed();
    open.dom = domid::SELF;
    open.remote_dom = domid::SELF;
    match events(op::ALLOC_UNBOUND, open.as_mut_bytes()) {
        0 => {}
        NO_SPACE => {
            // All ports are in use, which is a valid result. They are closed for the next phase.
            let mut reset = event_channel::Reset { dom: domid::SELF };
            events(op::RESET, reset.as_mut_bytes());
            return;
        }
        other => failed(format_args!("after {after}: a port is refused, {other}")),
    }
    let mut ask = event_channel::Status::new_zeroed();
    ask.dom = domid::SELF;
    ask.port = open.port;
    let result = events(op::STATUS, ask.as_mut_bytes());
    if (result, ask.status) != (0, status::UNBOUND) {
        failed(format_args!(
            "after {after}: port {} is {}, {result}",
            open.port, ask.status
        ));
    }
    let mut close = event_channel::Port { port: open.port };
    let result = events(op::CLOSE, close.as_mut_bytes());
    if result != 0 {
        failed(format_args!("after {after}: closing returns {result}"));
    }
}
