// SPDX-License-Identifier: GPL-2.0

//! Accesses to configuration space: the step from C to [`ConfigAccess`].

use core::any::Any;

use kernel::{
    bindings,
    ffi::{
        c_int,
        c_uint, //
    },
    prelude::*,
    sync::Arc, //
};

use super::gate::Gate;
use crate::module::OwnModule;

/// A function of a PCI device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Function {
    /// The bus's domain (segment).
    pub domain: u16,
    /// The bus's number.
    pub bus: u8,
    /// Device number in the upper five bits, function in the lower three.
    pub devfn: u8,
}

/// Why an access to configuration space has failed (`PCIBIOS_*`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConfigError(c_int);

impl ConfigError {
    /// There is no such device, or none any more.
    pub const DEVICE_NOT_FOUND: Self = Self(bindings::PCIBIOS_DEVICE_NOT_FOUND as c_int);
    /// There is no such register, or it cannot be accessed in this width.
    pub const BAD_REGISTER_NUMBER: Self = Self(bindings::PCIBIOS_BAD_REGISTER_NUMBER as c_int);
    /// The operation is not implemented.
    pub const FUNC_NOT_SUPPORTED: Self = Self(bindings::PCIBIOS_FUNC_NOT_SUPPORTED as c_int);
    /// The operation was not done.
    pub const SET_FAILED: Self = Self(bindings::PCIBIOS_SET_FAILED as c_int);
}

impl From<Error> for ConfigError {
    fn from(error: Error) -> Self {
        // The PCI core takes negative numbers for those of the kernel.
        Self(error.to_errno())
    }
}

/// How the configuration space of a bus is reached. Any context, also with interrupts off.
pub trait ConfigAccess: Send + Sync + 'static {
    /// Reads `width` (1, 2 or 4) bytes at byte `offset` of a function's configuration space.
    fn read(&self, at: Function, offset: u32, width: u32) -> Result<u32, ConfigError>;

    /// Writes the lowest `width` (1, 2 or 4) bytes of `value` there.
    fn write(&self, at: Function, offset: u32, width: u32, value: u32) -> Result<(), ConfigError>;

    /// This value, to be had back by [`with_access`].
    fn as_any(&self) -> &dyn Any;
}

/// What a bus carries (`sysdata`).
///
/// # Invariants
///
/// - It begins with what the architecture expects there.
/// - The `sysdata` of every `struct pci_bus` whose `ops` are [`OPS`] points to one, which lives as long
///   as the bus.
#[pin_data]
#[repr(C)]
pub(super) struct BusData {
    raw: bindings::pci_sysdata,
    /// Closed when the [`RootBus`](super::RootBus) goes.
    #[pin]
    pub(super) access: Gate<Arc<dyn ConfigAccess>>,
    /// The callbacks below are in this module.
    _module: OwnModule,
}

impl BusData {
    pub(super) fn new(
        domain: u16,
        node: c_int,
        access: Arc<dyn ConfigAccess>,
    ) -> Result<Pin<KBox<Self>>> {
        KBox::pin_init(
            pin_init!(Self {
                raw: bindings::pci_sysdata {
                    domain: domain.into(),
                    node,
                    ..pin_init::zeroed()
                },
                access <- Gate::new(access),
                _module: OwnModule::get(),
            }),
            GFP_KERNEL,
        )
    }

    /// The data of a bus, and where the function `devfn` is on it; nothing if the bus is somebody
    /// else's.
    ///
    /// # Safety
    ///
    /// `bus` is valid for as long as `'a`.
    unsafe fn of<'a>(bus: *mut bindings::pci_bus, devfn: c_uint) -> Option<(&'a Self, Function)> {
        // SAFETY: By the requirement of this function. These fields are set before anybody sees the bus.
        let (ops, sysdata, number) = unsafe { ((*bus).ops, (*bus).sysdata, (*bus).number) };
        if !core::ptr::eq(ops, OPS.as_ptr()) {
            return None;
        }
        // SAFETY: By the type invariant the `sysdata` of a bus with `OPS` is a `BusData`.
        let data = unsafe { &*sysdata.cast::<Self>() };
        let function = Function {
            domain: data.raw.domain as u16,
            bus: number,
            devfn: u8::try_from(devfn).ok()?,
        };
        Some((data, function))
    }
}

/// Calls `f` with what is behind the bus of a device, unless the bus is somebody else's or its
/// [`RootBus`](super::RootBus) is gone.
///
/// # Safety
///
/// `dev` is a valid device during this call.
pub unsafe fn with_access<R>(
    dev: *mut bindings::pci_dev,
    f: impl FnOnce(&dyn ConfigAccess, Function) -> R,
) -> Option<R> {
    // SAFETY: By the requirement of this function; a device keeps its bus.
    let (data, function) = unsafe { BusData::of((*dev).bus, (*dev).devfn) }?;
    let access = data.access.enter()?;
    Some(f(&**access, function))
}

/// The operations of our buses, for C, which does not write to them.
pub(super) struct Ops(bindings::pci_ops);

// SAFETY: It is never written to.
unsafe impl Sync for Ops {}

impl Ops {
    pub(super) fn as_ptr(&self) -> *mut bindings::pci_ops {
        (&raw const self.0).cast_mut()
    }
}

/// See [`Ops`].
pub(super) static OPS: Ops = Ops(bindings::pci_ops {
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
    bus: *mut bindings::pci_bus,
    devfn: c_uint,
    offset: c_int,
    size: c_int,
    value: *mut u32,
) -> c_int {
    // SAFETY: The PCI core passes a bus that is valid during this call.
    let result = match unsafe { BusData::of(bus, devfn) } {
        Some((data, at)) => match data.access.enter() {
            Some(access) => access.read(at, offset as u32, size as u32),
            None => Err(ConfigError::DEVICE_NOT_FOUND),
        },
        None => Err(ConfigError::DEVICE_NOT_FOUND),
    };
    match result {
        Ok(found) => {
            // SAFETY: By the requirement of this function `value` is valid for writes.
            unsafe { value.write(found) };
            bindings::PCIBIOS_SUCCESSFUL as c_int
        }
        Err(error) => error.0,
    }
}

/// # Safety
///
/// Called by the PCI core for a bus with [`OPS`].
unsafe extern "C" fn write(
    bus: *mut bindings::pci_bus,
    devfn: c_uint,
    offset: c_int,
    size: c_int,
    value: u32,
) -> c_int {
    // SAFETY: The PCI core passes a bus that is valid during this call.
    let result = match unsafe { BusData::of(bus, devfn) } {
        Some((data, at)) => match data.access.enter() {
            Some(access) => access.write(at, offset as u32, size as u32, value),
            None => Err(ConfigError::DEVICE_NOT_FOUND),
        },
        None => Err(ConfigError::DEVICE_NOT_FOUND),
    };
    match result {
        Ok(()) => bindings::PCIBIOS_SUCCESSFUL as c_int,
        Err(error) => error.0,
    }
}
