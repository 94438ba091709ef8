// SPDX-License-Identifier: GPL-2.0

//! Filling dom0's memory before it runs.

use core::ops::Range;

use super::frames::Frames;
use super::image;
use super::{memory, phys};

/// A file in frames of the hypervisor.
#[derive(Clone, Copy, Debug)]
pub struct Bytes {
    start: u64,
    len: u64,
}

impl Bytes {
    /// The first `len` bytes of `frames`, which must not be freed while this is used.
    pub fn of(frames: &Frames, len: u64) -> Self {
        Self {
            start: frames.start(),
            len: len.min(frames.range().end - frames.start()),
        }
    }

    /// Copies bytes from `at` on.
    ///
    /// # Panics
    ///
    /// If they are not all in the file.
    pub fn read(&self, at: u64, to: &mut [u8]) {
        let end = at.checked_add(to.len() as u64);
        assert!(
            end.is_some_and(|end| end <= self.len),
            "bytes beyond a file's end"
        );
        phys::read_bytes(self.start + at, to);
    }

    /// Length of the file in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether a range lies in the file.
    pub fn contains(&self, range: &Range<u64>) -> bool {
        range.start <= range.end && range.end <= self.len
    }
}

/// Checks that a range is RAM and not of the image, which [`place`] and [`write`] rely on.
fn check(to: &Range<u64>) {
    let own = image::physical();
    assert!(
        memory::is_ram(to) && (to.end <= own.start || own.end <= to.start),
        "not dom0's memory"
    );
}

/// Copies a part of a file to a range of dom0's memory and clears the rest of the range.
///
/// # Panics
///
/// If the part is not in the file or larger than the range.
pub fn place(to: &Range<u64>, file: &Bytes, part: Range<u64>) {
    check(to);
    let (size, room) = (part.end - part.start, to.end - to.start);
    assert!(
        file.contains(&part) && size <= room,
        "part of a file that is not there"
    );
    // SAFETY:
    // - `check` has made sure that the destination is RAM and not the image.
    // - The frames were allocated for dom0, which does not run yet, so no Rust object lies there.
    unsafe { phys::copy(file.start + part.start, to.start, size) };
    // SAFETY: the rest of the same range, for which the same holds.
    unsafe { phys::zero(to.start + size, room - size) };
}

/// Copies bytes to dom0's memory.
pub fn write(to: u64, bytes: &[u8]) {
    check(&(to..to + bytes.len() as u64));
    // SAFETY:
    // - `check` has made sure that the destination is RAM and not the image.
    // - The frames were allocated for dom0, which does not run yet, so no Rust object lies there.
    unsafe { phys::write_bytes(to, bytes) };
}

/// Copies a module of the boot loader to frames of the hypervisor.
///
/// # Panics
///
/// If it does not fit.
pub fn copy_module(to: &Frames, from: u64, len: u64) {
    assert!(
        len <= to.range().end - to.start(),
        "a copy that does not fit"
    );
    // SAFETY: the frames are allocated, hold no Rust object, and the assertion keeps the copy within them.
    unsafe { phys::copy(from, to.start(), len) };
}
