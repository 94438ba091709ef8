// SPDX-License-Identifier: GPL-2.0

//! What our hypervisor did, as it wrote it down for each processor (`tbuf_size=`): read from a machine's memory, and
//! written in the Trace Event format, which Perfetto and chrome://tracing show.

mod json;
mod slices;

use std::fmt;
use std::io::Write;

use anyhow::{Context, Result, ensure};
use object::elf::FileHeader64;
use object::read::elf::{ElfFile, ProgramHeader as _};
use object::{LittleEndian, Object as _, ObjectSymbol as _};
use paravane::trace::{SYMBOL, TraceInfo, TraceLayout, TraceRecords};

use slices::Track;

/// What was read.
pub struct Trace {
    layout: TraceLayout,
    /// One for each processor.
    rings: Vec<TraceRecords>,
}

/// What a trace consists of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TraceSummary {
    /// Processors.
    pub processors: usize,
    /// Records.
    pub records: usize,
    /// Processors of which the oldest records were overwritten.
    pub wrapped: usize,
    /// Records that could not be read, since they were being written.
    pub torn: usize,
    /// What has ended, and did not begin as far as the records go.
    pub unmatched: usize,
}

impl fmt::Display for TraceSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} records of {} processors",
            self.records, self.processors
        )?;
        if self.wrapped > 0 {
            write!(f, ", {} of which did more before", self.wrapped)?;
        }
        Ok(())
    }
}

impl Trace {
    /// Reads the trace that is told of at a physical address, by a function that reads memory: address and bytes.
    ///
    /// # Errors
    ///
    /// If the hypervisor has not begun with it, or the memory cannot be read.
    pub fn read(info: u64, mut memory: impl FnMut(u64, u64) -> Result<Vec<u8>>) -> Result<Self> {
        let told = memory(info, TraceInfo::BYTES as u64)?;
        let layout = TraceLayout::read(&told)
            .context("the hypervisor has traced nothing: it has not come to that yet")?;
        let ring = |address: &u64| {
            let ring = memory(*address, layout.ring_bytes)?;
            Ok(TraceRecords::read(&ring))
        };
        let rings = layout.rings.iter().map(ring).collect::<Result<_>>()?;
        Ok(Self { layout, rings })
    }

    /// Writes it as JSON.
    pub fn write(&self, to: &mut impl Write) -> Result<TraceSummary> {
        let tracks: Vec<_> = self
            .rings
            .iter()
            .map(|ring| Track::of(&ring.records))
            .collect();
        let summary = TraceSummary {
            processors: self.rings.len(),
            records: self.rings.iter().map(|ring| ring.records.len()).sum(),
            wrapped: self
                .rings
                .iter()
                .filter(|ring| ring.overwritten > 0)
                .count(),
            torn: self.rings.iter().map(|ring| ring.torn).sum(),
            unmatched: tracks.iter().map(|track| track.unmatched).sum(),
        };
        json::write(&self.layout, &tracks, to)?;
        Ok(summary)
    }
}

/// The physical address at which the hypervisor of this image tells where its trace is.
pub fn info_address(image: &[u8]) -> Result<u64> {
    let file = ElfFile::<FileHeader64<LittleEndian>>::parse(image)
        .context("the hypervisor's image is no ELF file")?;
    let mut symbols = file.symbols();
    let symbol = symbols
        .find(|symbol| symbol.name() == Ok(SYMBOL))
        .with_context(|| format!("the hypervisor's image has no symbol {SYMBOL}"))?;
    let (at, end) = (symbol.address(), symbol.address() + TraceInfo::BYTES as u64);
    let segment = file.elf_program_headers().iter().find(|segment| {
        let start = segment.p_vaddr(LittleEndian);
        start <= at && end <= start.saturating_add(segment.p_memsz(LittleEndian))
    });
    let segment = segment.with_context(|| format!("{SYMBOL} is not in the image"))?;
    ensure!(
        symbol.size() == TraceInfo::BYTES as u64,
        "{SYMBOL} has {} bytes",
        symbol.size()
    );
    Ok(at - segment.p_vaddr(LittleEndian) + segment.p_paddr(LittleEndian))
}
