// SPDX-License-Identifier: GPL-2.0

//! `/sys/kernel/debug/xen/interrupts`: a row for each interrupt of each PCI function, and for each
//! other GSI with a request.
//!
//! Event channels, the vCPUs they notify, and in a PV dom0 the entries of the I/O APICs are read
//! from the hypervisor. The other columns are the kernel's data.

use core::ptr::{
    self,
    addr_of, //
};

use kernel::{
    bindings as k,
    fmt,
    prelude::*,
    str::{
        CStr,
        CStrExt, //
    }, //
};

use core_bindings as bindings;

use xen_irq::{
    gsi as apic,
    irq_type::RedirectionEntry,
    table::{
        self,
        write_head,
        Delivery,
        Row, //
    },
};

use crate::{
    device::Function,
    gsi::{
        self,
        REQUESTS, //
    },
    hypervisor::{
        self,
        Hypervisor,
        PirqPort, //
    },
    start, //
};

/// An event channel that a pirq is bound to, and its IRQ.
struct BoundPort {
    bound: PirqPort,
    irq: u32,
}

/// All event channels that pirqs are bound to.
fn channels() -> Result<KVec<BoundPort>> {
    let mut all = KVec::new();
    let mut result = Ok(());
    hypervisor::for_each_pirq_port(|bound| {
        // SAFETY: The function takes any port.
        let irq = unsafe { bindings::irq_from_evtchn(bound.port) };
        if result.is_ok() {
            result = all.push(BoundPort { bound, irq }, GFP_KERNEL);
        }
    });
    result?;
    Ok(all)
}

/// Fills in the columns that depend on the IRQ.
fn with_irq<'a>(row: Row<'a>, irq: Option<u32>, channels: &[BoundPort]) -> Row<'a> {
    let Some(irq) = irq else {
        return row;
    };
    let channel = channels.iter().find(|channel| channel.irq == irq);
    // A GSI without a handler has a pirq, but no event channel yet; in dom0 the pirq is the GSI.
    let idle = row.gsi.filter(|_| start::delivery() == Delivery::GsiPirqs);
    Row {
        irq: Some(irq),
        handled: gsi::is_handled(irq),
        pirq: channel.map(|channel| channel.bound.pirq).or(idle),
        port: channel.map(|channel| channel.bound.port),
        cpu: channel.map(|channel| channel.bound.vcpu),
        // SAFETY: The function takes any number.
        count: unsafe { k::kstat_irqs_usr(irq) }.into(),
        ..row
    }
}

/// Fills in the columns that depend on the GSI.
fn with_gsi(row: Row<'_>, gsi: u32) -> Row<'_> {
    Row {
        gsi: Some(gsi),
        requested: REQUESTS.get(gsi),
        programmed: programmed(gsi),
        ..row
    }
}

/// The entry of a GSI in the I/O APIC. Only a PV dom0 may read it.
fn programmed(gsi: u32) -> Option<RedirectionEntry> {
    if start::delivery() != Delivery::GsiPirqs {
        return None;
    }
    let (apic, pin) = gsi::ioapic_pin(gsi)?;
    apic::programmed(&Hypervisor, apic, pin)
}

/// The GSI of a function's INTx, from its IRQ.
fn gsi_of(function: Function<'_>, irq: u32) -> Option<u32> {
    let has = |gsi: &u32| *gsi != 0 && gsi::irq_of(*gsi) == Some(irq);
    // In a PV domU the interrupt line register has it.
    let register = || function.config(k::PCI_INTERRUPT_LINE).ok().map(u32::from);
    REQUESTS
        .iter()
        .map(|(gsi, _)| gsi)
        .find(has)
        .or_else(|| register().filter(has))
}

/// A row without a value in any column.
const EMPTY_ROW: Row<'static> = Row {
    device: "-",
    pin: table::DeviceInterrupt::None,
    gsi: None,
    requested: None,
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
    let delivery = start::delivery();
    write_head(f)?;
    let mut shown = [0u64; gsi::MAX_GSIS / 64];
    let mut result = Ok(());
    for_each_function(|function| {
        if result.is_ok() {
            result = show_function(function, delivery, &channels, &mut shown, f);
        }
    });
    result?;
    for (gsi, _) in REQUESTS.iter() {
        if shown[gsi as usize / 64] & 1 << (gsi % 64) != 0 {
            continue;
        }
        let irq = Some(gsi).filter(|gsi| *gsi != 0).and_then(gsi::irq_of);
        with_irq(with_gsi(EMPTY_ROW, gsi), irq, &channels).write(delivery, f)?;
    }
    Ok(())
}

/// Prints the rows of a function, and marks its GSI in `shown`.
fn show_function(
    function: Function<'_>,
    delivery: Delivery,
    channels: &[BoundPort],
    shown: &mut [u64],
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    // SAFETY: The name of a function on a bus is constant.
    let name = unsafe {
        let name = addr_of!((*function.as_device()).kobj.name).read();
        match name.is_null() {
            true => c"?",
            false => CStr::from_char_ptr(name),
        }
    };
    let row = Row {
        device: name.to_str().unwrap_or("?"),
        ..EMPTY_ROW
    };
    let (msi, msix) = function.msi_enabled();
    if msi || msix {
        // There are at most 32 MSIs (PCI 3.0, 6.8.1.3).
        let count = if msix { function.msix_vectors() } else { 32 };
        for index in 0..count {
            let pin = if msix {
                table::DeviceInterrupt::MsiX(index)
            } else {
                table::DeviceInterrupt::Msi(index)
            };
            if let Some(irq) = function.msi_irq(index) {
                with_irq(Row { pin, ..row }, Some(irq), channels).write(delivery, f)?;
            }
        }
        return Ok(());
    }
    if function.pin() == 0 {
        return Ok(());
    }
    let pin = table::DeviceInterrupt::IntX(function.pin());
    let row = Row { pin, ..row };
    let irq = Some(function.irq()).filter(|irq| *irq != 0);
    let gsi = irq.and_then(|irq| gsi_of(function, irq));
    // Until INTx is routed, the number is the firmware's value of the interrupt line register.
    let routed = function.is_routed() || (gsi.is_some() && delivery == Delivery::Pirqs);
    let row = match (routed, gsi) {
        (false, _) => row,
        (true, None) => with_irq(row, irq, channels),
        (true, Some(gsi)) => {
            if let Some(word) = shown.get_mut(gsi as usize / 64) {
                *word |= 1 << (gsi % 64);
            }
            with_irq(with_gsi(row, gsi), irq, channels)
        }
    };
    row.write(delivery, f)
}

/// Calls `each` for each PCI function.
fn for_each_function(mut each: impl FnMut(Function<'_>)) {
    let mut dev = ptr::null_mut();
    loop {
        // SAFETY: `dev` is null, or the function before, to which a reference is held. The call
        // puts it and gets one to the next function.
        dev = unsafe { k::pci_get_device(k::PCI_ANY_ID as u32, k::PCI_ANY_ID as u32, dev) };
        if dev.is_null() {
            return;
        }
        // SAFETY: A reference to the function is held until the next iteration.
        each(unsafe { Function::from_raw(dev) });
    }
}

xen_core::debug_file!(c"interrupts", show);
