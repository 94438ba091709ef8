// SPDX-License-Identifier: GPL-2.0

//! Reading the hypervisor's trace from a machine's memory, whatever the machine does.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::{Machine, TRACE};
use crate::trace::{Trace, TraceSummary};

/// The file by which QEMU, which runs in the folder of the machine, hands over a part of the memory.
const MEMORY: &str = "memory.part";

impl Machine {
    /// Writes what the hypervisor did until now to the machine's folder. Returns nothing if it keeps no trace, or if the machine
    /// has ended: then that is [done](super::end) already.
    pub fn record_trace(&mut self) -> Result<Option<TraceSummary>> {
        let Some(info) = self.trace_info else {
            return Ok(None);
        };
        let state = self.monitor("info status")?;
        if state.contains("shutdown") {
            return Ok(None);
        }
        // All processors stop at the same time.
        let runs = state.contains("running");
        if runs {
            self.monitor("stop")?;
        }
        let dir = self.dir.clone();
        let trace = read(&dir, info, |command| self.monitor(command));
        if runs {
            self.monitor("cont")?;
        }
        write(&dir, &trace?).map(Some)
    }
}

/// Reads the trace of the machine in `dir` by a monitor, which gets commands of QEMU's.
pub(super) fn read(
    dir: &Path,
    info: u64,
    mut monitor: impl FnMut(&str) -> Result<String>,
) -> Result<Trace> {
    Trace::read(info, |address, bytes| {
        let said = monitor(&format!("pmemsave {address:#x} {bytes:#x} {MEMORY}"))?;
        let path = dir.join(MEMORY);
        let read = fs::read(&path).unwrap_or_default();
        let _ = fs::remove_file(path);
        ensure!(
            read.len() as u64 == bytes,
            "QEMU's monitor does not save memory from {address:#x} on: {said}"
        );
        Ok(read)
    })
}

/// Writes it to [`TRACE`] in the machine's folder.
pub(super) fn write(dir: &Path, trace: &Trace) -> Result<TraceSummary> {
    let path = dir.join(TRACE);
    let file = File::create(&path).with_context(|| path.display().to_string())?;
    let mut file = BufWriter::new(file);
    let summary = trace.write(&mut file)?;
    file.flush()?;
    Ok(summary)
}
