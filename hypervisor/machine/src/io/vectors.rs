// SPDX-License-Identifier: GPL-2.0

//! The processors' interrupt vectors for devices: which GSI or MSI each vector stands for. Devices and I/O APICs are
//! programmed with vectors of the hypervisor; the guest's are kept here (MSI remapping).

use paravane::irq::vlapic::Destination;
use paravane::msi::{DeliveryMode, MsiMessage};
use spin::Mutex;

use crate::arch::{ioapic, lapic, serial, traps};

/// The source of a vector's interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IrqSource {
    /// The vector is free, or allocated and not in use yet.
    Free,
    /// A GSI.
    Gsi(u32),
    /// Input on the console.
    Console,
    /// An MSI, as the domain has programmed it.
    Msi {
        /// The message's address.
        address: u64,
        /// The message's data.
        data: u32,
    },
}

/// First vector for devices, above the exceptions and the legacy ones.
const FIRST: u8 = 0x30;
/// Last vector for devices, below those of the hypervisor.
const LAST: u8 = 0xef;

static SOURCES: Mutex<[IrqSource; 256]> = Mutex::new([IrqSource::Free; 256]);

/// Address and data of an MSI with a vector of the hypervisor to a processor (`msi_compose_msg` in Xen).
pub fn compose_msi(apic_id: u32, vector: u8) -> (u32, u32) {
    let (address, data) = MsiMessage {
        destination: apic_id as u8,
        logical: false,
        hint: false,
        delivery: DeliveryMode::Fixed,
        vector,
        level: false,
    }
    .encode();
    (address as u32, data)
}

/// Allocates `count` contiguous vectors, aligned to their number (a power of two), as multi-message MSI needs.
pub fn alloc(count: u8, source: impl Fn(u8) -> IrqSource) -> Option<u8> {
    let mut sources = SOURCES.lock();
    let fits = |&first: &u8| {
        let end = u16::from(first) + u16::from(count);
        end <= u16::from(LAST) + 1
            && (u16::from(first)..end).all(|v| sources[usize::from(v)] == IrqSource::Free)
    };
    let first = (FIRST..=LAST)
        .filter(|vector| vector % count.max(1) == 0)
        .find(fits)?;
    for index in 0..count {
        sources[usize::from(first + index)] = source(index);
        traps::set_handler(first + index, handle_irq);
    }
    Some(first)
}

/// Routes the console's interrupt to the calling processor.
pub fn route_console() {
    if let Some(vector) = alloc(1, |_| IrqSource::Console) {
        ioapic::set(
            serial::GSI,
            u64::from(vector) | u64::from(lapic::id()) << 56,
        );
    }
}

/// Frees vectors.
pub fn free(first: u8, count: u8) {
    let mut sources = SOURCES.lock();
    for index in 0..count {
        sources[usize::from(first + index)] = IrqSource::Free;
    }
}

/// Changes the source of a vector.
pub fn set_source(vector: u8, source: IrqSource) {
    SOURCES.lock()[usize::from(vector)] = source;
}

/// Handles the interrupt of a device. The EOI is signalled at once: a level-triggered GSI is masked until the domain's
/// EOI, so it cannot interrupt again.
fn handle_irq(vector: u8) {
    let source = SOURCES.lock()[usize::from(vector)];
    match source {
        IrqSource::Free => {}
        IrqSource::Gsi(gsi) => crate::domain::dom0().assert_gsi(gsi),
        IrqSource::Console => console_input(),
        IrqSource::Msi { address, data } => deliver_msi(address, data),
    }
    lapic::eoi();
}

/// Takes the console's input, and notifies the domain that has the console, once there is one.
fn console_input() {
    serial::take_input();
    if crate::solo::is_enabled() {
        crate::solo::console_input();
    } else if let Some(dom0) = crate::domain::find(0) {
        dom0.console_input();
    }
}

/// Delivers an MSI as the domain has programmed it. An invalid one is lost, and so is one with a delivery mode without
/// a vector.
fn deliver_msi(address: u64, data: u32) {
    let Some(message) = MsiMessage::decode(address, data) else {
        return;
    };
    let lowest = match message.delivery {
        DeliveryMode::Fixed => false,
        DeliveryMode::LowestPriority => true,
        DeliveryMode::Other(_) => return,
    };
    let to = Destination {
        id: message.destination.into(),
        logical: message.logical,
    };
    crate::domain::dom0().deliver_irq(to, message.vector, false, lowest);
}
