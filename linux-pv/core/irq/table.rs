// SPDX-License-Identifier: GPL-2.0

//! The rows of the debugfs file `interrupts`. A row is an interrupt; its columns follow the route
//! from the device to the handler, so the first odd column is where to look. A row whose columns
//! contradict each other ends with `!` and the reason.

use core::fmt;

use crate::{
    gsi::GsiSetup,
    irq_type::{
        IrqType,
        RedirectionEntry, //
    },
    requests::GsiState, //
};

/// How interrupts are delivered to the domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Through pirqs and event channels, where a GSI's pirq has its number: PV dom0.
    GsiPirqs,
    /// Through pirqs and event channels: PV domU, or HVM with `hvm_pirq`.
    Pirqs,
    /// Through the domain's virtual APICs: PVH, or HVM.
    VirtualApic,
}

/// Which interrupt of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceInterrupt {
    /// Not known.
    None,
    /// INTx: 1 for INTA, as in the interrupt pin register.
    IntX(u8),
    /// An MSI, by its index.
    Msi(u16),
    /// An entry of the MSI-X table, by its index.
    MsiX(u16),
}

impl fmt::Display for DeviceInterrupt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::IntX(pin @ 1..=4) => {
                let letter = ["A", "B", "C", "D"][usize::from(pin) - 1];
                f.pad(letter)
            }
            Self::None | Self::IntX(_) => f.pad("-"),
            Self::Msi(index) => pad(f, format_args!("msi{index}")),
            Self::MsiX(index) => pad(f, format_args!("msix{index}")),
        }
    }
}

/// One interrupt.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// Name of the device, or of the handler.
    pub device: &'a str,
    /// Which interrupt of the device.
    pub pin: DeviceInterrupt,
    /// The GSI of INTx.
    pub gsi: Option<u32>,
    /// The requests for the GSI.
    pub requested: Option<GsiState>,
    /// The GSI's entry in the I/O APIC, if the hypervisor lets it be read.
    pub programmed: Option<RedirectionEntry>,
    /// The pirq of the kernel's IRQ.
    pub pirq: Option<u32>,
    /// The event channel that the pirq is bound to, as the hypervisor reports it.
    pub port: Option<u32>,
    /// The kernel's IRQ.
    pub irq: Option<u32>,
    /// Whether the IRQ has a handler.
    pub handled: bool,
    /// The vCPU that the event channel notifies.
    pub cpu: Option<u32>,
    /// How many interrupts were handled, by all CPUs.
    pub count: u64,
}

/// A contradiction in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// The hypervisor refused to set the GSI up.
    Refused(i32),
    /// The first and the last request for the GSI contradict each other.
    Disputed(IrqType, IrqType),
    /// The I/O APIC is programmed otherwise than requested.
    Programmed(IrqType),
    /// The pirq's number is not the GSI's, in dom0.
    OtherPirq,
    /// There is a handler, but no pirq.
    NoPirq,
    /// There is a handler and a pirq, but no event channel.
    NoPort,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => write!(f, "the hypervisor refused: {error}"),
            Self::Disputed(first, last) => write!(f, "requested as {first} first, as {last} last"),
            Self::Programmed(requested) => {
                write!(f, "requested as {requested}, programmed otherwise")
            }
            Self::OtherPirq => write!(f, "the pirq is not the GSI's"),
            Self::NoPirq => write!(f, "handled, but no pirq"),
            Self::NoPort => write!(f, "handled, but no event channel"),
        }
    }
}

