// SPDX-License-Identifier: GPL-2.0

//! Channels with several users: those of programs (`/dev/xen/evtchn`), and shared interrupts.

use kernel::{
    ffi::c_int,
    prelude::*,
    sync::rcu, //
};

use xen_core::{
    declared_in_c,
    error::{
        self,
        Error,
        Result, //
    },
};

use crate::{
    bind,
    channel::Channel,
    delivery,
    irqs,
    mapping::{
        self,
        Mapping, //
    },
    table, //
};

/// Adds a user.
pub(crate) fn get(mapping: &Mapping, channel: &Channel) -> Result {
    let mut references = channel.references(mapping);
    references.get().map_err(|_| Error::EINVAL)?;
    channel.set_references(mapping, references);
    Ok(())
}

/// Takes a user from an interrupt. The last one unbinds it. An interrupt that has no channel of
/// ours is left alone.
pub(crate) fn put(irq: u32) {
    mapping::with(|mapping| {
        let Some(channel) = mapping.of_irq(irq) else {
            return;
        };
        let mut references = channel.references(mapping);
        let is_last = references.put();
        channel.set_references(mapping, references);
        if is_last {
            bind::unbind(mapping, channel);
        }
    });
}

/// Whether an interrupt has a channel.
pub(crate) fn is_bound(irq: u32) -> bool {
    let guard = rcu::read_lock();
    irqs::channel(&guard, irq).is_some()
}

declared_in_c! {
    evtchn_make_refcounted: unsafe extern "C" fn(u32, bool) -> c_int;
    evtchn_get: unsafe extern "C" fn(u32) -> c_int;
    evtchn_put: unsafe extern "C" fn(u32);
}

/// Counts the users of a port that was just bound, beginning with one. A static port is not closed
/// when it is unbound.
#[no_mangle]
pub extern "C" fn evtchn_make_refcounted(port: u32, is_static: bool) -> c_int {
    let result = mapping::with(|mapping| {
        let channel = mapping.of_port(port).ok_or(Error::ENOENT)?;
        let mut references = channel.references(mapping);
        if !references.start() {
            pr_warn!("users of port {port} are counted already\n");
        }
        channel.set_references(mapping, references);
        channel.set_static(is_static);
        Ok(0)
    });
    error::to_raw(result)
}

/// Adds a user of a port whose users are counted.
#[no_mangle]
pub extern "C" fn evtchn_get(port: u32) -> c_int {
    if port >= delivery::max_ports() {
        return Error::EINVAL.to_raw();
    }
    let result = mapping::with(|mapping| {
        let channel = mapping.of_port(port).ok_or(Error::ENOENT)?;
        get(mapping, channel)?;
        Ok(0)
    });
    error::to_raw(result)
}

/// Takes a user from a port. The last one unbinds it.
#[no_mangle]
pub extern "C" fn evtchn_put(port: u32) {
    let irq = {
        let guard = rcu::read_lock();
        table::channel(&guard, port).map(Channel::irq)
    };
    match irq {
        Some(irq) => put(irq),
        None => pr_warn!("port {port} is to be unbound, and is not bound\n"),
    }
}
