// SPDX-License-Identifier: GPL-2.0

//! Buffers that a process passes to a device model's hypercall (`DM_OP`).

use crate::mapping::PAGE;

/// Limits of one call.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most buffers.
    pub count: u32,
    /// Most bytes of each.
    pub size: u32,
}

/// Why a call is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// There are too many buffers, or one is too large.
    TooBig,
    /// A buffer is not in the part of the address space that a process can have.
    NoMemory,
}

/// The number of pages that a buffer touches; `None` if it wraps around the end of the address
/// space.
pub fn pages(address: u64, size: u64) -> Option<u64> {
    let in_page = address % PAGE;
    address.checked_add(size)?;
    Some(in_page.checked_add(size)?.div_ceil(PAGE))
}

/// Checks all buffers and returns how many pages they touch. `is_user` tells whether a range is in
/// the part of the address space that a process can have.
pub fn check(
    buffers: impl IntoIterator<Item = (u64, u64)>,
    limits: Limits,
    is_user: impl Fn(u64, u64) -> bool,
) -> Result<usize, Refused> {
    let mut total = 0usize;
    for (address, size) in buffers {
        if size > limits.size.into() {
            return Err(Refused::TooBig);
        }
        if !is_user(address, size) {
            return Err(Refused::NoMemory);
        }
        let pages = pages(address, size).ok_or(Refused::NoMemory)?;
        let pages = usize::try_from(pages).map_err(|_| Refused::TooBig)?;
        total = total.checked_add(pages).ok_or(Refused::TooBig)?;
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        count: 16,
        size: 4096,
    };

    #[test]
    fn pages_are_counted_from_where_the_buffer_starts() {
        for (address, size, expected) in [
            (0, 0, 0),
            (1, 0, 1),
            (0, 1, 1),
            (0, 4096, 1),
            (1, 4096, 2),
            (4095, 1, 1),
            (4095, 2, 2),
            (0x5000, 8192, 2),
        ] {
            assert_eq!(pages(address, size), Some(expected), "{size} at {address}");
        }
        assert_eq!(pages(u64::MAX, 1), None);
        assert_eq!(pages(1, u64::MAX), None);
    }

    #[test]
    fn the_first_bad_buffer_says_why() {
        let user = |address: u64, _: u64| address < 1 << 47;
        let check = |buffers: &[(u64, u64)]| check(buffers.iter().copied(), LIMITS, user);
        assert_eq!(check(&[]), Ok(0));
        assert_eq!(check(&[(0x1000, 4096), (0x1fff, 2)]), Ok(3));
        assert_eq!(check(&[(0x1000, 4097), (1 << 60, 1)]), Err(Refused::TooBig));
        assert_eq!(check(&[(1 << 60, 1), (0, 4097)]), Err(Refused::NoMemory));
    }
}
