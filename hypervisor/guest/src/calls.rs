// SPDX-License-Identifier: GPL-2.0

//! Random hypercalls and their arguments. Left out are only those that end the guest or put it to sleep: they would be
//! granted.

use xen_abi::xen::hypercall;
use xen_abi::{domctl, platform, sched, sysctl, vcpu};

use crate::random::Random;
use crate::scratch::Scratch;

/// Number of 8-byte words that are written where the argument points.
pub const WORDS: usize = 16;

/// A multicall's entries (`multicall_entry`): number, result, six arguments.
const ENTRY: usize = 8;

/// One hypercall.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// The hypercall's number, with all bits of RAX.
    pub number: u64,
    /// Its arguments.
    pub arguments: [u64; 5],
    /// Address at which the words are written before the hypercall.
    pub at: u64,
    /// The words.
    pub words: [u64; WORDS],
}

/// A random hypercall.
pub fn random(scratch: &Scratch, random: &mut Random) -> Call {
    let number = match random.below(8) {
        0 => random.next(),
        1 => random.below(256),
        // Existing ones; 48 to 55 are the architecture's.
        _ => random.below(56),
    };
    of_number(number, scratch, random)
}

/// A random hypercall with this number.
pub fn of_number(number: u64, scratch: &Scratch, random: &mut Random) -> Call {
    let at = Scratch::good(random, 8 * WORDS as u64);
    let mut call = Call {
        number,
        arguments: core::array::from_fn(|_| scratch.value(random)),
        at,
        words: core::array::from_fn(|_| scratch.value(random)),
    };
    // Commands are small numbers, and the argument behind them a pointer.
    if !random.one_in(4) {
        call.arguments[0] = random.below(66);
        for argument in &mut call.arguments[1..3] {
            if random.one_in(2) {
                *argument = at;
            }
        }
    }
    tame(&mut call, scratch, random);
    call
}

impl Call {
    /// Whether it must not be made unless its words could be written: an earlier hypercall may have made the page
    /// read-only, and a multicall that lies there would be arbitrary.
    pub fn needs_its_words(&self) -> bool {
        self.number as u32 == hypercall::MULTICALL
    }
}

/// Changes a hypercall so that it returns, and so that its argument is plausible.
fn tame(call: &mut Call, scratch: &Scratch, random: &mut Random) {
    let command = call.arguments[0] as u32;
    // The number is read as 32 bits.
    match call.number as u32 {
        hypercall::SCHED_OP => match command {
            sched::op::BLOCK | sched::op::SHUTDOWN | sched::op::WATCHDOG => {
                call.arguments[0] = sched::op::YIELD.into();
            }
            // Its time-out may be never.
            sched::op::POLL => call.arguments[1] = Scratch::bad(random) | 1 << 46,
            _ => {}
        },
        // `sched_op_compat`: 1 blocks, 2 shuts the domain down.
        6 if matches!(command, 1 | 2) => call.arguments[0] = 0,
        // Taking the only vCPU down shuts the domain down.
        hypercall::VCPU_OP if command == vcpu::op::DOWN => {
            call.arguments[0] = vcpu::op::IS_UP.into();
        }
        hypercall::CONSOLE_IO if command == 0 => {
            // Short, since it is printed on the console.
            call.arguments[1] = random.below(8);
            if random.one_in(2) {
                call.arguments[1] = random.next();
                call.arguments[2] = Scratch::bad(random) | 1 << 46;
            }
        }
        hypercall::PLATFORM_OP => {
            call.arguments[0] = call.at;
            let command = match random.below(70) as u32 {
                platform::op::ENTER_ACPI_SLEEP => 0,
                command => command,
            };
            version(call, command, platform::INTERFACE_VERSION, random);
        }
        hypercall::SYSCTL => {
            call.arguments[0] = call.at;
            version(
                call,
                random.below(32) as u32,
                sysctl::INTERFACE_VERSION,
                random,
            );
        }
        hypercall::DOMCTL => {
            call.arguments[0] = call.at;
            version(
                call,
                random.below(96) as u32,
                domctl::INTERFACE_VERSION,
                random,
            );
        }
        hypercall::MULTICALL => {
            // Its entries are tamed as well. The first one asks for the version, as a random one might change the
            // second.
            let count = random.below(3);
            call.arguments = [call.at, count, 0, 0, 0];
            let number = match random.below(56) {
                number if number == u64::from(hypercall::MULTICALL) => 0,
                number => number,
            };
            let inner = of_number(number, scratch, random);
            let [first, second] = [0, ENTRY];
            call.words[first] = hypercall::XEN_VERSION.into();
            call.words[first + 2] = 0;
            call.words[second] = number;
            call.words[second + 2..second + 7].copy_from_slice(&inner.arguments);
            // The inner argument's memory has other contents, so it points elsewhere.
            for word in &mut call.words[second + 2..second + 7] {
                if *word == inner.at {
                    *word = Scratch::bad(random) | 1 << 46;
                }
            }
            if random.one_in(4) {
                call.arguments[0] = Scratch::bad(random) | 1 << 46;
                call.arguments[1] = scratch.value(random);
            }
        }
        _ => {}
    }
}

/// Sets the command, in the first 32 bits, and the interface version, which is mostly right.
fn version(call: &mut Call, command: u32, version: u32, random: &mut Random) {
    let version = if random.one_in(8) {
        version + 1
    } else {
        version
    };
    call.words[0] = u64::from(version) << 32 | u64::from(command);
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRATCH: Scratch = Scratch {
        first_frame: 0x1380,
        frames: 0x4_0000,
    };

    #[test]
    fn no_call_asks_to_end_or_to_sleep() {
        let mut source = Random::new(5);
        for _ in 0..200_000 {
            let call = random(&SCRATCH, &mut source);
            let command = call.arguments[0] as u32;
            match call.number as u32 {
                hypercall::SCHED_OP => assert!(![1, 2, 6].contains(&command)),
                6 => assert!(![1, 2].contains(&command)),
                hypercall::VCPU_OP => assert_ne!(command, vcpu::op::DOWN),
                hypercall::PLATFORM_OP => assert_ne!(call.words[0] as u32, 51),
                hypercall::MULTICALL if call.arguments[0] == call.at => {
                    for entry in 0..call.arguments[1] as usize {
                        let number = call.words[entry * ENTRY] as u32;
                        let command = call.words[entry * ENTRY + 2] as u32;
                        assert!(number != hypercall::MULTICALL);
                        assert!(number != hypercall::SCHED_OP || ![1, 2, 6].contains(&command));
                        assert!(number != 6 || ![1, 2].contains(&command));
                    }
                }
                _ => {}
            }
        }
    }

    #[test]
    fn every_number_there_is_comes_up() {
        let mut source = Random::new(6);
        let mut seen = [false; 56];
        for _ in 0..20_000 {
            let call = random(&SCRATCH, &mut source);
            if let Some(seen) = seen.get_mut(call.number as usize) {
                *seen = true;
            }
        }
        assert_eq!(seen, [true; 56]);
    }

    #[test]
    fn versions_are_mostly_right() {
        let mut source = Random::new(8);
        let calls = (0..1000).map(|_| of_number(hypercall::SYSCTL.into(), &SCRATCH, &mut source));
        let right = calls.filter(|call| call.words[0] >> 32 == sysctl::INTERFACE_VERSION.into());
        assert!(right.count() > 800);
    }
}
