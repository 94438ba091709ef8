// SPDX-License-Identifier: GPL-2.0

//! MSI and MSI-X: the kernel's domain of messages, behind which are pirqs.
//!
//! The kernel's MSI core holds the lock of a device's descriptors when it calls here, and may sleep.

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::ptr::{self, addr_of, addr_of_mut};

use core_bindings as bindings;
use kernel::bindings as k;
use kernel::ffi::c_int;
use kernel::prelude::*;
use kernel::str::CStr;
use xen_irq::msi::{message, Failure, Mappings, Wish};
use xen_irq::{Segments, SELF};

use crate::device::{Function, Message};
use crate::hypervisor::{self, Xen};
use crate::owners;

/// What the front end of passed devices does, if there is one: a variable of the kernel's, which front ends write to.
#[no_mangle]
#[allow(non_upper_case_globals)]
pub static mut xen_pci_frontend: *mut bindings::xen_pci_frontend_ops = ptr::null_mut();

/// Which mappings the hypervisor knows.
static MAPPINGS: Mappings = Mappings::new();
/// Whether it restores messages of devices in segments.
static SEGMENTS: Segments = Segments::new();

/// A structure that the kernel's MSI core fills up.
#[repr(transparent)]
struct Shared<T>(UnsafeCell<MaybeUninit<T>>);

// SAFETY: Written in `create_domain` only, once, and by what that calls.
unsafe impl<T> Sync for Shared<T> {}

impl<T> Shared<T> {
    const fn zero() -> Self {
        Self(UnsafeCell::new(MaybeUninit::zeroed()))
    }

    fn as_ptr(&self) -> *mut T {
        self.0.get().cast()
    }
}

static OPS: Shared<bindings::msi_domain_ops> = Shared::zero();
static INFO: Shared<bindings::msi_domain_info> = Shared::zero();

/// `x86_init.irqs.create_pci_msi_domain`. Without a domain devices have no messages, and use their lines.
///
/// # Safety
///
/// The kernel calls it once, while it boots.
#[link_section = ".init.text"]
pub(crate) unsafe extern "C" fn create_domain() -> *mut k::irq_domain {
    // SAFETY: Nobody else uses the two yet. All-zeroes is a value of either: pointers and functions that are not there. They
    // and the name live for ever.
    let domain = unsafe {
        (*OPS.as_ptr()).domain_alloc_irqs = Some(alloc);
        (*OPS.as_ptr()).domain_free_irqs = Some(free);
        (*INFO.as_ptr()).flags = bindings::XEN_CORE_MSI_FLAGS;
        (*INFO.as_ptr()).ops = OPS.as_ptr();
        let node = bindings::xen_core_named_fwnode(c"XEN-MSI".as_char_ptr());
        match node.is_null() {
            true => ptr::null_mut(),
            false => bindings::msi_create_irq_domain(node, INFO.as_ptr(), ptr::null_mut()),
        }
    };
    if domain.is_null() {
        pr_err!("no memory for the MSI domain: devices will use their interrupt lines\n");
    }
    domain
}

/// How messages are had: what the domain is decides it.
enum Way {
    /// From the front end, which asks the back end.
    Frontend,
    /// From the hypervisor, as dom0 does.
    Machine,
    /// By asking the hypervisor for a pirq and writing it into the virtual device.
    Virtual,
}

impl Way {
    fn of_this_domain() -> Self {
        match (hypervisor::is_pv(), hypervisor::is_initial()) {
            (true, true) => Self::Machine,
            (true, false) => Self::Frontend,
            (false, _) => Self::Virtual,
        }
    }
}

/// `domain_alloc_irqs`: 0, or a negative error number, or 1 for "not so many, but one".
///
/// # Safety
///
/// The MSI core calls it, with the descriptors of a valid device locked.
unsafe extern "C" fn alloc(
    _domain: *mut k::irq_domain,
    dev: *mut k::device,
    count: c_int,
) -> c_int {
    // SAFETY: The caller's promise.
    if !unsafe { bindings::xen_core_is_pci(dev) } {
        return -(k::EINVAL as c_int);
    }
    // SAFETY: The device is one of a PCI function.
    let function = unsafe { Function::from_device(dev) };
    // SAFETY: The descriptors are locked.
    let Some(msix) = unsafe { function.messages_with(false) }
        .next()
        .map(|first| first.is_msix())
    else {
        return 0;
    };
    let count = count.max(1) as u32;
    // SAFETY: As above.
    let result = unsafe {
        match Way::of_this_domain() {
            Way::Machine => of_machine(function, count, msix),
            Way::Frontend => of_frontend(function, count, msix),
            Way::Virtual => of_virtual(function, count, msix),
        }
    };
    match result {
        // SAFETY: The device is valid.
        Ok(()) => unsafe { bindings::msi_device_populate_sysfs(dev) },
        Err(error) => error,
    }
}

