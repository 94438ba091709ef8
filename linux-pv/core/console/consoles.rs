// SPDX-License-Identifier: GPL-2.0

//! The consoles by their numbers. A console is a place in a static table, so one that goes away
//! while somebody prints on it is found absent, and nothing is freed under anybody's feet.

use kernel::{
    bindings as k,
    prelude::*, //
};

use xen_core::{
    error::Error,
    irq_lock::IrqLock, //
};

use xen_ring::console::patience::Wait;

use crate::{
    hypervisor,
    ring::{
        Get,
        Put,
        Ring, //
    },
};

/// The number of the first console for the kernel's hvc driver ("Xen" in hexadecimal); those of the
/// xenbus follow.
pub(crate) const COOKIE: u32 = 0x58656e;

/// Most consoles; the hvc driver has fewer terminals.
pub(crate) const MAX_CONSOLES: usize = 16;

static CONSOLES: [IrqLock<Ring>; MAX_CONSOLES] = [const {
    // SAFETY: `init` initialises all of them before any is used.
    unsafe { IrqLock::new(Ring::absent()) }
}; MAX_CONSOLES];

/// Initialises the table.
///
/// # Safety
///
/// To be called once, at boot, while only one CPU runs, and before any other function here.
pub(crate) unsafe fn init() {
    for console in &CONSOLES {
        // SAFETY: By the requirements of this function.
        unsafe { console.init() };
    }
}

/// Calls `with` with a console, which may be absent, while its lock is held; `None` if the number
/// is beyond the table.
pub(crate) fn with<R>(number: u32, with: impl FnOnce(&mut Ring) -> R) -> Option<R> {
    CONSOLES
        .get(number as usize)
        .map(|console| console.with(with))
}

/// Writes output. Returns how many bytes are in the ring, or an error: `-EAGAIN` if there is no
/// room, and [`wait`] says for how long to try.
pub(crate) fn put(number: u32, bytes: &[u8]) -> isize {
    // SAFETY: Only reads a variable.
    let panics = unsafe { k::panic_in_progress() };
    match with(number, |ring| ring.put(bytes, panics)) {
        None | Some(Put::Absent) => Error::EINVAL.to_raw_size(),
        Some(Put::NotConnected) => Error::ENOTCONN.to_raw_size(),
        Some(Put::Corrupt { is_news }) => {
            say_corrupt(is_news);
            Error::EINVAL.to_raw_size()
        }
        Some(Put::Taken {
            count,
            port,
            reads_again,
            is_waited_for,
        }) => {
            if count > 0 {
                hypervisor::notify(port);
            }
            if reads_again {
                pr_info!("the console daemon reads again\n");
            }
            match count == 0 && is_waited_for {
                true => Error::EAGAIN.to_raw_size(),
                false => count as isize,
            }
        }
    }
}

/// Lets others run for a moment if the ring is full. False if there is no point in trying again.
pub(crate) fn wait(number: u32) -> bool {
    // SAFETY: Reads a clock, in any context.
    let now = unsafe { core_bindings::sched_clock() };
    match with(number, |ring| ring.wait(now)).flatten() {
        None => true,
        Some(Wait::Longer) => {
            hypervisor::yield_cpu();
            true
        }
        Some(Wait::Over) => false,
        Some(Wait::HasStopped) => {
            pr_warn!("the console daemon does not read; messages are left out until it does\n");
            false
        }
    }
}

/// Writes all of the output, unless there is an error or the daemon does not read.
pub(crate) fn put_all(number: u32, mut bytes: &[u8]) -> isize {
    while !bytes.is_empty() {
        match put(number, bytes) {
            count if count > 0 => bytes = bytes.get(count as usize..).unwrap_or_default(),
            error if error != Error::EAGAIN.to_raw_size() => return error,
            _ => {
                if !wait(number) {
                    return 0;
                }
            }
        }
    }
    0
}

/// Reads input, and lets the next event come. Returns how many bytes, or an error.
pub(crate) fn get(number: u32, to: &mut [u8]) -> isize {
    match with(number, |ring| ring.get(to)) {
        None | Some(Get::Absent) => Error::EINVAL.to_raw_size(),
        Some(Get::Corrupt { irq, is_news }) => {
            say_corrupt(is_news);
            // C leaves the channel masked for ever. This way the console comes back.
            hypervisor::end_of_event(irq, true);
            Error::EINVAL.to_raw_size()
        }
        Some(Get::Read {
            count,
            port,
            irq,
            is_spurious,
        }) => {
            if count > 0 {
                hypervisor::notify(port);
            }
            hypervisor::end_of_event(irq, is_spurious);
            count as isize
        }
    }
}

#[cold]
fn say_corrupt(is_news: bool) {
    if is_news {
        pr_err!("Illegal ring page indices\n");
    }
}
