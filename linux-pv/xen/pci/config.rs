// SPDX-License-Identifier: GPL-2.0

//! Accesses to configuration space: the step from C to [`Access`].

use core::sync::atomic::AtomicU8;

use kernel::bindings as k;
use kernel::ffi::{c_int, c_uint};
use kernel::sync::Arc;
use xen_ring::pciif::{Address, Answer, Refusal, Register, Request, Root, Width};

use super::Access;

/// What a bus carries for us (`sysdata`).
///
/// # Invariants
///
/// - It begins with what the architecture wants to find there.
/// - The `sysdata` of every `struct pci_bus` whose `ops` are [`OPS`] points to one, which lives as long as the bus.
#[repr(C)]
pub(super) struct Behind {
    raw: k::pci_sysdata,
    access: Arc<dyn Access>,
    /// By function, how it interrupts: for the functions in `msi.rs`.
    interrupts: [AtomicU8; 256],
}

impl Behind {
    pub(super) fn new(domain: u16, node: c_int, access: Arc<dyn Access>) -> Self {
        Self {
            raw: k::pci_sysdata {
                domain: domain.into(),
                node,
                ..pin_init::zeroed()
            },
            access,
            interrupts: [const { AtomicU8::new(0) }; 256],
        }
    }

    pub(super) fn interrupts(&self, devfn: u8) -> &AtomicU8 {
        &self.interrupts[usize::from(devfn)]
    }

    pub(super) fn access(&self) -> &dyn Access {
        &*self.access
    }

    /// What is behind a bus, and where the function `devfn` is on it; nothing if the bus is somebody else's.
    ///
    /// # Safety
    ///
    /// `bus` is valid for as long as `'a`.
    pub(super) unsafe fn of<'a>(
        bus: *mut k::pci_bus,
        devfn: c_uint,
    ) -> Option<(&'a Self, Address)> {
        // SAFETY: By the requirement of this function. These fields are set before anybody sees the bus.
        let (ops, sysdata, number) = unsafe { ((*bus).ops, (*bus).sysdata, (*bus).number) };
        if !core::ptr::eq(ops, OPS.as_ptr()) {
            return None;
        }
        // SAFETY: By the type invariant.
        let behind = unsafe { &*sysdata.cast::<Self>() };
        let root = Root {
            domain: behind.raw.domain as u16,
            bus: number,
        };
        let devfn = u8::try_from(devfn).ok()?;
        Some((behind, Address { root, devfn }))
    }

    /// The same for a device.
    ///
    /// # Safety
    ///
    /// `dev` is a valid device for as long as `'a`.
    pub(super) unsafe fn of_device<'a>(dev: *mut k::pci_dev) -> Option<(&'a Self, Address)> {
        // SAFETY: By the requirement of this function; a device keeps its bus.
        unsafe { Self::of((*dev).bus, (*dev).devfn) }
    }
}

/// The operations of our buses, for C, which does not write to them.
pub(super) struct Ops(k::pci_ops);

// SAFETY: Never written to.
unsafe impl Sync for Ops {}

impl Ops {
    pub(super) fn as_ptr(&self) -> *mut k::pci_ops {
        (&raw const self.0).cast_mut()
    }
}

/// See [`Ops`].
pub(super) static OPS: Ops = Ops(k::pci_ops {
    add_bus: None,
    remove_bus: None,
    map_bus: None,
    read: Some(read),
    write: Some(write),
});

/// # Safety
///
/// Called by the PCI core for a bus with [`OPS`]; `value` is valid for writes.
unsafe extern "C" fn read(
    bus: *mut k::pci_bus,
    devfn: c_uint,
    offset: c_int,
    size: c_int,
    value: *mut u32,
) -> c_int {
    // SAFETY: The bus is valid during this call.
    let Some((behind, at)) = (unsafe { Behind::of(bus, devfn) }) else {
        return k::PCIBIOS_DEVICE_NOT_FOUND as c_int;
    };
    let Some(register) = register(offset, size) else {
        return k::PCIBIOS_BAD_REGISTER_NUMBER as c_int;
    };
    match behind.access().access(at, &Request::Read(register)) {
        Ok(Answer::Value(found)) => {
            // SAFETY: By the requirement of this function.
            unsafe { value.write(found) };
            k::PCIBIOS_SUCCESSFUL as c_int
        }
        Ok(_) => k::PCIBIOS_SET_FAILED as c_int,
        Err(refusal) => status(refusal),
    }
}

/// # Safety
///
/// Called by the PCI core for a bus with [`OPS`].
unsafe extern "C" fn write(
    bus: *mut k::pci_bus,
    devfn: c_uint,
    offset: c_int,
    size: c_int,
    value: u32,
) -> c_int {
    // SAFETY: The bus is valid during this call.
    let Some((behind, at)) = (unsafe { Behind::of(bus, devfn) }) else {
        return k::PCIBIOS_DEVICE_NOT_FOUND as c_int;
    };
    let Some(register) = register(offset, size) else {
        return k::PCIBIOS_BAD_REGISTER_NUMBER as c_int;
    };
    match behind.access().access(at, &Request::Write(register, value)) {
        Ok(_) => k::PCIBIOS_SUCCESSFUL as c_int,
        Err(refusal) => status(refusal),
    }
}

fn register(offset: c_int, size: c_int) -> Option<Register> {
    let width = Width::of(u32::try_from(size).ok()?)?;
    Register::new(u32::try_from(offset).ok()?, width)
}

/// The PCI core's number for a refusal; it takes negative ones for error numbers of the kernel.
fn status(refusal: Refusal) -> c_int {
    let status = match refusal {
        Refusal::NoDevice | Refusal::TimedOut | Refusal::Gone => k::PCIBIOS_DEVICE_NOT_FOUND,
        Refusal::BadOffset | Refusal::Failed => k::PCIBIOS_BAD_REGISTER_NUMBER,
        Refusal::NotImplemented => k::PCIBIOS_FUNC_NOT_SUPPORTED,
        Refusal::Denied | Refusal::Nonsense => k::PCIBIOS_SET_FAILED,
        Refusal::Errno(errno) => return -c_int::from(errno),
    };
    status as c_int
}
