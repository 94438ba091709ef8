// SPDX-License-Identifier: GPL-2.0

//! The bring-up table: `/sys/kernel/debug/xen/interrupts`, a row for each interrupt of each PCI function, and for each line that
//! somebody else has asked for.
//!
//! What the hypervisor has is asked of the hypervisor: which event channel a pirq is bound to, which virtual processor that
//! notifies, and, in a PV dom0, what is in the I/O APIC. Only the rest is what the kernel believes.

use core::ptr::{self, addr_of};

use core_bindings as bindings;
use kernel::bindings as k;
use kernel::debugfs;
use kernel::fmt;
use kernel::prelude::*;
use kernel::str::{CStr, CStrExt};
use xen_irq::gsi;
use xen_irq::line::Programmed;
use xen_irq::table::{self, write_head, Row, Way};

use crate::device::Function;
use crate::hypervisor::{self, Bound, Xen};
use crate::lines::{self, BOOK};
use crate::start;

/// The file; it goes when this is dropped, which never happens.
pub(crate) struct Files {
    _interrupts: Pin<KBox<debugfs::File<()>>>,
    _dir: debugfs::Dir,
}

impl Files {
    pub(crate) fn new() -> Result<Self> {
        let dir = xen_core::debugfs::folder();
        let interrupts = KBox::pin_init(
            dir.read_callback_file(c"interrupts", Ok::<_, Error>(()), &show),
            GFP_KERNEL,
        )?;
        Ok(Self {
            _interrupts: interrupts,
            _dir: dir,
        })
    }
}

/// An event channel that is bound to a pirq, with the kernel's number for it.
struct Channel {
    bound: Bound,
    irq: u32,
}

/// All of them.
fn channels() -> Result<KVec<Channel>> {
    let mut all = KVec::new();
    let mut result = Ok(());
    hypervisor::for_each_bound(|bound| {
        // SAFETY: Takes the number of any port.
        let irq = unsafe { bindings::irq_from_evtchn(bound.port) };
        if result.is_ok() {
            result = all.push(Channel { bound, irq }, GFP_KERNEL);
        }
    });
    result?;
    Ok(all)
}

/// The parts of a row that follow from the kernel's number for the interrupt.
fn with_irq<'a>(row: Row<'a>, irq: Option<u32>, channels: &[Channel]) -> Row<'a> {
    let Some(irq) = irq else {
        return row;
    };
    let channel = channels.iter().find(|channel| channel.irq == irq);
    // A line that nobody handles has a pirq, but no event channel yet; in dom0 it has the line's number.
    let idle = row.gsi.filter(|_| start::way() == Way::SamePirqs);
    Row {
        irq: Some(irq),
        handled: lines::is_handled(irq),
        pirq: channel.map(|channel| channel.bound.pirq).or(idle),
        port: channel.map(|channel| channel.bound.port),
        cpu: channel.map(|channel| channel.bound.vcpu),
        // SAFETY: Takes any number.
        count: unsafe { k::kstat_irqs_usr(irq) }.into(),
        ..row
    }
}

/// The parts of a row that follow from the line.
fn with_line(row: Row<'_>, gsi: u32) -> Row<'_> {
    Row {
        gsi: Some(gsi),
        entry: BOOK.get(gsi),
        programmed: programmed(gsi),
        ..row
    }
}

/// What is in the I/O APIC for a line. Only a PV dom0 may ask.
fn programmed(line: u32) -> Option<Programmed> {
    if start::way() != Way::SamePirqs {
        return None;
    }
    let (apic, pin) = lines::controller(line)?;
    gsi::programmed(&Xen, apic, pin)
}

/// The line of a function whose interrupt has a number of the kernel's.
fn line_of(function: Function<'_>, irq: u32) -> Option<u32> {
    let has = |gsi: &u32| *gsi != 0 && lines::irq_of(*gsi) == Some(irq);
    // In a PV guest the line's register has it.
    let register = || function.config(k::PCI_INTERRUPT_LINE).ok().map(u32::from);
    BOOK.lines()
        .map(|(gsi, _)| gsi)
        .find(has)
        .or_else(|| register().filter(has))
}

const NOTHING: Row<'static> = Row {
    device: "-",
    pin: table::Pin::None,
    gsi: None,
    entry: None,
    programmed: None,
    pirq: None,
    port: None,
    irq: None,
    handled: false,
    cpu: None,
    count: 0,
};

fn show(_: &(), f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let Ok(channels) = channels() else {
        return writeln!(f, "no memory for the table");
    };
    let way = start::way();
    write_head(f)?;
    let mut shown = [0u64; lines::LINES / 64];
    let mut result = Ok(());
    for_each_function(|function| {
        if result.is_ok() {
            result = show_function(function, way, &channels, &mut shown, f);
        }
    });
    result?;
    for (gsi, _) in BOOK.lines() {
        if shown[gsi as usize / 64] & 1 << (gsi % 64) != 0 {
            continue;
        }
        let irq = Some(gsi).filter(|gsi| *gsi != 0).and_then(lines::irq_of);
        with_irq(with_line(NOTHING, gsi), irq, &channels).write(way, f)?;
    }
    Ok(())
}

/// The rows of a function. Lines that are shown are marked.
fn show_function(
    function: Function<'_>,
    way: Way,
    channels: &[Channel],
    shown: &mut [u64],
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    // SAFETY: A function that is on a bus has a name, which stays as it is.
    let name = unsafe {
        let name = addr_of!((*function.as_device()).kobj.name).read();
        match name.is_null() {
            true => c"?",
            false => CStr::from_char_ptr(name),
        }
    };
    let row = Row {
        device: name.to_str().unwrap_or("?"),
        ..NOTHING
    };
    let (msi, msix) = function.uses_messages();
    if msi || msix {
        // At most 32 MSIs, by the width of their field.
        let count = if msix { function.messages() } else { 32 };
        for index in 0..count {
            let pin = if msix {
                table::Pin::MsiX(index)
            } else {
                table::Pin::Msi(index)
            };
            if let Some(irq) = function.message_irq(index) {
                with_irq(Row { pin, ..row }, Some(irq), channels).write(way, f)?;
            }
        }
        return Ok(());
    }
    if function.pin() == 0 {
        return Ok(());
    }
    let pin = table::Pin::Line(function.pin());
    let row = Row { pin, ..row };
    let irq = Some(function.irq()).filter(|irq| *irq != 0);
    let gsi = irq.and_then(|irq| line_of(function, irq));
    // Until it is routed, the number is what the firmware has left in the line's register.
    let routed = function.is_routed() || (gsi.is_some() && way == Way::Pirqs);
    let row = match (routed, gsi) {
        (false, _) => row,
        (true, None) => with_irq(row, irq, channels),
        (true, Some(gsi)) => {
            if let Some(word) = shown.get_mut(gsi as usize / 64) {
                *word |= 1 << (gsi % 64);
            }
            with_irq(with_line(row, gsi), irq, channels)
        }
    };
    row.write(way, f)
}

/// Calls for each PCI function there is.
fn for_each_function(mut each: impl FnMut(Function<'_>)) {
    let mut dev = ptr::null_mut();
    loop {
        // SAFETY: Gives back the reference to the one before and takes one to the next.
        dev = unsafe { k::pci_get_device(k::PCI_ANY_ID as u32, k::PCI_ANY_ID as u32, dev) };
        if dev.is_null() {
            return;
        }
        // SAFETY: There is a reference to it until the next is asked for.
        each(unsafe { Function::from_raw(dev) });
    }
}
