// SPDX-License-Identifier: GPL-2.0

//! The serial console: the machine's log, and later dom0's.

use core::fmt::Write;
use core::sync::atomic::{AtomicBool, AtomicU16, Ordering};

use log::{LevelFilter, Log, Metadata, Record};
use spin::Mutex;
use uart_16550::SerialPort;

/// The global interrupt of the first serial port, which no domain gets either.
pub const GSI: u32 = 4;

static PORT: Mutex<Option<SerialPort>> = Mutex::new(None);
static BASE: AtomicU16 = AtomicU16::new(0);

/// Makes the 16550 at I/O port `base` the console, at 115200 baud, and the place where [`log`] goes.
pub fn init(base: u16) {
    // SAFETY: the hypervisor is alone on the machine and gives these ports to no domain ([`ports`]).
    let mut port = unsafe { SerialPort::new(base) };
    port.init();
    *PORT.lock() = Some(port);
    BASE.store(base, Ordering::Relaxed);
    if log::set_logger(&LOGGER).is_ok() {
        log::set_max_level(LevelFilter::Info);
    }
}

/// The I/O ports of the console, which no domain gets.
pub fn ports() -> core::ops::Range<u16> {
    let base = BASE.load(Ordering::Relaxed);
    base..base.saturating_add(8)
}

/// Writes bytes as they are, a carriage return before each line feed.
pub fn write_bytes(bytes: &[u8]) {
    if let Some(port) = PORT.lock().as_mut() {
        for &byte in bytes {
            if byte == b'\n' {
                port.send_raw(b'\r');
            }
            port.send_raw(byte);
        }
    }
}

/// A byte somebody typed, if there is one.
pub fn try_read() -> Option<u8> {
    PORT.lock()
        .as_mut()
        .and_then(|port| port.try_receive().ok())
}

/// Takes the console from whoever holds it: only for a crash, when nothing runs on.
pub fn break_lock() {
    // SAFETY: the other processors are being stopped and this one will not return to the holder.
    unsafe { PORT.force_unlock() };
}

/// Formats to the console.
pub struct Console;

impl Write for Console {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        write_bytes(text.as_bytes());
        Ok(())
    }
}

/// What was logged and is not in the console ring yet: who logs may hold the lock that the ring is behind.
static SAID: Mutex<arrayvec::ArrayVec<u8, { 16 << 10 }>> =
    Mutex::new(arrayvec::ArrayVec::new_const());
static NEWS: AtomicBool = AtomicBool::new(false);

/// Calls `each` with what was logged since the last time, if there is any.
pub fn take_said(each: impl FnOnce(&[u8])) {
    if NEWS.swap(false, Ordering::Relaxed) {
        let mut said = SAID.lock();
        each(&said);
        said.clear();
    }
}

static LOGGER: Logger = Logger;

struct Logger;

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let mut line = Line::default();
            // A line that is too long is cut; nothing else can fail here.
            let _ = writeln!(line, "(PV) {}", record.args());
            write_bytes(&line.bytes);
            // What finds no room is missing in `xl dmesg`, and stands on the serial line.
            let _ = SAID.lock().try_extend_from_slice(&line.bytes);
            NEWS.store(true, Ordering::Relaxed);
        }
    }

    fn flush(&self) {}
}

/// One line, put together before the port is locked so that the lines of two processors do not mix.
#[derive(Default)]
struct Line {
    bytes: arrayvec::ArrayVec<u8, 512>,
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        let room = self.bytes.remaining_capacity();
        let cut = &text.as_bytes()[..text.len().min(room)];
        self.bytes
            .try_extend_from_slice(cut)
            .map_err(|_| core::fmt::Error)?;
        if cut.len() < text.len() {
            if let Some(last) = self.bytes.last_mut() {
                *last = b'\n';
            }
            return Err(core::fmt::Error);
        }
        Ok(())
    }
}
