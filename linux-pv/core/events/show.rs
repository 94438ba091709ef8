// SPDX-License-Identifier: GPL-2.0

//! `/sys/kernel/debug/xen/events`: all channels.

use core::sync::atomic::Ordering::Relaxed;

use kernel::fmt;

use xen_event::mask::Reason;

use crate::{
    channel::{
        Channel,
        Kind, //
    },
    delivery,
    hypercall,
    irqs, //
};

fn show((): &(), f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let abi = match delivery::is_fifo() {
        true => "FIFO",
        false => "2-level",
    };
    writeln!(f, "{abi}")?;
    writeln!(
        f,
        "  port  irq kind   number domain cpu       events   spurious delay state"
    )?;
    let mut result = Ok(());
    irqs::for_each(|channel| {
        if result.is_ok() {
            result = show_channel(channel, f);
        }
    });
    result
}

/// A number, or a dash.
struct OrDash(Option<u32>, usize);

impl core::fmt::Display for OrDash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.1;
        match self.0 {
            Some(number) => write!(f, "{number:>width$}"),
            None => write!(f, "{:>width$}", "-"),
        }
    }
}

fn show_channel(channel: &Channel, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let port = channel.port();
    let (kind, number) = match &channel.kind {
        Kind::Event => ("event", None),
        Kind::Virq(virq) => ("virq", Some(*virq)),
        Kind::Ipi(ipi) => ("ipi", Some(*ipi)),
        Kind::Pirq(pirq) => ("pirq", Some(pirq.number.load(Relaxed))),
    };
    let domain = match channel.kind {
        Kind::Event => channel
            .device()
            .map(|device| device.domain())
            .or_else(|| hypercall::remote_domain(port?)),
        _ => None,
    };
    let (spurious, delay) = channel.with_spurious(|spurious| (spurious.total(), spurious.delay()));
    writeln!(
        f,
        "{} {:>4} {kind:<6} {} {} {:>3} {:>12} {spurious:>10} {delay:>5}{}",
        OrDash(port, 6),
        channel.irq(),
        OrDash(number, 6),
        OrDash(domain.map(u32::from), 6),
        channel.cpu().number(),
        channel.events(),
        State(channel)
    )
}

/// What a channel does now, in words.
struct State<'a>(&'a Channel);

impl core::fmt::Display for State<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let channel = self.0;
        let (masks, port) = (channel.masks(), channel.port());
        let is = |ask: fn(u32) -> bool| port.is_some_and(ask);
        let words = [
            (is(delivery::is_pending), " pending"),
            (is(delivery::is_masked), " masked"),
            (masks.has(Reason::Disabled), " disabled"),
            (masks.has(Reason::EoiPending), " no-eoi"),
            (channel.late.is_waiting(), " delayed"),
            (channel.is_active(), " active"),
            (channel.with_spurious(|events| events.is_storm()), " storm"),
        ];
        for (_, word) in words.iter().filter(|(is_so, _)| *is_so) {
            f.write_str(word)?;
        }
        Ok(())
    }
}

xen_core::debug_file!(c"events", show);
