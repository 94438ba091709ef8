// SPDX-License-Identifier: GPL-2.0

//! The machine's PCI configuration space, by mechanism 1 (PCI local bus specification 3.0, 3.2.2.3.2). A lock guards
//! the pair of ports.

use spin::Mutex;
use x86_64::instructions::port::Port;

static PORTS: Mutex<()> = Mutex::new(());

/// Selects a register.
fn select(bdf: u16, register: u8) {
    let address = 1 << 31 | u32::from(bdf) << 8 | u32::from(register & 0xfc);
    // SAFETY: no domain may access this port, and `PORTS` is locked; the write only selects a register.
    unsafe { Port::<u32>::new(0xcf8).write(address) };
}

/// Reads `size` bytes (1, 2 or 4) of a register that do not cross 4 bytes.
pub fn read(bdf: u16, register: u8, size: u8) -> u32 {
    let _ports = PORTS.lock();
    select(bdf, register);
    let port = 0xcfc + u16::from(register & 3);
    match size {
        // SAFETY: `PORTS` is locked, and reading configuration space does not affect memory.
        1 => u32::from(unsafe { Port::<u8>::new(port).read() }),
        // SAFETY: `PORTS` is locked, and reading configuration space does not affect memory.
        2 => u32::from(unsafe { Port::<u16>::new(port).read() }),
        // SAFETY: `PORTS` is locked, and reading configuration space does not affect memory.
        _ => unsafe { Port::<u32>::new(port).read() },
    }
}

/// Writes `size` bytes (1, 2 or 4) of a register that do not cross 4 bytes. Without an IOMMU dom0 is trusted with
/// its devices: their DMA is not restricted.
pub fn write(bdf: u16, register: u8, size: u8, value: u32) {
    let _ports = PORTS.lock();
    select(bdf, register);
    let port = 0xcfc + u16::from(register & 3);
    match size {
        // SAFETY: `PORTS` is locked. Writes are those of dom0, which is trusted with its devices.
        1 => unsafe { Port::<u8>::new(port).write(value as u8) },
        // SAFETY: `PORTS` is locked. Writes are those of dom0, which is trusted with its devices.
        2 => unsafe { Port::<u16>::new(port).write(value as u16) },
        // SAFETY: `PORTS` is locked. Writes are those of dom0, which is trusted with its devices.
        _ => unsafe { Port::<u32>::new(port).write(value) },
    }
}

/// Calls `each` for every function.
pub fn for_each_function(mut each: impl FnMut(u16)) {
    for slot in 0..=0x1fffu16 {
        let first = slot << 3;
        if read(first, 0, 4) as u16 == 0xffff {
            continue;
        }
        let several = read(first, 0x0e, 1) & 0x80 != 0;
        for function in 0..if several { 8 } else { 1 } {
            if read(first | function, 0, 4) as u16 != 0xffff {
                each(first | function);
            }
        }
    }
}

/// Calls `each` with the id and the offset of each capability of a function.
pub fn for_each_capability(bdf: u16, mut each: impl FnMut(u8, u8)) {
    if read(bdf, 6, 2) & 1 << 4 == 0 {
        return;
    }
    let mut at = read(bdf, 0x34, 1) as u8 & 0xfc;
    // The bound ends a circular list.
    for _ in 0..48 {
        if at < 0x40 {
            return;
        }
        each(read(bdf, at, 1) as u8, at);
        at = read(bdf, at + 1, 1) as u8 & 0xfc;
    }
}
