// SPDX-License-Identifier: GPL-2.0

//! What uses the devices in the guest, and does not care whether that works. What has no end of its own
//! runs until it is killed.

mod disks;
mod durable;
mod memory;
mod packets;
mod reader;
mod shortage;

use std::io;
use std::thread;

/// Uses disks whose names begin like `xvd`.
pub fn use_disks() -> io::Result<()> {
    thread::spawn(memory::fill_for_ever);
    disks::use_for_ever()
}

/// Reads what a backend [holds back](crate::block::hold), and says what becomes of the memory.
pub fn watch_memory() -> io::Result<()> {
    reader::watch()
}

/// Writes to a disk what is to be durable at once, and reads it again.
pub fn write_durably(path: &str) -> io::Result<()> {
    durable::write(path)
}

/// Sends packets by `eth0`, and sets it up whenever it comes.
pub fn use_interfaces() -> io::Result<()> {
    thread::spawn(memory::fill_for_ever);
    packets::send_for_ever()
}

/// Takes all of the guest's grant references but `left`, until it is killed.
pub fn hold_grants(left: usize) -> io::Result<()> {
    shortage::hold_grants(left)
}

/// Takes all of the guest's event channels but `left`, until it is killed.
pub fn hold_ports(left: usize) -> io::Result<()> {
    shortage::hold_ports(left)
}
