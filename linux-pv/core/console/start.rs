// SPDX-License-Identifier: GPL-2.0

//! The first console: found at boot, bound to an interrupt when the kernel has some, and bound anew
//! after a restore.
//!
//! The initcalls' order is not C's: `drivers/xen` is linked before `drivers/tty`. So `hvc0` is
//! announced before hvc's own console is registered. That makes no difference: hvc then finds it,
//! where in C it is registered again by the announcement.

use kernel::{
    bindings as k,
    ffi::{
        c_char,
        c_int, //
    },
    prelude::*,
    sync::atomic::{
        Atomic,
        Relaxed, //
    },
};

use core_bindings as bindings;

use xen_abi::hvm::params::{
    CONSOLE_EVTCHN,
    CONSOLE_PFN, //
};

use xen_core::{
    declared_in_c,
    domain,
    error::{
        Error,
        Result, //
    },
    shared_page::{
        SharedPage,
        PAGE_SIZE, //
    }, //
};

use crate::{
    consoles::{
        self,
        COOKIE, //
    },
    frontend,
    ops::{
        self,
        Operations,
        Terminal, //
    },
    ring::Ring, //
};

/// The number of the virtual interrupt for input on the hypervisor's console (`VIRQ_CONSOLE`).
const VIRQ_CONSOLE: u32 = 2;

/// `xen_console_io` of the command line: -1 if it is not there.
static OPTION: Atomic<i32> = Atomic::new(-1);

/// Whether the first console is the hypervisor's.
static IS_THE_HYPERVISORS: Atomic<u32> = Atomic::new(0);

/// Whether the table of consoles is initialised.
static IS_READY: Atomic<u32> = Atomic::new(0);

declared_in_c! {
    xen_console_resume: unsafe extern "C" fn();
}

/// Whether there may be consoles.
pub(crate) fn is_ready() -> bool {
    IS_READY.load(Relaxed) != 0
}

/// Initialises the table of consoles the first time. Called at boot, while only one CPU runs.
fn prepare() {
    if !is_ready() {
        // SAFETY: Only one CPU runs, and this is the first time.
        unsafe { consoles::init() };
        IS_READY.store(1, Relaxed);
    }
}

fn is_the_hypervisors() -> bool {
    IS_THE_HYPERVISORS.load(Relaxed) != 0
}

fn operations() -> &'static Operations {
    match is_the_hypervisors() {
        true => &ops::OF_THE_HYPERVISOR,
        false => &ops::OF_A_PAGE,
    }
}

/// Finds the page of a PV domain's console, unless it was found before. Called at boot, while only
/// one CPU runs. False if there is none.
pub(crate) fn find_pv_page() -> bool {
    prepare();
    // SAFETY: The start information of a PV domain is there from the start.
    let port = unsafe { bindings::xen_core_pv_console_port() };
    if port == 0 {
        return false;
    }
    // SAFETY: With a port, the frame is one of this domain.
    let address = unsafe { bindings::xen_core_pv_console_page() };
    // SAFETY: The page is in the kernel's map of its memory. It is the toolstack's, and nothing
    // else in this kernel uses it.
    let page = unsafe { SharedPage::from_raw(address.cast()) };
    set_first(page, port)
}

/// Likewise of an HVM domain, which asks the hypervisor.
fn find_hvm_page() -> bool {
    if consoles::with(0, |ring| ring.is_there()) == Some(true) {
        return true;
    }
    // 0 is what a toolstack leaves that knows of no such console.
    let (Some(port), Some(frame)) = (hvm_parameter(CONSOLE_EVTCHN), hvm_parameter(CONSOLE_PFN))
    else {
        return false;
    };
    let address = frame.wrapping_mul(PAGE_SIZE as u64);
    // SAFETY: Maps a page that the hypervisor names; nobody unmaps it.
    let address = unsafe { k::memremap(address, PAGE_SIZE, k::MEMREMAP_WB as usize) };
    // SAFETY: The page is mapped for ever, and nothing else in this kernel uses it.
    let page = unsafe { SharedPage::from_raw(address.cast()) };
    set_first(page, port as u32)
}

/// A parameter of an HVM domain that is not 0.
fn hvm_parameter(index: u32) -> Option<u64> {
    let mut value = 0;
    // SAFETY: A hypercall that writes a local.
    let result = unsafe { bindings::xen_core_hvm_parameter(index as c_int, &mut value) };
    (result >= 0 && value != 0).then_some(value)
}

fn set_first(page: Option<SharedPage>, port: u32) -> bool {
    let Some(page) = page else {
        return false;
    };
    consoles::with(0, |ring| {
        if !ring.is_there() {
            *ring = Ring::new(page, port);
        }
    });
    true
}

