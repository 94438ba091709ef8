// SPDX-License-Identifier: GPL-2.0

//! The list of hypercalls that a kernel made, and how two lists differ.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use crate::gdb::Registers;
use crate::hypercall_names::{self, CommandPlace};

/// Bit of EFLAGS that lets the kernel reach programs' memory (AC). The kernel sets it for hypercalls that a program makes
/// through privcmd, and for no others.
const ACCESS: u32 = 1 << 18;

/// Parts of a multicall that are looked at.
const MAX_PARTS: u64 = 32;

/// A kind of hypercall, and where in the kernel it is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hypercall {
    /// Its number, RAX.
    pub number: u64,
    /// Its subcommand, if it has one that is read.
    pub command: Option<u32>,
    /// Whether user space makes it, by privcmd; the kernel makes the others.
    pub program: bool,
}

impl Hypercall {
    /// Reads it off the registers, and its command off memory by `load`, four bytes at an address, if it is there.
    pub fn read<E>(
        registers: &Registers,
        load: &mut impl FnMut(u64) -> Result<u32, E>,
    ) -> Result<Self, E> {
        let command = match hypercall_names::place(registers.rax) {
            CommandPlace::Nowhere => None,
            CommandPlace::Register(bits) => Some(registers.rdi as u32 & bits),
            CommandPlace::Memory => Some(load(registers.rdi)?),
        };
        Ok(Self {
            number: registers.rax,
            command,
            program: registers.eflags & ACCESS != 0,
        })
    }

    /// The calls that a multicall consists of: RDI points to them, RSI is their number.
    pub fn parts<E>(
        registers: &Registers,
        load: &mut impl FnMut(u64) -> Result<u32, E>,
    ) -> Result<Vec<Self>, E> {
        let entry = |index: u64| {
            // struct multicall_entry: number, result, and six arguments.
            let at = registers.rdi.wrapping_add(64 * index);
            let (number, low, high) = (load(at)?, load(at + 16)?, load(at + 20)?);
            let registers = Registers {
                rax: number.into(),
                rdi: u64::from(high) << 32 | u64::from(low),
                ..*registers
            };
            Self::read(&registers, load)
        };
        (0..registers.rsi.min(MAX_PARTS)).map(entry).collect()
    }
}

impl fmt::Display for Hypercall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", hypercall_names::call(self.number, self.command))
    }
}

/// What became of the calls of a kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// How often it was made.
    pub made: u64,
    /// How often it was answered by an error, which is positive here.
    pub refused: BTreeMap<u32, u64>,
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.made)?;
        for (error, times) in &self.refused {
            write!(f, ", {times} × {}", hypercall_names::error(*error))?;
        }
        Ok(())
    }
}

/// All calls of a processor.
#[derive(Clone, Debug, Default)]
pub struct Calls {
    counts: BTreeMap<Hypercall, Count>,
    /// Calls that have not returned, by the stack pointer, which is the same when they do. An interrupt that is taken
    /// before a call's return makes calls further down.
    open: HashMap<u64, Hypercall>,
}

impl Calls {
    /// A call is made, with this stack pointer. Says whether it is another than the last one there.
    pub fn made(&mut self, call: Hypercall, rsp: u64) -> bool {
        let open = self.open.get(&rsp);
        if open.is_some_and(|open| open.number == call.number) {
            // A hypervisor that has not done all of it yet lets the instruction be executed again.
            return false;
        }
        self.open.insert(rsp, call);
        self.counts.entry(call).or_default().made += 1;
        true
    }

    /// A call is made as a part of another; its answer is not seen.
    pub fn made_within(&mut self, call: Hypercall) {
        self.counts.entry(call).or_default().made += 1;
    }

    /// A call has returned with this in RAX.
    pub fn returned(&mut self, rsp: u64, rax: u64) {
        // Errors are the last page of numbers.
        let error = rax.wrapping_neg();
        let Some(call) = self.open.remove(&rsp) else {
            return;
        };
        if (1..4096).contains(&error) {
            let count = self.counts.entry(call).or_default();
            *count.refused.entry(error as u32).or_default() += 1;
        }
    }

    /// How many calls there were.
    pub fn total(&self) -> u64 {
        self.counts.values().map(|count| count.made).sum()
    }

    /// How many kinds there were.
    pub fn kinds(&self) -> usize {
        self.counts.len()
    }
}

/// A kind of call in two lists; one of them may not have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Which hypercall.
    pub call: Hypercall,
    /// What the lists say.
    pub counts: [Option<Count>; 2],
}

