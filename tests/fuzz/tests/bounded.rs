// SPDX-License-Identifier: GPL-2.0

//! Runs each target on a fixed number of made-up inputs, the same ones each time, on any
//! compiler. It finds what is easy to find; libFuzzer finds the rest, see the crate's docs.

use std::panic::{catch_unwind, resume_unwind};
use xen_fuzz::{Target, TARGETS};

/// Inputs for each target, if `PARAVANE_FUZZ_ROUNDS` does not say otherwise.
const ROUNDS: u64 = 30_000;

/// Marsaglia's xorshift, which is enough to make up inputs.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    /// A byte as peers and parsers like them: often small, sometimes an extreme or a digit.
    fn byte(&mut self) -> u8 {
        let any = self.next() as u8;
        match self.below(6) {
            0 => 0,
            1 | 2 => any % 12,
            3 => b"0123456789/\0@aZ -"[usize::from(any) % 17],
            4 => [0xff, 0x7f, 0x80, 0x01][usize::from(any) % 4],
            _ => any,
        }
    }

    fn fresh(&mut self) -> Vec<u8> {
        let len = self.below(400);
        (0..len).map(|_| self.byte()).collect()
    }

    /// Changes an input a little.
    fn mutate(&mut self, input: &mut Vec<u8>) {
        for _ in 0..=self.below(4) {
            let at = self.below(input.len() + 1);
            match self.below(5) {
                0 => input.insert(at, self.byte()),
                1 => input.truncate(at),
                2 => {
                    let copy = input[at..].to_vec();
                    input.extend(copy.iter().take(64));
                }
                _ => {
                    if let Some(byte) = input.get_mut(at) {
                        *byte = self.byte();
                    }
                }
            }
        }
    }
}

fn run(name: &str) {
    let found = TARGETS.iter().find(|(known, _)| *known == name);
    let (_, target): &(&str, Target) = found.expect("a target of that name");
    let rounds = match std::env::var("PARAVANE_FUZZ_ROUNDS") {
        Ok(rounds) => rounds.parse().expect("PARAVANE_FUZZ_ROUNDS is a number"),
        Err(_) => ROUNDS,
    };
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut input = Vec::new();
    for round in 0..rounds {
        if round % 8 == 0 {
            input = random.fresh();
        } else {
            random.mutate(&mut input);
        }
        if let Err(panic) = catch_unwind(|| target(&input)) {
            eprintln!("{name}: round {round} broke a promise with the input {input:?}");
            resume_unwind(panic);
        }
    }
}

macro_rules! targets {
    ($($name:ident),*) => {
        $(#[test]
        fn $name() {
            run(stringify!($name));
        })*

        #[test]
        fn every_target_is_run() {
            let run = [$(stringify!($name)),*];
            assert!(TARGETS.iter().all(|(name, _)| run.contains(name)));
        }
    };
}

targets!(
    front_ring,
    back_ring,
    blkif_request,
    blkif_response,
    features,
    netif_rx,
    netif_tx,
    netif_request,
    pciif_answer,
    pciif_request,
    pciif_store,
    netif_control,
    netif_features,
    xenstore,
    console,
    event_channels,
    grants,
    hypercall,
    bzimage,
    multiboot
);
