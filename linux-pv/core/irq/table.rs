// SPDX-License-Identifier: GPL-2.0

//! The bring-up table: a row for each interrupt, in the order of the chain from the device to its handler, so that the first odd
//! field is where to look. A row whose fields do not fit together ends with `!` and the reason.

use core::fmt;

use crate::book::Entry;
use crate::gsi::Setup;
use crate::line::{Line, Programmed};

/// How interrupts reach the domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// By pirqs and event channels, and a line's pirq has its number: a PV dom0.
    SamePirqs,
    /// By pirqs and event channels: a PV guest, or an HVM one with `hvm_pirq`.
    Pirqs,
    /// By its own, virtual interrupt controllers: a PVH domain, or an HVM one.
    Controllers,
}

/// What of a device an interrupt is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pin {
    /// Not known.
    None,
    /// One of its pins, from 1 for A.
    Line(u8),
    /// One of its MSIs.
    Msi(u16),
    /// An entry of its MSI-X table.
    MsiX(u16),
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Line(pin @ 1..=4) => {
                let letter = ["A", "B", "C", "D"][usize::from(pin) - 1];
                f.pad(letter)
            }
            Self::None | Self::Line(_) => f.pad("-"),
            Self::Msi(index) => pad(f, format_args!("msi{index}")),
            Self::MsiX(index) => pad(f, format_args!("msix{index}")),
        }
    }
}

/// One interrupt.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// Whose it is: a device's name, or of whoever handles it.
    pub device: &'a str,
    /// What of the device it is.
    pub pin: Pin,
    /// The line.
    pub gsi: Option<u32>,
    /// What was asked for the line.
    pub entry: Option<Entry>,
    /// What the hypervisor has programmed, if it tells.
    pub programmed: Option<Programmed>,
    /// The pirq behind the kernel's number.
    pub pirq: Option<u32>,
    /// The event channel that the hypervisor has bound the pirq to.
    pub port: Option<u32>,
    /// The kernel's number.
    pub irq: Option<u32>,
    /// Whether a driver handles it.
    pub handled: bool,
    /// The virtual processor it is sent to.
    pub cpu: Option<u32>,
    /// How often it came, on all processors.
    pub count: u64,
}

/// What does not fit in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// The hypervisor refused to set the line up.
    Refused(i32),
    /// Two who share the line want different things of it.
    Disputed(Line, Line),
    /// The interrupt controller has something else than was requested.
    Programmed(Line),
    /// Dom0's line has a pirq of another number.
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
    /// The first thing that does not fit, in the order of the chain.
    pub fn mismatch(&self, way: Way) -> Option<Mismatch> {
        if let Some(entry) = &self.entry {
            if let Setup::Refused(error) = entry.setup {
                return Some(Mismatch::Refused(error));
            }
            if entry.is_disputed() {
                return Some(Mismatch::Disputed(entry.first.line, entry.last.line));
            }
            if self
                .programmed
                .is_some_and(|now| now.line != entry.last.line)
            {
                return Some(Mismatch::Programmed(entry.last.line));
            }
        }
        if way == Way::Controllers {
            return None;
        }
        match (self.gsi, self.pirq) {
            (Some(gsi), Some(pirq)) if way == Way::SamePirqs && gsi != pirq => {
                return Some(Mismatch::OtherPirq)
            }
            (_, None) if self.handled => return Some(Mismatch::NoPirq),
            _ => (),
        }
        (self.handled && self.port.is_none()).then_some(Mismatch::NoPort)
    }

    /// Writes the row, with an end of line.
    pub fn write(&self, way: Way, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:<15} {:<6} {:<4} ",
            self.device,
            self.pin,
            Maybe(self.gsi)
        )?;
        write!(
            f,
            "{:<17} {:<17} ",
            RequestedColumn(self),
            ProgrammedColumn(self)
        )?;
        write!(f, "{:<5} {:<5} ", Maybe(self.pirq), Maybe(self.port))?;
        write!(
            f,
            "{:<4} {:<3} {}",
            Maybe(self.irq),
            Maybe(self.cpu),
            self.count
        )?;
        if let Some(mismatch) = self.mismatch(way) {
            write!(f, " ! {mismatch}")?;
        }
        writeln!(f)
    }
}

/// The line above the rows.
pub fn write_head(f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "{:<15} {:<6} {:<4} ", "device", "pin", "GSI")?;
    write!(f, "{:<17} {:<17} ", "requested(by)", "programmed")?;
    writeln!(
        f,
        "{:<5} {:<5} {:<4} {:<3} count",
        "pirq", "port", "IRQ", "CPU"
    )
}

/// Writes something that has no width of its own as wide as the column is.
fn pad(f: &mut fmt::Formatter<'_>, text: fmt::Arguments<'_>) -> fmt::Result {
    let mut cell = Cell::default();
    // What is too long for a cell is cut.
    let _ = fmt::write(&mut cell, text);
    f.pad(cell.text())
}

/// The text of a field.
#[derive(Default)]
struct Cell {
    bytes: [u8; 32],
    len: usize,
}

impl Cell {
    fn text(&self) -> &str {
        core::str::from_utf8(&self.bytes[..self.len]).unwrap_or("?")
    }
}

impl fmt::Write for Cell {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let free = &mut self.bytes[self.len..];
        let len = text.len().min(free.len());
        free[..len].copy_from_slice(&text.as_bytes()[..len]);
        self.len += len;
        Ok(())
    }
}

struct Maybe(Option<u32>);

impl fmt::Display for Maybe {
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
        match &self.0.entry {
            Some(entry) => {
                let name = entry.last.source.name();
                pad(f, format_args!("{}({name})", entry.last.line))
            }
            None => f.pad("-"),
        }
    }
}

struct ProgrammedColumn<'a>(&'a Row<'a>);

impl fmt::Display for ProgrammedColumn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let setup = self.0.entry.map_or(Setup::None, |entry| entry.setup);
        let kept = if setup == Setup::Kept { ",kept" } else { "" };
        match (self.0.programmed, setup, &self.0.entry) {
            (Some(now), _, _) => {
                let masked = if now.masked { ",masked" } else { "" };
                pad(f, format_args!("{}{masked}{kept}", now.line))
            }
            // It does not tell, but it said yes.
            (None, Setup::Taken, Some(entry)) => pad(f, format_args!("{}", entry.first.line)),
            (None, Setup::Kept, _) => f.pad("kept"),
            _ => f.pad("-"),
        }
    }
}

#[cfg(test)]
mod tests;
