// SPDX-License-Identifier: GPL-2.0

//! Consoles of the xenbus (`device/console/1` and so on): `hvc1` and so on. Their pages are
//! this domain's, and granted to the daemon's.
//!
//! The bus calls one function at a time for a device. Everything may sleep.

use core::{
    cell::UnsafeCell,
    mem::MaybeUninit,
    ptr, //
};

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

use core_bindings::{
    self as bindings,
    xenbus_device,
    xenbus_device_id,
    xenbus_driver,
    xenbus_state, //
};

use xen_core::{
    error::{
        Error,
        Result, //
    },
    shared_page::SharedPage, //
};

use crate::{
    consoles::{
        self,
        MAX_CONSOLES, //
    },
    ops::{
        self,
        Terminal, //
    },
    ring::Ring, //
};

/// How often a transaction that another one has come before is tried.
const MAX_TRIES: u32 = 100;

/// What belongs to a console besides its ring: the terminal, and one more than the grant reference.
struct Device {
    terminal: Atomic<usize>,
    granted: Atomic<u64>,
}

static DEVICES: [Device; MAX_CONSOLES] = [const {
    Device {
        terminal: Atomic::new(0),
        granted: Atomic::new(0),
    }
}; MAX_CONSOLES];

impl Device {
    /// Hangs the terminal up, so that no program uses the console any more.
    fn remove_terminal(&self) {
        let terminal = self.terminal.load(Relaxed);
        self.terminal.store(0, Relaxed);
        if terminal != 0 {
            // SAFETY: From `into_raw`, and taken out. The bus calls one function at a time.
            unsafe { Terminal::remove_raw(ptr::with_exposed_provenance_mut(terminal)) };
        }
    }
}

/// The number of a console: what is behind the last slash of its node.
fn number_of(node: &CStr) -> Option<u32> {
    let digits = node.to_bytes().rsplit(|byte| *byte == b'/').next()?;
    let mut number = None;
    for digit in digits {
        let digit = u32::from(digit.checked_sub(b'0').filter(|digit| *digit < 10)?);
        number = Some(number.unwrap_or(0u32).checked_mul(10)?.checked_add(digit)?);
    }
    number
}

/// The number of a device, and its place in the table; none for the first console, whose device is
/// only there for the toolstack.
///
/// # Safety
///
/// The device is valid.
unsafe fn place_of(dev: *mut xenbus_device) -> Option<(u32, &'static Device)> {
    // SAFETY: By the requirement of this function. Its node is a C string.
    let node = unsafe { CStr::from_char_ptr((*dev).nodename) };
    let number = number_of(node).filter(|number| *number != 0)?;
    Some((number, DEVICES.get(number as usize)?))
}

/// Gives everything back that [`connect`] has made. A page that the daemon still has mapped is
/// freed when it is not any more.
///
/// # Safety
///
/// The device is valid, and the one with this number.
unsafe fn disconnect(dev: *mut xenbus_device, number: u32, device: &Device) {
    device.remove_terminal();
    let Some(ring) = consoles::with(number, |ring| core::mem::replace(ring, Ring::absent())) else {
        return;
    };
    // SAFETY: Both are the console's, and its ring was taken out of the table.
    unsafe {
        if ring.irq() != 0 {
            // Closes the event channel, too.
            bindings::evtchn_put(ring.port());
        } else if ring.port() != 0 {
            bindings::xenbus_free_evtchn(dev, ring.port());
        }
    }
    let granted = device.granted.load(Relaxed);
    device.granted.store(0, Relaxed);
    let Some(page) = ring.page() else {
        return;
    };
    // SAFETY: The page is from `connect`, and was taken out of the table with its ring, while
    // the lock was held: nobody in this kernel accesses it any more.
    unsafe {
        match granted.checked_sub(1) {
            Some(grant) => {
                bindings::xen_core_end_foreign_access(grant as u32, page.as_ptr().cast());
            }
            None => k::free_pages(page.as_ptr().expose_provenance(), 0),
        }
    }
}

