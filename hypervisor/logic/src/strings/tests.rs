// SPDX-License-Identifier: GPL-2.0

use proptest::prelude::*;
use std::vec::Vec;

use super::*;

/// What was done to the port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Port {
    In(u16, u8),
    Out(u16, u8, u32),
}

/// Memory from an address on, of which the bytes from `end` on fault.
struct FakePlatform {
    start: u64,
    bytes: Vec<u8>,
    done: Vec<Port>,
    /// What the port reads as next.
    next: u32,
}

const START: u64 = 0x1000;

impl FakePlatform {
    fn new(len: usize) -> Self {
        Self {
            start: START,
            bytes: (0..len).map(|at| at as u8).collect(),
            done: Vec::new(),
            next: 0x0403_0201,
        }
    }

    fn part(&mut self, address: u64, len: usize, write: bool) -> Result<&mut [u8], PageFault> {
        let code = u32::from(write) << 1;
        let at = address.wrapping_sub(self.start) as usize;
        let whole = at.checked_add(len).filter(|end| *end <= self.bytes.len());
        match whole {
            Some(end) => Ok(&mut self.bytes[at..end]),
            None => Err(PageFault { address, code }),
        }
    }
}

impl Guest for FakePlatform {
    fn input(&mut self, port: u16, size: u8) -> u32 {
        self.done.push(Port::In(port, size));
        let value = self.next;
        self.next = self.next.wrapping_add(0x0101_0101);
        value
    }

    fn output(&mut self, port: u16, size: u8, value: u32) {
        self.done.push(Port::Out(port, size, value));
    }

    fn probe(&mut self, address: u64, length: usize) -> Result<(), PageFault> {
        self.part(address, length, true).map(|_| ())
    }

    fn read(&mut self, address: u64, to: &mut [u8]) -> Result<(), PageFault> {
        let from = self.part(address, to.len(), false)?;
        to.copy_from_slice(from);
        Ok(())
    }

    fn write(&mut self, address: u64, from: &[u8]) -> Result<(), PageFault> {
        self.part(address, from.len(), true)?.copy_from_slice(from);
        Ok(())
    }
}

const FLAT: Segment = Segment {
    base: 0,
    limit: u32::MAX,
    // Data, writable, present, big.
    attributes: 0xc93,
    stack: false,
};

/// `outsb` in 64-bit mode.
const OUTSB: Instruction = Instruction {
    port: 0x3f8,
    size: 1,
    input: false,
    repeated: false,
    address_bits: 64,
    segment: FLAT,
    canonical: Some(48),
    down: false,
    aligned: false,
};

const INSB: Instruction = Instruction {
    input: true,
    ..OUTSB
};

fn registers(count: u64, index: u64) -> StringRegs {
    StringRegs { count, index }
}

fn exception(vector: u8) -> StringResult {
    StringResult::Fault(Exception {
        vector,
        code: 0,
        address: None,
    })
}

#[test]
fn one_element_moves_the_index_and_no_count() {
    let (mut guest, mut after) = (FakePlatform::new(8), registers(7, START + 2));
    assert_eq!(run(&OUTSB, &mut after, &mut guest), StringResult::Done);
    assert_eq!(guest.done, [Port::Out(0x3f8, 1, 2)]);
    assert_eq!(after, registers(7, START + 3));

    let insd = Instruction { size: 4, ..INSB };
    assert_eq!(run(&insd, &mut after, &mut guest), StringResult::Done);
    assert_eq!(guest.bytes, [0, 1, 2, 1, 2, 3, 4, 7]);
    assert_eq!(after, registers(7, START + 7));
}

#[test]
fn a_repeated_one_counts_down_and_none_is_none() {
    let rep = Instruction {
        repeated: true,
        size: 2,
        down: true,
        ..OUTSB
    };
    let (mut guest, mut after) = (FakePlatform::new(8), registers(2, START + 4));
    assert_eq!(run(&rep, &mut after, &mut guest), StringResult::Done);
    assert_eq!(
        guest.done,
        [Port::Out(0x3f8, 2, 0x0504), Port::Out(0x3f8, 2, 0x0302)]
    );
    assert_eq!(after, registers(0, START));
    // Not even the address is looked at.
    let mut none = registers(0, 1 << 60);
    assert_eq!(run(&rep, &mut none, &mut guest), StringResult::Done);
    assert_eq!((none, guest.done.len()), (registers(0, 1 << 60), 2));
}