/// `domain_free_irqs`.
///
/// # Safety
///
/// The MSI core calls it, with the descriptors of a valid device locked.
unsafe extern "C" fn free(_domain: *mut k::irq_domain, dev: *mut k::device) {
    // SAFETY: The caller's promise.
    if !unsafe { bindings::xen_core_is_pci(dev) } {
        return;
    }
    // SAFETY: The device is one of a PCI function.
    let function = unsafe { Function::from_device(dev) };
    if let Way::Frontend = Way::of_this_domain() {
        // What was enabled may have no interrupt, if binding it failed.
        // SAFETY: The descriptors are locked.
        let first = unsafe {
            let bound = function.messages_with(true).next();
            bound.or_else(|| function.messages_with(false).next())
        };
        frontend_disable(function, first.is_some_and(|first| first.is_msix()));
    }
    // SAFETY: The descriptors are locked.
    for message in unsafe { function.messages_with(true) } {
        for irq in message.irqs() {
            // SAFETY: The number is one that `bind` has returned, or one of those that follow it.
            unsafe { bindings::xen_destroy_irq(irq as c_int) };
        }
        message.clear();
    }
    // SAFETY: The device is valid.
    unsafe { bindings::msi_device_destroy_sysfs(dev) };
}

/// Binds a pirq, and for several messages those that follow it, to numbers of the kernel's, which become the message's.
fn bind(
    function: Function<'_>,
    message: &Message<'_>,
    pirq: u32,
    count: u32,
    name: &'static CStr,
    domain: u16,
) -> Result<(), c_int> {
    // SAFETY: Device and descriptor are valid; the name lives for ever.
    let irq = unsafe {
        bindings::xen_bind_pirq_msi_to_irq(
            function.as_raw(),
            message.as_raw(),
            pirq as c_int,
            count as c_int,
            name.as_char_ptr(),
            domain,
        )
    };
    match irq {
        error if error < 0 => Err(error),
        _ => Ok(()),
    }
}

/// # Safety
///
/// The function's descriptors are locked.
unsafe fn of_machine(function: Function<'_>, count: u32, msix: bool) -> Result<(), c_int> {
    let owner = owners::owner(function);
    let (name, of_each) = match msix {
        true => (c"msi-x", 1),
        false => (c"msi", count),
    };
    // SAFETY: The caller's promise.
    for message in unsafe { function.messages_with(false) } {
        let wish = match msix {
            true => Wish::Entry {
                index: message.index(),
                table: function.msix_table().ok_or(-(k::EINVAL as c_int))?,
            },
            false => Wish::msi(count),
        };
        let pirq = match MAPPINGS.map(&Xen, function.place(), owner, wish) {
            Ok(pirq) => pirq,
            Err(Failure::TryOne) => return Err(1),
            Err(Failure::Refused(error)) => {
                let domain = owner.unwrap_or(SELF);
                dev_warn!(
                    function.device(),
                    "xen map irq failed {error} for {domain} domain\n"
                );
                return Err(error);
            }
        };
        bind(
            function,
            &message,
            pirq,
            of_each,
            name,
            owner.unwrap_or(SELF),
        )?;
    }
    Ok(())
}

/// # Safety
///
/// The function's descriptors are locked.
unsafe fn of_frontend(function: Function<'_>, count: u32, msix: bool) -> Result<(), c_int> {
    if !msix && count > 1 {
        return Err(1);
    }
    let mut pirqs = KVec::<c_int>::new();
    pirqs
        .resize(count as usize, 0, GFP_KERNEL)
        .map_err(|_| -(k::ENOMEM as c_int))?;
    if let Err(error) = frontend_enable(function, &mut pirqs, msix) {
        if error == -(k::ENOSYS as c_int) {
            dev_err!(
                function.device(),
                "Xen PCI frontend has not registered MSI/MSI-X support!\n"
            );
        } else {
            dev_err!(function.device(), "Xen PCI frontend error: {error}!\n");
        }
        return Err(error);
    }
    let name = match msix {
        true => c"pcifront-msi-x",
        false => c"pcifront-msi",
    };
    // SAFETY: The caller's promise.
    let messages = unsafe { function.messages_with(false) };
    for (message, pirq) in messages.zip(&pirqs) {
        bind(function, &message, *pirq as u32, 1, name, SELF)?;
    }
    Ok(())
}

