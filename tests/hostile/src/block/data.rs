// SPDX-License-Identifier: GPL-2.0

//! The data of requests: which pages they are in, and the disk's own content.

use std::collections::HashMap;
use std::io;

use xen_abi::io::blkif::{
    IndirectRequest, MAX_SEGMENTS_PER_REQUEST, Request, SECTOR_SIZE, SECTORS_PER_PAGE,
    SEGMENTS_PER_INDIRECT_PAGE, Segment, op,
};
use xen_ring::RingMem;
use zerocopy::FromBytes;

use super::SECTORS;
use crate::device::{Gntdev, Granted, PAGE};

/// A slot of the ring, as it is read.
pub type Slot = [u8; size_of::<Request>()];

/// What a request asks for.
pub struct Wanted {
    /// Its number.
    pub id: u64,
    /// What the response has to name.
    pub operation: u8,
    /// The first sector.
    sector: u64,
    /// The data.
    segments: Vec<Segment>,
    /// Pages in which segments are described.
    pub descriptors: Vec<Granted>,
}

impl Wanted {
    /// Reads a request; pages with further segments are mapped.
    pub fn read(slot: &Slot, guest: &Guest) -> io::Result<Self> {
        let bad = |_| io::Error::other("a slot is too small");
        let request = Request::read_from_bytes(slot.as_slice()).map_err(|_| bad(()))?;
        let mut wanted = Self {
            id: request.id,
            operation: request.operation,
            sector: request.sector_number,
            segments: Vec::new(),
            descriptors: Vec::new(),
        };
        match request.operation {
            op::READ | op::WRITE | op::WRITE_BARRIER | op::FLUSH_DISKCACHE => {
                let count = usize::from(request.nr_segments).min(MAX_SEGMENTS_PER_REQUEST);
                wanted.segments = request.seg[..count].to_vec();
            }
            op::INDIRECT => {
                let (request, _) = IndirectRequest::read_from_prefix(slot).map_err(|_| bad(()))?;
                (wanted.id, wanted.operation) = (request.id, request.indirect_op);
                wanted.sector = request.sector_number;
                let count = usize::from(request.nr_segments);
                let pages = count.div_ceil(SEGMENTS_PER_INDIRECT_PAGE);
                for gref in &request.indirect_grefs[..pages.min(request.indirect_grefs.len())] {
                    let page = guest.map(&[*gref], false)?;
                    let left = count - wanted.segments.len();
                    for number in 0..left.min(SEGMENTS_PER_INDIRECT_PAGE) {
                        let at = number * size_of::<Segment>();
                        wanted.segments.push(page.mapping().read(at));
                    }
                    wanted.descriptors.push(page);
                }
            }
            _ => {}
        }
        Ok(wanted)
    }

    /// The first sector.
    pub fn sector(&self) -> u64 {
        self.sector
    }

    /// Whether it is a write that all others have to keep their order with.
    pub fn is_barrier(&self) -> bool {
        self.operation == op::WRITE_BARRIER
    }

    /// Whether the backend has to write to the data's pages.
    pub fn is_read(&self) -> bool {
        self.operation == op::READ
    }

    /// References of the pages with data.
    pub fn refs(&self) -> Vec<u32> {
        self.segments.iter().map(|segment| segment.gref).collect()
    }
}

/// The domain whose pages are mapped, and those that stay mapped because both ends have agreed on that.
pub struct Guest {
    /// The device file.
    pub grants: Gntdev,
    /// The domain.
    pub domid: u16,
}

impl Guest {
    /// Maps pages.
    pub fn map(&self, refs: &[u32], writable: bool) -> io::Result<Granted> {
        self.grants.map(self.domid, refs, writable)
    }
}

/// The pages of a request, or of many if grants are persistent.
#[derive(Default)]
pub struct Persistent(pub HashMap<u32, Granted>);

/// The disk's content.
pub struct Disk(Vec<u8>);

impl Disk {
    /// A disk of zeroes.
    pub fn new() -> Self {
        Self(vec![0; SECTORS as usize * SECTOR_SIZE])
    }

    /// Does what a request wants; `pages` has one page a segment. False if it is outside of the disk.
    pub fn transfer(&mut self, wanted: &Wanted, pages: &[(&Granted, usize)]) -> bool {
        let mut at = wanted.sector as usize * SECTOR_SIZE;
        for (segment, (granted, page)) in wanted.segments.iter().zip(pages) {
            let first = usize::from(segment.first_sect);
            let last = usize::from(segment.last_sect);
            if first > last || last >= SECTORS_PER_PAGE {
                return false;
            }
            let bytes = (last - first + 1) * SECTOR_SIZE;
            let Some(own) = self.0.get_mut(at..at.saturating_add(bytes)) else {
                return false;
            };
            let mapping = granted.mapping();
            let offset = first * SECTOR_SIZE;
            if wanted.is_read() {
                mapping.write_bytes(page * PAGE + offset, own);
            } else {
                own.copy_from_slice(&mapping.read_page(*page)[offset..offset + bytes]);
            }
            at += bytes;
        }
        true
    }
}
