// SPDX-License-Identifier: GPL-2.0

//! FIFO event queues, on whose control block and event words the guest scribbles while events are sent.

use misbehaving::random::Random;
use misbehaving::scratch::{self, Scratch};
use xen_abi::event_channel::{self, op};
use xen_abi::xen::{domid, hypercall};
use zerocopy::{FromZeros, IntoBytes};

use crate::arch;
use crate::report::say;

/// Rounds of sending and scribbling.
const ROUNDS: u32 = 4000;
/// Page of the window with the control block.
const CONTROL: u64 = scratch::READ_ONLY;
/// Page of the window with the event words.
const WORDS: u64 = scratch::READ_ONLY + 1;
/// Ports that are sent to.
const PORTS: usize = 16;

fn events<T: IntoBytes>(command: u32, argument: &mut T) -> i64
where
    T: zerocopy::FromBytes,
{
    let at = argument.as_mut_bytes().as_mut_ptr() as u64;
    arch::hypercall(
        hypercall::EVENT_CHANNEL_OP.into(),
        [command.into(), at, 0, 0, 0],
    )
}

/// Sets queues up, first with invalid and then with valid arguments, and misuses them.
pub fn scribble(scratch: &Scratch, random: &mut Random) {
    let mut reset = event_channel::Reset { dom: domid::SELF };
    events(op::RESET, &mut reset);
    for _ in 0..200 {
        let mut control = event_channel::InitControl::new_zeroed();
        control.control_gfn = scratch.frame(random);
        control.offset = random.next() as u32;
        control.vcpu = random.below(4) as u32 * 1000;
        events(op::INIT_CONTROL, &mut control);
        let mut expand = event_channel::ExpandArray {
            array_gfn: scratch.frame(random),
        };
        events(op::EXPAND_ARRAY, &mut expand);
        events(op::RESET, &mut reset);
    }
    let mut control = event_channel::InitControl::new_zeroed();
    control.control_gfn = scratch.first_frame + CONTROL;
    let result = events(op::INIT_CONTROL, &mut control);
    if result != 0 {
        say(format_args!("queues: there are none here ({result})"));
        return;
    }
    let mut ports = [0; PORTS];
    for (number, port) in (0u64..).zip(&mut ports) {
        if number % 4 == 0 {
            let mut expand = event_channel::ExpandArray {
                array_gfn: scratch.first_frame + WORDS,
            };
            events(op::EXPAND_ARRAY, &mut expand);
        }
        let mut bind = event_channel::BindIpi::new_zeroed();
        events(op::BIND_IPI, &mut bind);
        *port = bind.port;
    }
    let mut sent = 0;
    for _ in 0..ROUNDS {
        for _ in 0..random.below(4) {
            scribble_on(CONTROL, 128, random);
            scribble_on(WORDS, 256, random);
        }
        let mut port = event_channel::Port {
            port: random.one_of(&ports),
        };
        let mut priority = event_channel::SetPriority {
            port: port.port,
            priority: random.below(20) as u32,
        };
        let result = match random.below(4) {
            0 => events(op::UNMASK, &mut port),
            1 => events(op::SET_PRIORITY, &mut priority),
            _ => {
                sent += 1;
                events(op::SEND, &mut port)
            }
        };
        if !(-200..=0).contains(&result) {
            crate::report::failed(format_args!("an event call returns {result}"));
        }
    }
    events(op::RESET, &mut reset);
    say(format_args!("queues: {sent} events sent"));
}

/// Changes a word in the first bytes of a page to a link to any port, with any flags.
fn scribble_on(page: u64, bytes: u64, random: &mut Random) {
    let at = scratch::page(page) + random.below(bytes / 4) * 4;
    let link = match random.below(3) {
        0 => random.below(PORTS as u64 * 2),
        1 => random.below(1 << 17),
        _ => 0,
    };
    let flags = random.next() & 0xf000_0000;
    arch::write(at, 4, flags | link);
}
