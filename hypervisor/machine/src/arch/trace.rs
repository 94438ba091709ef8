// SPDX-License-Identifier: GPL-2.0

//! The symbol by which the trace is found from outside.

use paravane::trace::TraceInfo;

/// Where the trace's rings are, if there are any. Its name is [`paravane::trace::SYMBOL`].
// SAFETY: no other symbol of the image has this name.
#[unsafe(export_name = "paravane_trace")]
pub static INFO: TraceInfo = TraceInfo::none();