/// # Safety
///
/// The function's descriptors are locked.
unsafe fn of_virtual(function: Function<'_>, count: u32, msix: bool) -> Result<(), c_int> {
    if !msix && count > 1 {
        return Err(1);
    }
    let (name, suffix) = match msix {
        true => (c"msi-x", "-X"),
        false => (c"msi", ""),
    };
    let failed = |error: c_int| {
        dev_err!(
            function.device(),
            "Failed to create MSI{suffix}! ret={error}!\n"
        );
        error
    };
    // SAFETY: The caller's promise.
    for descriptor in unsafe { function.messages_with(false) } {
        // SAFETY: Device and descriptor are valid.
        let pirq =
            unsafe { bindings::xen_allocate_pirq_msi(function.as_raw(), descriptor.as_raw()) };
        let pirq = u32::try_from(pirq).map_err(|_| failed(-(k::ENODEV as c_int)))?;
        write(&descriptor, message(pirq));
        bind(function, &descriptor, pirq, 1, name, SELF).map_err(failed)?;
    }
    Ok(())
}

/// Writes a message into a device: address (high and low half) and data.
fn write(descriptor: &Message<'_>, (high, low, data): (u32, u32, u32)) {
    let mut raw = MaybeUninit::<bindings::msi_msg>::zeroed();
    let at = raw.as_mut_ptr();
    // SAFETY: Each of the three parts is a union of bit fields of 32 bits, without anything else.
    unsafe {
        addr_of_mut!((*at).__bindgen_anon_1)
            .cast::<u32>()
            .write_unaligned(low);
        addr_of_mut!((*at).__bindgen_anon_2)
            .cast::<u32>()
            .write_unaligned(high);
        addr_of_mut!((*at).__bindgen_anon_3)
            .cast::<u32>()
            .write_unaligned(data);
    }
    // SAFETY: The descriptor is valid; the message is copied.
    unsafe { bindings::__pci_write_msi_msg(descriptor.as_raw(), at) };
}

/// What the front end does, if there is one.
fn frontend() -> Option<bindings::xen_pci_frontend_ops> {
    // SAFETY: Front ends write the pointer as a whole, and take it away when they have no devices any more.
    let ops = unsafe { addr_of!(xen_pci_frontend).read_volatile() };
    // SAFETY: What is there stays as it is as long as there are devices of the front end.
    (!ops.is_null()).then(|| unsafe { ops.read() })
}

fn frontend_enable(function: Function<'_>, pirqs: &mut [c_int], msix: bool) -> Result<(), c_int> {
    let unknown = -(k::ENOSYS as c_int);
    let ops = frontend().ok_or(unknown)?;
    let (dev, room) = (function.as_raw(), pirqs.as_mut_ptr());
    // SAFETY: The device is valid; there is room for as many numbers as it says, and MSI wants one.
    let result = unsafe {
        match msix {
            true => ops.enable_msix.ok_or(unknown)?(dev, room, pirqs.len() as c_int),
            false => ops.enable_msi.ok_or(unknown)?(dev, room),
        }
    };
    match result {
        0 => Ok(()),
        error => Err(error),
    }
}

fn frontend_disable(function: Function<'_>, msix: bool) {
    let Some(ops) = frontend() else {
        return;
    };
    let disable = match msix {
        true => ops.disable_msix,
        false => ops.disable_msi,
    };
    if let Some(disable) = disable {
        // SAFETY: The device is valid.
        unsafe { disable(function.as_raw()) };
    }
}

/// Whether the kernel is to restore a device's messages itself after the device lost them. In dom0 the hypervisor does.
///
/// # Safety
///
/// `dev` is a valid device.
#[no_mangle]
pub unsafe extern "C" fn xen_initdom_restore_msi(dev: *mut k::pci_dev) -> bool {
    if !hypervisor::is_initial() {
        return true;
    }
    // SAFETY: The caller's promise.
    let function = unsafe { Function::from_raw(dev) };
    if let Err(error) = xen_irq::function::restore_msi(&Xen, &SEGMENTS, function.place()) {
        dev_err!(
            function.device(),
            "the hypervisor does not restore MSI: {error:?}\n"
        );
    }
    false
}
