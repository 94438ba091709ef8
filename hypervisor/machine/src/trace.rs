// SPDX-License-Identifier: GPL-2.0

//! The trace on this machine: a ring for each processor, if `tbuf_size=` asks for it. What is read of it, and how, is in
//! the library and in the tool.

use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};

use paravane::trace::{TraceBuffer, TraceEvent, TraceLayout, TraceRecord};

use crate::arch::frames::FRAME;
use crate::arch::percpu;
use crate::arch::trace::INFO;
use crate::arch::{cpu, time};
use crate::platform;

/// Set once all processors have rings.
static ENABLED: AtomicBool = AtomicBool::new(false);

/// Starts the trace, with so many frames of memory for each processor. All processors are up, and nothing is locked.
pub fn start(frames: u64) {
    let cpus = percpu::all();
    let memory = cpus.iter().map(|_| platform::alloc_frames(frames));
    let Some(memory) = memory.collect::<Option<Vec<_>>>() else {
        log::warn!(
            "nothing is traced: there are not {} KiB for each processor",
            frames * FRAME / 1024
        );
        return;
    };
    let (mut rings, mut ring_bytes) = (Vec::new(), 0);
    for (cpu, memory) in cpus.iter().zip(memory) {
        rings.push(memory.start());
        // A frame has room for a ring.
        if let Some(buffer) = TraceBuffer::new(memory.leak_words()) {
            ring_bytes = buffer.bytes() as u64;
            cpu.trace.call_once(|| buffer);
        }
    }
    INFO.set(&TraceLayout {
        tsc_hz: time::tsc_hz(),
        tsc_start: time::clock().tsc,
        ring_bytes,
        rings,
    });
    ENABLED.store(true, Ordering::Release);
    log::info!(
        "traced are the last {} events of each processor",
        ring_bytes / paravane::trace::RECORD_BYTES as u64
    );
}

/// Whether there is a trace.
#[inline]
pub fn is_enabled() -> bool {
    ENABLED.load(Ordering::Relaxed)
}

/// Writes down that something happens on the calling processor, if there is a trace.
#[inline]
pub fn record(event: TraceEvent) {
    if is_enabled() {
        write(event);
    }
}

/// Interrupts are off, and what runs with them on (waiting for work) writes nothing, so records do not mix.
#[inline(never)]
fn write(event: TraceEvent) {
    if let Some(buffer) = percpu::this().trace.get() {
        buffer.push(&TraceRecord {
            tsc: cpu::tsc(),
            event,
        });
    }
}
