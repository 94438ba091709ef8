// SPDX-License-Identifier: GPL-2.0

//! One thread's io_uring: a fixed set of buffers, each in flight at most once.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use io_uring::{IoUring, opcode, squeue, types};
use rustix::fs::OFlags;

use crate::cell::{Cell, Direction};

/// Direct I/O wants buffers aligned to the device's logical block, which is no larger than a page here.
const ALIGN: usize = 4096;

/// Direct I/O: the page cache is not what is measured.
pub fn flags(direction: Direction) -> OFlags {
    match direction {
        Direction::Read => OFlags::RDONLY | OFlags::DIRECT,
        Direction::Write => OFlags::WRONLY | OFlags::DIRECT,
    }
}

/// # Invariants
///
/// `memory` holds `cell.depth` buffers of `cell.block` bytes from its first aligned byte on; it is neither moved
/// nor freed nor touched from here while the kernel may use it, that is until `ring` is gone and `flying` is 0.
pub struct Ring {
    ring: IoUring,
    memory: Vec<u8>,
    /// The first buffer.
    base: *mut u8,
    cell: Cell,
    /// Buffers that no request uses.
    idle: Vec<u16>,
    /// Requests handed to the kernel and not yet completed.
    flying: usize,
}

impl Ring {
    /// Must be called on the thread that uses the ring, which the kernel then takes for granted.
    pub fn new(file: &OwnedFd, cell: &Cell) -> io::Result<Self> {
        let (block, depth) = (cell.block as usize, cell.depth as usize);
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .build(cell.depth.next_power_of_two())?;
        // Not zeros, so that every page is there before the clock runs.
        let mut memory = vec![0xa5; block * depth + ALIGN];
        let idle = (0..depth as u16).collect();
        let base = memory
            .as_mut_ptr()
            .wrapping_add(memory.as_ptr().align_offset(ALIGN));
        let this = Self {
            ring,
            memory,
            base,
            cell: *cell,
            idle,
            flying: 0,
        };
        let buffers: Vec<_> = (0..depth)
            .map(|index| libc::iovec {
                iov_base: this.buffer(index).cast(),
                iov_len: block,
            })
            .collect();
        // SAFETY: by the type's invariants the buffers exist as long as the ring.
        unsafe { this.ring.submitter().register_buffers(&buffers) }?;
        this.ring.submitter().register_files(&[file.as_raw_fd()])?;
        Ok(this)
    }

    fn buffer(&self, index: usize) -> *mut u8 {
        self.base.wrapping_add(index * self.cell.block as usize)
    }

    /// Puts every idle buffer to work; `next` gives block numbers.
    pub fn fill(&mut self, mut next: impl FnMut() -> u64) -> io::Result<()> {
        while let Some(index) = self.idle.pop() {
            let offset = next() * u64::from(self.cell.block);
            let entry = self.entry(index, offset);
            // SAFETY: the entry's buffer is one of ours, idle until now, and stays where it is (see the
            // invariants); the file is registered.
            unsafe { self.ring.submission().push(&entry) }
                .map_err(|_| io::Error::other("the submission queue is full"))?;
            self.flying += 1;
        }
        Ok(())
    }

    fn entry(&self, index: u16, offset: u64) -> squeue::Entry {
        let (file, buffer) = (types::Fixed(0), self.buffer(index.into()));
        let entry = match self.cell.direction {
            Direction::Read => opcode::ReadFixed::new(file, buffer, self.cell.block, index)
                .offset(offset)
                .build(),
            Direction::Write => opcode::WriteFixed::new(file, buffer, self.cell.block, index)
                .offset(offset)
                .build(),
        };
        entry.user_data(index.into())
    }

    /// Submits, waits for at least one completion and returns how many there were.
    pub fn wait(&mut self) -> io::Result<u64> {
        self.ring.submit_and_wait(1)?;
        let mut done = 0;
        for completion in self.ring.completion() {
            self.flying -= 1;
            let result = completion.result();
            if result < 0 {
                return Err(io::Error::from_raw_os_error(-result));
            }
            if result.unsigned_abs() != self.cell.block {
                return Err(io::Error::other("a request was cut short"));
            }
            // The number is one of `idle`'s, so it fits.
            self.idle.push(completion.user_data() as u16);
            done += 1;
        }
        Ok(done)
    }

    /// Waits for all requests and returns how many there were.
    pub fn drain(&mut self) -> io::Result<u64> {
        let mut done = 0;
        while self.flying > 0 {
            done += self.wait()?;
        }
        Ok(done)
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // A request that is still under way owns its buffer: keep the memory rather than take it back.
        if self.flying > 0 {
            std::mem::forget(std::mem::take(&mut self.memory));
        }
    }
}