impl Pair {
    /// Whether it is on one list only, or is refused in ways it is not on the other. How often it is made depends on how
    /// long things take, and is no difference.
    pub fn differs(&self) -> bool {
        let [one, two] = self.counts.each_ref().map(|count| {
            let count = count.as_ref()?;
            Some(count.refused.keys().collect::<Vec<_>>())
        });
        one != two
    }
}

/// All kinds of either list, in the order of their numbers.
pub fn pairs(one: &Calls, two: &Calls) -> Vec<Pair> {
    let kinds: BTreeSet<_> = one.counts.keys().chain(two.counts.keys()).collect();
    let pair = |call: &Hypercall| Pair {
        call: *call,
        counts: [one, two].map(|calls| calls.counts.get(call).cloned()),
    };
    kinds.into_iter().map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(number: u64, command: u32) -> Hypercall {
        Hypercall {
            number,
            command: Some(command),
            program: false,
        }
    }

    #[test]
    fn a_call_is_read_off_the_registers() {
        let registers = Registers {
            rax: 12,
            rdi: 0x1c7,
            eflags: 0x4_0246,
            ..Registers::default()
        };
        let mut unasked = |_| -> Result<u32, ()> { panic!("its command is in a register") };
        let read = Hypercall::read(&registers, &mut unasked).unwrap();
        assert_eq!((read.command, read.program), (Some(7), true));
        assert_eq!(read.to_string(), "memory_op.add_to_physmap");
        let registers = Registers {
            rax: 7,
            eflags: 0x246,
            ..registers
        };
        let read = Hypercall::read(&registers, &mut |at| {
            if at == 0x1c7 { Ok(50) } else { Err(()) }
        })
        .unwrap();
        assert_eq!(read.to_string(), "platform_op.firmware_info");
        assert!(!read.program);
        assert!(Hypercall::read(&registers, &mut |_| Err(())).is_err());
    }

    #[test]
    fn a_multicall_is_taken_apart() {
        let registers = Registers {
            rax: 13,
            rdi: 0x1000,
            rsi: 2,
            ..Registers::default()
        };
        let mut load = |at| match at {
            0x1000 => Ok(12),
            0x1010 => Ok(2),
            0x1014 | 0x1050 => Ok(0),
            0x1040 => Ok(35),
            0x1054 => Ok(0x7fff),
            0x7fff_0000_0000 => Ok(3),
            _ => Err(at),
        };
        let parts = Hypercall::parts(&registers, &mut load).unwrap();
        let names: Vec<_> = parts.iter().map(Hypercall::to_string).collect();
        assert_eq!(names, ["memory_op.maximum_ram_page", "sysctl.physinfo"]);
    }

    #[test]
    fn answers_belong_to_the_call_with_the_same_stack() {
        let mut calls = Calls::default();
        calls.made(call(29, 1), 0x1000);
        calls.made(call(34, 9), 0x800);
        calls.returned(0x800, 38u64.wrapping_neg());
        calls.returned(0x1000, 0);
        calls.returned(0x1000, 22u64.wrapping_neg());
        calls.made(call(34, 9), 0x800);
        calls.returned(0x800, u64::MAX << 12);
        let refused = Count {
            made: 2,
            refused: [(38, 1)].into(),
        };
        assert_eq!(calls.counts[&call(34, 9)], refused);
        assert_eq!(refused.to_string(), "2, 1 × ENOSYS");
        assert!(calls.counts[&call(29, 1)].refused.is_empty());
        assert_eq!((calls.total(), calls.kinds()), (3, 2));
    }

    #[test]
    fn a_call_that_goes_on_is_one() {
        let mut calls = Calls::default();
        calls.made(call(12, 23), 0x1000);
        calls.made(call(12, 23), 0x1000);
        calls.returned(0x1000, 0);
        calls.made(call(12, 23), 0x1000);
        assert_eq!(calls.total(), 2);
    }

    #[test]
    fn differences_are_kinds_and_refusals_but_not_numbers() {
        let (mut xen, mut ours) = (Calls::default(), Calls::default());
        for _ in 0..3 {
            xen.made(call(29, 1), 0x1000);
            xen.returned(0x1000, 0);
        }
        ours.made(call(29, 1), 0x1000);
        ours.returned(0x1000, 0);
        for calls in [&mut xen, &mut ours] {
            calls.made(call(7, 50), 0x1000);
        }
        xen.returned(0x1000, 0);
        ours.returned(0x1000, 3u64.wrapping_neg());
        ours.made(call(34, 9), 0x1000);
        let pairs = pairs(&xen, &ours);
        let different: Vec<_> = pairs.iter().filter(|pair| pair.differs()).collect();
        assert_eq!(pairs.len(), 3);
        assert_eq!(different.len(), 2);
        assert_eq!(different[0].call, call(7, 50));
        assert_eq!(different[1].counts[0], None);
    }
}
