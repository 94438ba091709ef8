// SPDX-License-Identifier: GPL-2.0

//! Output on the hypervisor's console.

use core::fmt::{self, Write};

use xen_abi::xen::hypercall;

use crate::arch;

/// Port of the debug console (`XEN_HVM_DEBUGCONS_IOPORT`).
const DEBUG_CONSOLE: u16 = 0xe9;

/// A line, truncated to the buffer.
struct Line {
    bytes: [u8; 256],
    len: usize,
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if let Some(place) = self.bytes.get_mut(self.len) {
                *place = byte;
                self.len += 1;
            }
        }
        Ok(())
    }
}

/// Prints a line.
pub fn say(text: fmt::Arguments<'_>) {
    let mut line = Line {
        bytes: [0; 256],
        len: 0,
    };
    let _ = write!(line, "(guest) {text}");
    // Output of a random hypercall may not have ended its line.
    for part in [&b"\n"[..], &line.bytes[..line.len], b"\n"] {
        let arguments = [0, part.len() as u64, part.as_ptr() as u64, 0, 0];
        if arch::hypercall(hypercall::CONSOLE_IO.into(), arguments) < 0 {
            // Only dom0 may write there. Others have the debug console.
            part.iter()
                .for_each(|byte| arch::write_port(DEBUG_CONSOLE, 1, (*byte).into()));
        }
    }
}

/// Prints what went wrong, and halts.
pub fn failed(text: fmt::Arguments<'_>) -> ! {
    say(format_args!("FAILED: {text}"));
    arch::halt()
}
