// SPDX-License-Identifier: GPL-2.0

//! The serial console, for the log of the hypervisor and for dom0.

use core::fmt::Write;
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU16, Ordering};

use log::{LevelFilter, Log, Metadata, Record};
use paravane::byte_queue::ByteQueue;
use spin::Mutex;
use uart_16550::SerialPort;

use super::percpu;

/// GSI of the first serial port, which no domain gets.
pub const GSI: u32 = 4;

static PORT: Mutex<Option<SerialPort>> = Mutex::new(None);
/// The byte that was written last; changed while [`PORT`] is locked.
static LAST: AtomicU8 = AtomicU8::new(0);
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

/// Output that is printed by [`write_deferred`].
static DEFERRED: Mutex<ByteQueue<{ 16 << 10 }>> = Mutex::new(ByteQueue::new());
static HAS_DEFERRED: AtomicBool = AtomicBool::new(false);

/// What was typed, for [`read_typed`].
static TYPED: Mutex<ByteQueue<{ 4 << 10 }>> = Mutex::new(ByteQueue::new());

/// Writes bytes as they are, and a carriage return before a line feed that has none. A processor that holds the system's
/// lock writes them after its release, as long as there is room for what waits.
pub fn write_bytes(bytes: &[u8]) {
    let defers = percpu::try_this().is_some_and(|cpu| cpu.defers_output.load(Ordering::Relaxed));
    if defers && DEFERRED.lock().push(bytes) {
        HAS_DEFERRED.store(true, Ordering::Release);
    } else {
        let mut port = PORT.lock();
        print_deferred(&mut port);
        print(&mut port, bytes);
    }
}

/// Prints what was written while the system was locked.
pub fn write_deferred() {
    if HAS_DEFERRED.load(Ordering::Acquire) {
        print_deferred(&mut PORT.lock());
    }
}

/// Prints what waits, in order, for the port is locked first.
fn print_deferred(port: &mut Option<SerialPort>) {
    let mut part = [0; 128];
    while HAS_DEFERRED.load(Ordering::Acquire) {
        let mut deferred = DEFERRED.lock();
        let len = deferred.pop(&mut part);
        if len == 0 {
            HAS_DEFERRED.store(false, Ordering::Release);
        }
        drop(deferred);
        print(port, &part[..len]);
    }
}

fn print(port: &mut Option<SerialPort>, bytes: &[u8]) {
    if let Some(port) = port {
        let mut last = LAST.load(Ordering::Relaxed);
        for &byte in bytes {
            if byte == b'\n' && last != b'\r' {
                port.send_raw(b'\r');
            }
            port.send_raw(byte);
            last = byte;
        }
        LAST.store(last, Ordering::Relaxed);
    }
}

/// Takes what was typed from the port, to be read by [`read_typed`]. Without room, it is lost.
pub fn take_input() {
    let mut port = PORT.lock();
    let Some(port) = port.as_mut() else { return };
    while let Ok(byte) = port.try_receive() {
        TYPED.lock().push(&[byte]);
    }
}

/// Reads what was typed; returns the number of bytes.
pub fn read_typed(to: &mut [u8]) -> usize {
    TYPED.lock().pop(to)
}

/// Takes the console even if its lock is held. For crash reports only.
pub fn break_lock() {
    // SAFETY: the caller reports a crash: the other processors are being stopped, and this one does not return to the
    // code that holds the lock, so nobody uses the port at the same time for long.
    unsafe { PORT.force_unlock() };
    // SAFETY: the same holds for the queue of output.
    unsafe { DEFERRED.force_unlock() };
    if let Some(cpu) = percpu::try_this() {
        cpu.defers_output.store(false, Ordering::Relaxed);
    }
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
            write_line(*record.args());
        }
    }

    fn flush(&self) {}
}

/// Writes a line of the log, whatever the log's level is.
pub fn write_line(what: core::fmt::Arguments<'_>) {
    let mut line = Line::default();
    // A line that is too long is cut; nothing else can fail here.
    let _ = writeln!(line, "(PVN) {what}");
    write_bytes(&line.bytes);
    // Without room the line is missing in `xl dmesg`; it was printed on the serial port.
    let _ = UNREAD.lock().try_extend_from_slice(&line.bytes);
    HAS_UNREAD.store(true, Ordering::Relaxed);
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