/// Makes a console: page, event channel, terminal, and the keys by which the daemon finds them.
/// What was made until an error is to be given back by [`disconnect`].
///
/// # Safety
///
/// The device is valid, and the one with this number.
unsafe fn connect(dev: *mut xenbus_device, number: u32, device: &Device) -> Result {
    // SAFETY: Allocates a page, which is the ring's from here on.
    let address = unsafe { k::get_zeroed_page_noprof(k::GFP_KERNEL) };
    // SAFETY: The page was just allocated, and is accessed as this ring only; null is found.
    let page = unsafe { SharedPage::from_raw(ptr::with_exposed_provenance_mut(address)) };
    let page = page.ok_or(Error::ENOMEM)?;
    consoles::with(number, |ring| *ring = Ring::new(page, 0));
    let mut port = 0;
    // SAFETY: The device is valid, and the port is a local.
    Error::check(unsafe { bindings::xenbus_alloc_evtchn(dev, &mut port) })?;
    consoles::with(number, |ring| ring.set_port(port));
    // SAFETY: The event channel was just made.
    let irq = Error::check(unsafe { bindings::bind_evtchn_to_irq_lateeoi(port) })?;
    consoles::with(number, |ring| ring.set_irq(irq));
    // SAFETY: The page is this domain's, and only a ring. It is freed after the grant has ended.
    let grant = Error::check(unsafe {
        bindings::gnttab_grant_foreign_access(
            (*dev).otherend_id as u16,
            bindings::xen_core_virt_to_gfn(page.as_ptr().cast()),
            0,
        )
    })?;
    device.granted.store(u64::from(grant) + 1, Relaxed);
    let terminal = Terminal::new(number, irq, &ops::OF_A_PAGE)?;
    let terminal = terminal.into_raw().expose_provenance();
    device.terminal.store(terminal, Relaxed);
    // SAFETY: The device is valid.
    unsafe {
        publish(dev, grant, port)?;
        Error::check(bindings::xenbus_switch_state(
            dev,
            bindings::xenbus_state_XenbusStateInitialised,
        ))?;
    }
    Ok(())
}

/// Writes the keys.
///
/// # Safety
///
/// The device is valid.
unsafe fn publish(dev: *mut xenbus_device, grant: u32, port: u32) -> Result {
    let again = Error::EAGAIN.to_raw();
    let mut result = again;
    for _ in 0..MAX_TRIES {
        if result != again {
            break;
        }
        let mut id = bindings::xenbus_transaction { id: 0 };
        // SAFETY: The device and all strings are valid; a transaction that was started is ended
        // once. The formats fit the arguments.
        unsafe {
            Error::check(bindings::xenbus_transaction_start(&mut id))?;
            let transaction = || bindings::xenbus_transaction { id: id.id };
            let node = (*dev).nodename;
            let (key, value) = (c"ring-ref".as_char_ptr(), c"%u".as_char_ptr());
            result = bindings::xenbus_printf(transaction(), node, key, value, grant);
            if result == 0 {
                let (key, value) = (c"port".as_char_ptr(), c"%u".as_char_ptr());
                result = bindings::xenbus_printf(transaction(), node, key, value, port);
            }
            if result != 0 {
                bindings::xenbus_transaction_end(transaction(), true);
                return Err(Error::from_raw(result));
            }
            result = bindings::xenbus_transaction_end(transaction(), false);
        }
    }
    Error::check(result).map(drop)
}

/// Connects a console, or gives everything back and says so on the xenbus.
///
/// # Safety
///
/// The device is valid, and the one with this number.
unsafe fn connect_or_clean(dev: *mut xenbus_device, number: u32, device: &Device) -> c_int {
    // SAFETY: By the requirements of this function; the format has no arguments.
    unsafe {
        match connect(dev, number, device) {
            Ok(()) => 0,
            Err(error) => {
                let error = error.to_raw();
                let text = c"connecting the console".as_char_ptr();
                bindings::xenbus_dev_fatal(dev, error, text);
                disconnect(dev, number, device);
                error
            }
        }
    }
}

