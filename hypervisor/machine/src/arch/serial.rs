// SPDX-License-Identifier: GPL-2.0

//! The serial console, for the log of the hypervisor and for dom0.

use core::fmt::Write;
use core::sync::atomic::{AtomicBool, AtomicU16, Ordering};

use log::{LevelFilter, Log, Metadata, Record};
use spin::Mutex;
use uart_16550::SerialPort;

/// GSI of the first serial port, which no domain gets.
pub const GSI: u32 = 4;

static PORT: Mutex<Option<SerialPort>> = Mutex::new(None);
static BASE: AtomicU16 = AtomicU16::new(0);

/// Initialises the 16550 at I/O port `base` as the console, at 115200 baud, and lets [`log`] print there.
pub fn init(base: u16) {
    // SAFETY: `base` is a 16550's, and no domain may access the ports: the I/O permission map intercepts [`ports`].
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

/// A byte of input, if there is one.
pub fn try_read() -> Option<u8> {
    PORT.lock()
        .as_mut()
        .and_then(|port| port.try_receive().ok())
}

/// Takes the console even if its lock is held. For crash reports only.
pub fn break_lock() {
    // SAFETY: the caller reports a crash: the other processors are being stopped, and this one does not return to the
    // code that holds the lock, so nobody uses the port at the same time for long.
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

/// Log lines that are not in the console ring yet. A line may be logged while the lock that the ring is behind is held.
static UNREAD: Mutex<arrayvec::ArrayVec<u8, { 16 << 10 }>> =
    Mutex::new(arrayvec::ArrayVec::new_const());
static HAS_UNREAD: AtomicBool = AtomicBool::new(false);

/// Calls `each` with what was logged since the last call, if there is anything.
pub fn take_unread(each: impl FnOnce(&[u8])) {
    if HAS_UNREAD.swap(false, Ordering::Relaxed) {
        let mut unread = UNREAD.lock();
        each(&unread);
        unread.clear();
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
            let _ = writeln!(line, "(PVN) {}", record.args());
            write_bytes(&line.bytes);
            // Without room the line is missing in `xl dmesg`; it was printed on the serial port.
            let _ = UNREAD.lock().try_extend_from_slice(&line.bytes);
            HAS_UNREAD.store(true, Ordering::Relaxed);
        }
    }

    fn flush(&self) {}
}

/// One line, formatted before the port is locked, so that lines of two processors do not mix.
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