#[test]
fn a_long_one_is_cut_into_pieces() {
    let rep = Instruction {
        repeated: true,
        ..INSB
    };
    let count = u64::from(MAX_ELEMENTS) * 2;
    let (mut guest, mut after) = (FakePlatform::new(count as usize), registers(count, START));
    assert_eq!(run(&rep, &mut after, &mut guest), StringResult::Unfinished);
    assert_eq!(after, registers(count / 2, START + count / 2));
    assert_eq!(run(&rep, &mut after, &mut guest), StringResult::Done);
    assert_eq!(after, registers(0, START + count));
    // A guest that asks for all there is has the processor for no longer.
    let mut endless = registers(u64::MAX, START);
    assert_eq!(
        run(&rep, &mut endless, &mut guest),
        StringResult::Unfinished
    );
    assert_eq!(endless.count, u64::MAX - u64::from(MAX_ELEMENTS));
}

#[test]
fn a_page_fault_comes_before_the_port_and_keeps_what_was_done() {
    let rep = Instruction {
        repeated: true,
        ..INSB
    };
    let (mut guest, mut after) = (FakePlatform::new(3), registers(9, START));
    let fault = Exception {
        vector: 14,
        code: 2,
        address: Some(START + 3),
    };
    assert_eq!(
        run(&rep, &mut after, &mut guest),
        StringResult::Fault(fault)
    );
    assert_eq!(after, registers(6, START + 3));
    assert_eq!(guest.done.len(), 3, "the port was read in vain");

    let rep = Instruction {
        repeated: true,
        ..OUTSB
    };
    let (mut guest, mut after) = (FakePlatform::new(3), registers(9, START));
    let fault = Exception { code: 0, ..fault };
    assert_eq!(
        run(&rep, &mut after, &mut guest),
        StringResult::Fault(fault)
    );
    assert_eq!((after.count, guest.done.len()), (6, 3));
}

#[test]
fn registers_are_as_wide_as_addresses() {
    let with = |address_bits| Instruction {
        address_bits,
        repeated: true,
        ..OUTSB
    };
    let high = 0xabcd_0000_0000_0000;
    // The upper half of neither counts, and both are cleared.
    let (mut guest, mut after) = (FakePlatform::new(8), registers(high | 1, high | START));
    assert_eq!(run(&with(32), &mut after, &mut guest), StringResult::Done);
    assert_eq!(after, registers(0, START + 1));
    // Of 16 bits the others stay, and the index begins anew at its end.
    let (mut guest, mut after) = (FakePlatform::new(8), registers(high | 2, high | 0xffff));
    guest.start = 0;
    let outcome = run(&with(16), &mut after, &mut guest);
    assert!(matches!(
        outcome,
        StringResult::Fault(Exception { vector: 14, .. })
    ));
    after = registers(high | 1, high | 0xffff);
    guest.bytes.resize(0x1_0000, 9);
    assert_eq!(run(&with(16), &mut after, &mut guest), StringResult::Done);
    assert_eq!(after, registers(high, high));
}

#[test]
fn addresses_that_are_not_canonical_fault() {
    let outsd = Instruction { size: 4, ..OUTSB };
    for address in [1u64 << 47, (1 << 47) - 1, (1 << 47) - 3, !0 << 47 - 1 << 1] {
        let mut after = registers(0, address);
        let outcome = run(&outsd, &mut after, &mut FakePlatform::new(8));
        let canonical = (address as i64) >> 47 == -1;
        assert_eq!(outcome == exception(13), !canonical, "{address:#x}");
    }
    let five = Instruction {
        canonical: Some(57),
        ..outsd
    };
    let outcome = run(&five, &mut registers(0, 1 << 47), &mut FakePlatform::new(8));
    assert!(matches!(
        outcome,
        StringResult::Fault(Exception { vector: 14, .. })
    ));
    // SS has a vector of its own.
    let mut stack = outsd;
    stack.segment.stack = true;
    let outcome = run(
        &stack,
        &mut registers(0, 1 << 47),
        &mut FakePlatform::new(8),
    );
    assert_eq!(outcome, exception(12));
}