/// Finds the page of a domain that has no other console.
fn find_page() -> bool {
    match domain::is_hvm() {
        true => find_hvm_page(),
        false => find_pv_page(),
    }
}

/// `xen_console_io=`: whether the console is the hypervisor's; otherwise it is in dom0.
///
/// # Safety
///
/// `text` is a C string, or null.
#[link_section = ".init.text"]
unsafe extern "C" fn set_option(text: *mut c_char) -> c_int {
    let mut value = false;
    // SAFETY: By the requirement of this function; null is an error for it.
    let result = unsafe { k::kstrtobool(text, &mut value) };
    if result == 0 {
        OPTION.store(value.into(), Relaxed);
    }
    result
}

xen_core::early_param!(c"xen_console_io", set_option);

/// A `console_initcall`: announces `hvc0`.
#[link_section = ".init.text"]
extern "C" fn announce() -> c_int {
    prepare();
    let is_the_hypervisors = match OPTION.load(Relaxed) {
        -1 => domain::is_initial(),
        option => option != 0,
    };
    IS_THE_HYPERVISORS.store(is_the_hypervisors.into(), Relaxed);
    if !domain::is_xen() {
        return 0;
    }
    if !is_the_hypervisors && !find_page() {
        return Error::ENODEV.to_raw();
    }
    // SAFETY: The operations are static.
    unsafe { bindings::hvc_instantiate(COOKIE, 0, operations().as_ptr()) };
    0
}

xen_core::initcall!(console, announce);

/// A `device_initcall`: makes `hvc0` a terminal, and waits for more consoles of the xenbus.
#[link_section = ".init.text"]
extern "C" fn start() -> c_int {
    if !domain::is_xen() {
        return Error::ENODEV.to_raw();
    }
    if is_the_hypervisors() || find_page() {
        if let Err(error) = make_terminal() {
            return error.to_raw();
        }
    }
    frontend::register()
}

xen_core::initcall!(device, start);

/// Makes the first console a terminal.
#[link_section = ".init.text"]
fn make_terminal() -> Result {
    let (port, irq) = match is_the_hypervisors() {
        // SAFETY: The interrupt is global, and bound once.
        true => (0, unsafe {
            bindings::bind_virq_to_irq(VIRQ_CONSOLE, 0, false)
        }),
        false => {
            let port = consoles::with(0, |ring| ring.port()).unwrap_or(0);
            // SAFETY: The event channel is the console's, and bound once.
            (port, unsafe { bindings::bind_evtchn_to_irq_lateeoi(port) })
        }
    };
    // Without an interrupt, hvc polls.
    let irq = u32::try_from(irq).unwrap_or(0);
    if irq != 0 {
        // SAFETY: The interrupt was just bound.
        unsafe { k::irq_modify_status(irq, 0, k::IRQ_NOPROBE as usize) };
    }
    if !is_the_hypervisors() {
        consoles::with(0, |ring| ring.set_irq(irq));
    }
    match Terminal::new(0, irq, operations()) {
        Ok(terminal) => {
            // It stays for ever.
            let _ = terminal.into_raw();
            Ok(())
        }
        Err(error) => {
            pr_err!("hvc0 is no terminal: {}\n", error.to_raw());
            consoles::with(0, |ring| ring.set_irq(0));
            if irq != 0 && port != 0 {
                // SAFETY: Unbinds what was bound above.
                unsafe { bindings::evtchn_put(port) };
            }
            Err(error)
        }
    }
}

/// Binds the console of a domain that was restored to its new event channel. Before this, messages
/// are in the ring, and the daemon is not told.
#[no_mangle]
pub extern "C" fn xen_console_resume() {
    let Some((irq, false)) = consoles::with(0, |ring| (ring.irq(), is_the_hypervisors())) else {
        return;
    };
    if irq == 0 {
        return;
    }
    let port = match domain::is_hvm() {
        true => hvm_parameter(CONSOLE_EVTCHN).map(|port| port as u32),
        // SAFETY: The start information of a PV domain is there, and new after a restore.
        false => Some(unsafe { bindings::xen_core_pv_console_port() }).filter(|port| *port != 0),
    };
    let Some(port) = port else {
        pr_err!("no console after the restore: the toolstack has given it no event channel\n");
        return;
    };
    consoles::with(0, |ring| ring.set_port(port));
    // SAFETY: The interrupt was bound to the event channel that the domain had before.
    unsafe { bindings::rebind_evtchn_irq(port, irq as c_int) };
}
