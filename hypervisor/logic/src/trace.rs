// SPDX-License-Identifier: GPL-2.0

//! The trace: what each processor did and when, as Xen's trace buffers (`tbuf_size=`, `xentrace`) have it. Each processor
//! writes records to a ring of memory of its own, which is read from outside: by QEMU's monitor, also when nothing runs any
//! more. [`TraceInfo`], which has a symbol in the image, says where the rings are.
//!
//! The formats are our own. The hypervisor and what reads them are built from the same sources.

mod buffer;
mod info;
mod record;

pub use buffer::{TraceBuffer, TraceRecords};
pub use info::{SYMBOL, TraceInfo, TraceLayout};
pub use record::{RECORD_BYTES, TraceEvent, TraceRecord};