/// Starts driving a console.
///
/// # Safety
///
/// For the bus, with a valid device.
unsafe extern "C" fn probe(dev: *mut xenbus_device, _: *const xenbus_device_id) -> c_int {
    // SAFETY: By the requirement of this function.
    match unsafe { place_of(dev) } {
        // SAFETY: The bus passes a valid device, whose number and place these are.
        Some((number, device)) => unsafe { connect_or_clean(dev, number, device) },
        None => Error::ENODEV.to_raw(),
    }
}

/// Gives a console up.
///
/// # Safety
///
/// For the bus, with a valid device.
unsafe extern "C" fn remove(dev: *mut xenbus_device) {
    // SAFETY: By the requirement of this function.
    unsafe {
        if let Some((number, device)) = place_of(dev) {
            disconnect(dev, number, device);
        }
    }
}

/// The domain was restored: event channel and grant are gone, and the daemon is another one.
///
/// # Safety
///
/// For the bus, with a valid device.
unsafe extern "C" fn resume(dev: *mut xenbus_device) -> c_int {
    // SAFETY: By the requirement of this function.
    unsafe {
        let Some((number, device)) = place_of(dev) else {
            return 0;
        };
        disconnect(dev, number, device);
        connect_or_clean(dev, number, device)
    }
}

/// The daemon's end has changed its state.
///
/// # Safety
///
/// For the bus, with a valid device.
unsafe extern "C" fn otherend_changed(dev: *mut xenbus_device, state: xenbus_state) {
    // SAFETY: By the requirement of this function.
    unsafe {
        match state {
            bindings::xenbus_state_XenbusStateConnected => {
                bindings::xenbus_switch_state(dev, bindings::xenbus_state_XenbusStateConnected);
            }
            bindings::xenbus_state_XenbusStateClosed
                if (*dev).state == bindings::xenbus_state_XenbusStateClosed => {}
            bindings::xenbus_state_XenbusStateClosing
            | bindings::xenbus_state_XenbusStateClosed => {
                // Event channel and grant stay until the other end has let go of them.
                if let Some((_, device)) = place_of(dev) {
                    device.remove_terminal();
                }
                bindings::xenbus_frontend_closed(dev);
            }
            _ => {}
        }
    }
}

/// A structure that C changes.
#[repr(transparent)]
struct ForC<T>(UnsafeCell<T>);

// SAFETY: Only C accesses it, by its own rules.
unsafe impl<T> Sync for ForC<T> {}

/// The kinds of devices, up to an empty one.
static IDS: ForC<[xenbus_device_id; 2]> = ForC(UnsafeCell::new({
    let mut ids = [const { zeroed::<xenbus_device_id>() }; 2];
    let (name, mut index) = (b"console", 0);
    while index < name.len() {
        ids[0].devicetype[index] = name[index] as c_char;
        index += 1;
    }
    ids
}));

static DRIVER: ForC<xenbus_driver> = ForC(UnsafeCell::new(xenbus_driver {
    name: c"xenconsole".to_bytes_with_nul().as_ptr(),
    ids: IDS.0.get().cast_const().cast(),
    not_essential: true,
    probe: Some(probe),
    remove: Some(remove),
    resume: Some(resume),
    otherend_changed: Some(otherend_changed),
    ..const { zeroed::<xenbus_driver>() }
}));

/// A value of zeroes.
const fn zeroed<T>() -> T {
    // SAFETY: Used for structures of C only, which are pointers, functions that may be absent, and
    // numbers: zeroes are a value of each.
    unsafe { MaybeUninit::zeroed().assume_init() }
}

/// Registers the driver at boot. Returns 0 or a negative error number.
#[link_section = ".init.text"]
pub(crate) fn register() -> c_int {
    // SAFETY: The driver is static, and registered once.
    unsafe {
        bindings::__xenbus_register_frontend(
            DRIVER.0.get(),
            ptr::null_mut(),
            c"hvc_xen".as_char_ptr(),
        )
    }
}
