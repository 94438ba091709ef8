// SPDX-License-Identifier: GPL-2.0

//! Marks: instructions that do nothing but are seen by the plugin.
//!
//! A mark is the seven-byte form of NOP, `0f 1f 80` with a displacement of 32 bits (AMD64 Architecture Programmer's Manual,
//! volume 3, *NOP*), whose upper 24 bits are ours and whose lowest 8 say what it marks. Neither compilers nor assemblers
//! pad with such displacements. It can be executed at any privilege level, in a guest as outside, and costs what a NOP costs
//! where nobody counts.

use std::arch::asm;

/// The first bytes of the instruction: opcode and ModR/M.
const NOP: [u8; 3] = [0x0f, 0x1f, 0x80];

/// What the displacement begins with: "PVM" and a byte for the meaning.
const MAGIC: u32 = 0x5056_4d00;

/// Bytes of a mark.
pub const LENGTH: usize = NOP.len() + size_of::<u32>();

/// What is marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Mark {
    /// From here on it is counted.
    Begin = 1,
    /// Up to here it is counted.
    End = 2,
    /// What has been executed before belongs to another epoch than what is executed for the first time from now on.
    Epoch = 3,
}

impl Mark {
    /// The mark that an instruction of these bytes is.
    ///
    /// ```
    /// use counter::mark::Mark;
    ///
    /// assert_eq!(Mark::of(&[0x0f, 0x1f, 0x80, 2, 0x4d, 0x56, 0x50]), Some(Mark::End));
    /// assert_eq!(Mark::of(&[0x0f, 0x1f, 0x80, 0, 0, 0, 0]), None);
    /// ```
    pub fn of(instruction: &[u8]) -> Option<Self> {
        let displacement = instruction.strip_prefix(&NOP)?.try_into().ok()?;
        let displacement = u32::from_le_bytes(displacement);
        [Self::Begin, Self::End, Self::Epoch]
            .into_iter()
            .find(|mark| displacement == MAGIC | *mark as u32)
    }
}

/// Executes a mark.
macro_rules! mark {
    ($mark:ident) => {
        // SAFETY: a NOP changes no register, no flag and no memory, whatever its displacement.
        unsafe {
            asm!(".byte 0x0f, 0x1f, 0x80", ".long {mark}", mark = const MAGIC | Mark::$mark as u32,
                options(nostack, preserves_flags));
        }
    };
}

/// Begins an interval; one that has begun already begins anew.
#[inline(never)]
pub fn begin() {
    mark!(Begin);
}

/// Ends an interval.
#[inline(never)]
pub fn end() {
    mark!(End);
}

/// Begins an epoch.
#[inline(never)]
pub fn epoch() {
    mark!(Epoch);
}

/// Counts an interval of a known length: a loop of `rounds` rounds, each of [`LOOP`] instructions.
pub fn known_loop(rounds: u64) {
    if rounds == 0 {
        return;
    }
    begin();
    // SAFETY: the loop changes the register that is given to it, and flags.
    unsafe {
        asm!("2:", "dec {left}", "jnz 2b", left = inout(reg) rounds => _, options(nomem, nostack));
    }
    end();
}

/// Instructions of a round of [`known_loop`].
pub const LOOP: u64 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    fn code(function: fn()) -> Vec<u8> {
        let start = function as *const u8;
        // SAFETY: code can be read, and the function is followed by others.
        unsafe { std::slice::from_raw_parts(start, 64) }.to_vec()
    }

    #[test]
    fn marks_are_found_in_the_code_that_makes_them() {
        for (function, mark) in [
            (begin as fn(), Mark::Begin),
            (end, Mark::End),
            (epoch, Mark::Epoch),
        ] {
            let code = code(function);
            let found = code.windows(LENGTH).find_map(Mark::of);
            assert_eq!(found, Some(mark));
        }
        // They do nothing.
        known_loop(0);
        known_loop(3);
        epoch();
    }

    #[test]
    fn other_nops_are_no_marks() {
        assert_eq!(Mark::of(&[]), None);
        assert_eq!(Mark::of(&[0x90]), None);
        assert_eq!(Mark::of(&[0x0f, 0x1f, 0x80, 4, 0x4d, 0x56, 0x50]), None);
        assert_eq!(Mark::of(&[0x0f, 0x1f, 0x80, 1, 0x4d, 0x56]), None);
        assert_eq!(Mark::of(&[0x0f, 0x1f, 0x80, 1, 0x4d, 0x56, 0x50, 0]), None);
    }
}
