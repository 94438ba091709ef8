// SPDX-License-Identifier: GPL-2.0

//! From a device's interrupt to a vCPU: which vector of the processor belongs to which line or message. A device
//! carries vectors of the hypervisor's; the guest's stay here.

use paravane::irq::vlapic::Destination;
use paravane::msi::{Delivery, Message};
use spin::Mutex;

use crate::arch::{ioapic, lapic, serial, traps};

/// What a vector stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Nothing yet.
    Free,
    /// A global interrupt.
    Gsi(u32),
    /// Bytes on the console.
    Console,
    /// A message as the domain wrote it.
    Message {
        /// The message's address.
        address: u64,
        /// The message's data.
        data: u32,
    },
}

/// Vectors for devices: above the exceptions and the first, low-priority ones, below the hypervisor's own.
const FIRST: u8 = 0x30;
const LAST: u8 = 0xef;

static SOURCES: Mutex<[Source; 256]> = Mutex::new([Source::Free; 256]);

/// The address and data for a device whose interrupt goes to a processor with one of our vectors.
pub fn message(apic_id: u32, vector: u8) -> (u32, u32) {
    let (address, data) = Message {
        destination: apic_id as u8,
        logical: false,
        hint: false,
        delivery: Delivery::Fixed,
        vector,
        level: false,
    }
    .encode();
    (address as u32, data)
}

/// Takes `count` vectors in a row, aligned to their number (a power of two), as MSI with several messages needs.
pub fn take(count: u8, source: impl Fn(u8) -> Source) -> Option<u8> {
    let mut sources = SOURCES.lock();
    let fits = |&first: &u8| {
        let end = u16::from(first) + u16::from(count);
        end <= u16::from(LAST) + 1
            && (u16::from(first)..end).all(|v| sources[usize::from(v)] == Source::Free)
    };
    let first = (FIRST..=LAST)
        .filter(|vector| vector % count.max(1) == 0)
        .find(fits)?;
    for index in 0..count {
        sources[usize::from(first + index)] = source(index);
        traps::set_handler(first + index, arrived);
    }
    Some(first)
}

/// Has the console's interrupt come to the calling processor from now on.
pub fn take_console() {
    if let Some(vector) = take(1, |_| Source::Console) {
        ioapic::set(
            serial::GSI,
            u64::from(vector) | u64::from(lapic::id()) << 56,
        );
    }
}

/// Gives vectors back.
pub fn give(first: u8, count: u8) {
    let mut sources = SOURCES.lock();
    for index in 0..count {
        sources[usize::from(first + index)] = Source::Free;
    }
}

/// Changes what a vector stands for.
pub fn set(vector: u8, source: Source) {
    SOURCES.lock()[usize::from(vector)] = source;
}

/// A device's interrupt. The processor's APIC is told at once that it was served; a level line is masked until the
/// domain ends it, so it cannot come again.
fn arrived(vector: u8) {
    let source = SOURCES.lock()[usize::from(vector)];
    match source {
        Source::Free => {}
        Source::Gsi(gsi) => crate::domain::dom0().line_asserted(gsi),
        Source::Console => crate::domain::dom0().console_input(),
        Source::Message { address, data } => message_arrived(address, data),
    }
    lapic::end_of_interrupt();
}

/// A device's message, as the domain wrote it. One that local APICs do not understand is lost, and so is one that would
/// be no interrupt with a vector.
fn message_arrived(address: u64, data: u32) {
    let Some(message) = Message::decode(address, data) else {
        return;
    };
    let lowest = match message.delivery {
        Delivery::Fixed => false,
        Delivery::LowestPriority => true,
        Delivery::Other(_) => return,
    };
    let to = Destination {
        id: message.destination.into(),
        logical: message.logical,
    };
    crate::domain::dom0().deliver(to, message.vector, false, lowest);
}