#[test]
fn segments_limit_what_is_not_64_bit() {
    let old = Instruction {
        canonical: None,
        address_bits: 32,
        ..INSB
    };
    let of = |input, size, attributes, limit, index| {
        let segment = Segment {
            base: START.wrapping_sub(0x100),
            limit,
            attributes,
            stack: false,
        };
        let of = Instruction {
            input,
            size,
            segment,
            ..old
        };
        run(&of, &mut registers(0, index), &mut FakePlatform::new(64))
    };
    // Data, writable; its last bytes.
    assert_eq!(of(true, 4, 0x93, 0x10f, 0x10c), StringResult::Done);
    assert_eq!(of(true, 4, 0x93, 0x10f, 0x10d), exception(13));
    // Read-only, code that can be read and that cannot, not present.
    assert_eq!(of(true, 1, 0x91, 0x10f, 0x100), exception(13));
    assert_eq!(of(false, 1, 0x91, 0x10f, 0x100), StringResult::Done);
    assert_eq!(of(true, 1, 0x9b, 0x10f, 0x100), exception(13));
    assert_eq!(of(false, 1, 0x9b, 0x10f, 0x100), StringResult::Done);
    assert_eq!(of(false, 1, 0x99, 0x10f, 0x100), exception(13));
    assert_eq!(of(false, 1, 0x13, 0x10f, 0x100), exception(13));
    // Down to the limit, up to the end of 64 KiB or 4 GiB.
    assert_eq!(of(true, 1, 0x97, 0xff, 0x100), StringResult::Done);
    assert_eq!(of(true, 1, 0x97, 0x100, 0x100), exception(13));
    assert_eq!(of(true, 2, 0x97, 0xff, 0xffff), exception(13));
    let above = of(true, 2, 0x497, 0xff, 0xffff);
    assert!(matches!(
        above,
        StringResult::Fault(Exception { vector: 14, .. })
    ));
    // 32-bit addresses begin anew at their end.
    let wrapped = Instruction {
        segment: Segment {
            base: 0xffff_ff00,
            ..FLAT
        },
        ..old
    };
    let outcome = run(
        &wrapped,
        &mut registers(0, START + 0x100),
        &mut FakePlatform::new(8),
    );
    assert_eq!(outcome, StringResult::Done);
}

#[test]
fn a_users_elements_have_to_be_aligned_if_it_wants_so() {
    let aligned = Instruction {
        aligned: true,
        size: 2,
        ..OUTSB
    };
    let of = |index| {
        run(
            &aligned,
            &mut registers(0, index),
            &mut FakePlatform::new(8),
        )
    };
    assert_eq!(of(START + 1), exception(17));
    assert_eq!(of(START + 2), StringResult::Done);
}

proptest! {
    /// Whatever the registers: a bounded number of accesses, and none without the count saying so.
    #[test]
    fn no_more_is_done_than_was_asked(
        count in prop_oneof![0u64..200, any::<u64>()],
        index in prop_oneof![START - 4..START + 300, any::<u64>()],
        address_bits in prop::sample::select(vec![16u32, 32, 64]),
        size in prop::sample::select(vec![1u8, 2, 4]),
        (input, repeated, down, wide) in any::<(bool, bool, bool, bool)>(),
        attributes in any::<u16>(),
        limit in any::<u32>(),
    ) {
        let of = Instruction {
            port: 1,
            size,
            input,
            repeated,
            address_bits,
            segment: Segment { base: 0, limit, attributes, stack: false },
            canonical: wide.then_some(48),
            down,
            aligned: false,
        };
        let (mut guest, mut after) = (FakePlatform::new(256), registers(count, index));
        let outcome = run(&of, &mut after, &mut guest);
        let done = guest.done.len() as u64;
        let mask = of.mask();
        prop_assert!(done <= u64::from(MAX_ELEMENTS));
        if repeated {
            prop_assert_eq!((count & mask).wrapping_sub(after.count & mask) & mask, done);
            prop_assert_eq!(outcome == StringResult::Done, after.count & mask == 0);
            prop_assert!(outcome != StringResult::Unfinished || done == u64::from(MAX_ELEMENTS));
        } else {
            prop_assert_eq!(after.count, count);
            prop_assert_eq!(done, u64::from(outcome == StringResult::Done));
        }
        let moved = done * u64::from(size);
        let moved = if down { moved.wrapping_neg() } else { moved };
        prop_assert_eq!(after.index & mask, index.wrapping_add(moved) & mask);
    }
}