impl Row<'_> {
    /// The first contradiction, in the order of the columns.
    pub fn mismatch(&self, delivery: Delivery) -> Option<Mismatch> {
        if let Some(state) = &self.requested {
            if let GsiSetup::Refused(error) = state.setup {
                return Some(Mismatch::Refused(error));
            }
            if state.is_disputed() {
                let (first, last) = (state.first.irq_type, state.last.irq_type);
                return Some(Mismatch::Disputed(first, last));
            }
            if self
                .programmed
                .is_some_and(|now| now.irq_type != state.last.irq_type)
            {
                return Some(Mismatch::Programmed(state.last.irq_type));
            }
        }
        if delivery == Delivery::VirtualApic {
            return None;
        }
        match (self.gsi, self.pirq) {
            (Some(gsi), Some(pirq)) if delivery == Delivery::GsiPirqs && gsi != pirq => {
                return Some(Mismatch::OtherPirq)
            }
            (_, None) if self.handled => return Some(Mismatch::NoPirq),
            _ => (),
        }
        (self.handled && self.port.is_none()).then_some(Mismatch::NoPort)
    }

    /// Prints the row as a line.
    pub fn write(&self, delivery: Delivery, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:<15} {:<6} {:<4} ",
            self.device,
            self.pin,
            OrDash(self.gsi)
        )?;
        write!(
            f,
            "{:<17} {:<17} ",
            RequestedColumn(self),
            ProgrammedColumn(self)
        )?;
        write!(f, "{:<5} {:<5} ", OrDash(self.pirq), OrDash(self.port))?;
        write!(
            f,
            "{:<4} {:<3} {}",
            OrDash(self.irq),
            OrDash(self.cpu),
            self.count
        )?;
        if let Some(mismatch) = self.mismatch(delivery) {
            write!(f, " ! {mismatch}")?;
        }
        writeln!(f)
    }
}

/// Prints the names of the columns.
pub fn write_head(f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "{:<15} {:<6} {:<4} ", "device", "pin", "GSI")?;
    write!(f, "{:<17} {:<17} ", "requested(by)", "programmed")?;
    writeln!(
        f,
        "{:<5} {:<5} {:<4} {:<3} count",
        "pirq", "port", "IRQ", "CPU"
    )
}

/// Pads formatted text to the width of `f`.
fn pad(f: &mut fmt::Formatter<'_>, text: fmt::Arguments<'_>) -> fmt::Result {
    let mut field = Field::default();
    // Text that is too long is truncated.
    let _ = fmt::write(&mut field, text);
    f.pad(field.text())
}

/// A buffer for the text of a column.
#[derive(Default)]
struct Field {
    bytes: [u8; 32],
    len: usize,
}

impl Field {
    fn text(&self) -> &str {
        core::str::from_utf8(&self.bytes[..self.len]).unwrap_or("?")
    }
}

impl fmt::Write for Field {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let free = &mut self.bytes[self.len..];
        let len = text.len().min(free.len());
        free[..len].copy_from_slice(&text.as_bytes()[..len]);
        self.len += len;
        Ok(())
    }
}

/// A number, or "-".
struct OrDash(Option<u32>);

impl fmt::Display for OrDash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(number) => pad(f, format_args!("{number}")),
            None => f.pad("-"),
        }
    }
}

struct RequestedColumn<'a>(&'a Row<'a>);

impl fmt::Display for RequestedColumn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.requested {
            Some(state) => {
                let name = state.last.source.name();
                pad(f, format_args!("{}({name})", state.last.irq_type))
            }
            None => f.pad("-"),
        }
    }
}

struct ProgrammedColumn<'a>(&'a Row<'a>);

impl fmt::Display for ProgrammedColumn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let requested = self.0.requested;
        let setup = requested.map_or(GsiSetup::None, |state| state.setup);
        let kept = if setup == GsiSetup::Existed {
            ",kept"
        } else {
            ""
        };
        match (self.0.programmed, setup, requested) {
            (Some(now), _, _) => {
                let masked = if now.masked { ",masked" } else { "" };
                pad(f, format_args!("{}{masked}{kept}", now.irq_type))
            }
            // Not readable, but the hypervisor accepted the request.
            (None, GsiSetup::Done, Some(state)) => pad(f, format_args!("{}", state.first.irq_type)),
            (None, GsiSetup::Existed, _) => f.pad("kept"),
            _ => f.pad("-"),
        }
    }
}

#[cfg(test)]
mod tests;
