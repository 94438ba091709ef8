// SPDX-License-Identifier: GPL-2.0

//! Accesses to configuration space: [`ConfigAccess`] and its C callbacks.

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
    /// The segment ("domain").
    pub domain: u16,
    /// The bus number.
    pub bus: u8,
    /// The device number in the upper five bits, the function in the lower three.
    pub devfn: u8,
}

/// Error of an access to configuration space (`PCIBIOS_*`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConfigError(c_int);

impl ConfigError {
    /// There is no such device, or it was removed.
    pub const DEVICE_NOT_FOUND: Self = Self(bindings::PCIBIOS_DEVICE_NOT_FOUND as c_int);
    /// There is no such register, or it cannot be accessed with this width.
    pub const BAD_REGISTER_NUMBER: Self = Self(bindings::PCIBIOS_BAD_REGISTER_NUMBER as c_int);
    /// The operation is not supported.
    pub const FUNC_NOT_SUPPORTED: Self = Self(bindings::PCIBIOS_FUNC_NOT_SUPPORTED as c_int);
    /// The operation failed.
    pub const SET_FAILED: Self = Self(bindings::PCIBIOS_SET_FAILED as c_int);
}

impl From<Error> for ConfigError {
    fn from(error: Error) -> Self {
        // The PCI core takes negative numbers as error numbers of the kernel.
        Self(error.to_errno())
    }
}

/// Accesses to the configuration space of a bus. Called in any context, also with interrupts
/// disabled.
pub trait ConfigAccess: Send + Sync + 'static {
    /// Reads `width` (1, 2 or 4) bytes at byte `offset` of a function's configuration space.
    fn read(&self, at: Function, offset: u32, width: u32) -> Result<u32, ConfigError>;

    /// Writes the lowest `width` (1, 2 or 4) bytes of `value` at byte `offset` of a function's
    /// configuration space.
    fn write(&self, at: Function, offset: u32, width: u32, value: u32) -> Result<(), ConfigError>;

    /// This value, for downcasts in [`with_access`].
    fn as_any(&self) -> &dyn Any;
}

/// The private data of a bus (`sysdata`).
///
/// # Invariants
///
/// - The first field is the `struct pci_sysdata` that the architecture expects.
/// - The `sysdata` of every `struct pci_bus` whose `ops` are [`OPS`] is a `BusData` that exists as
///   long as the bus.
#[pin_data]
#[repr(C)]
pub(super) struct BusData {
    raw: bindings::pci_sysdata,
    /// Closed when the [`RootBus`](super::RootBus) is dropped.
    #[pin]
    pub(super) access: Gate<Arc<dyn ConfigAccess>>,
    /// Keeps the module with the callbacks loaded.
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

    /// The data of a bus, and its function `devfn`; none if the bus has other operations.
    ///
    /// # Safety
    ///
    /// `bus` is valid for `'a`.
    unsafe fn of<'a>(bus: *mut bindings::pci_bus, devfn: c_uint) -> Option<(&'a Self, Function)> {
        // SAFETY: By the requirement of this function; the fields do not change.
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

/// Calls `f` with the [`ConfigAccess`] of a device's bus, unless the bus is not a
/// [`RootBus`](super::RootBus), or that was dropped.
///
/// # Safety
///
/// `dev` is a valid device during this call.
pub unsafe fn with_access<R>(
    dev: *mut bindings::pci_dev,
    f: impl FnOnce(&dyn ConfigAccess, Function) -> R,
) -> Option<R> {
    // SAFETY: By the requirement of this function; the bus is valid as long as its devices.
    let (data, function) = unsafe { BusData::of((*dev).bus, (*dev).devfn) }?;
    let access = data.access.enter()?;
    Some(f(&**access, function))
}

/// The C callbacks of a root bus, which C code does not write to.
pub(super) struct Ops(bindings::pci_ops);

// SAFETY: The callbacks are only read.
unsafe impl Sync for Ops {}

impl Ops {
    pub(super) fn as_ptr(&self) -> *mut bindings::pci_ops {
        (&raw const self.0).cast_mut()
    }
}

/// The C callbacks of every [`RootBus`](super::RootBus).
pub(super) static OPS: Ops = Ops(bindings::pci_ops {
    add_bus: None,
    remove_bus: None,
    map_bus: None,
    read: Some(read),
    write: Some(write),
});

/// # Safety
///
/// To be called by the PCI core for a bus with [`OPS`]; `value` is valid for writes.
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
/// To be called by the PCI core for a bus with [`OPS`].
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
