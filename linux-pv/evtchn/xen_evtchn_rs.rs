// SPDX-License-Identifier: GPL-2.0

//! `/dev/xen/evtchn`: event channels of processes (xenstored, xenconsoled, device models,
//! backends).
//!
//! Policy only: mechanism is in crates `kernel_ext` (device files), `xen` (event channels) and
//! `xen_devfile` (the queue).
//!
//! - [`mod@file`] is an open file: the requests of a process.
//! - [`channels`] are the ports it has bound, each with its handler.
//! - [`pending`] are the ports that have had an event and wait to be read.
//! - [`stats`] is what debugfs shows of a file.
//!
//! A port sends one event, which the process reads; then it sends none until the process has
//! written its number back. So no other domain can cause more work here than the process accepts.
//!
//! There is no unsafe code here.

#![forbid(unsafe_code)]

mod channels;
mod file;
mod pending;
mod stats;

use kernel::prelude::*;
use kernel_ext::device_file;
use xen::devfile;

module! {
    type: Module,
    name: "xen_evtchn_rs",
    authors: ["Paravane developers"],
    description: "Xen /dev/xen/evtchn device driver",
    license: "GPL",
}

device_file!(static DEVICE_FILE: file::File);

#[pin_data]
struct Module {
    #[pin]
    _file: devfile::Registration<file::File>,
}

impl kernel::InPlaceModule for Module {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            _file <- devfile::Registration::new(&DEVICE_FILE, || Ok(())).pin_chain(|_| {
                pr_info!("Event-channel device installed\n");
                Ok(())
            }),
        }? Error)
    }
}
