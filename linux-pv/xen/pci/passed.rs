// SPDX-License-Identifier: GPL-2.0

//! What is behind a bus whose functions are another domain's.

use core::any::Any;

use kernel::{
    error::Error,
    sync::{
        atomic::Atomic,
        Arc, //
    },
};

use kernel_ext::pci::{
    ConfigAccess,
    ConfigError,
    Function, //
};

use xen_ring::pciif::{
    Address,
    Answer,
    Refusal,
    Register,
    Request,
    Root,
    Width, //
};

use super::{
    msi::InterruptKind,
    Access, //
};

/// The front end that reaches the functions of a bus, and what is known of these.
pub(super) struct Passed {
    access: Arc<dyn Access>,
    /// By `devfn`, how a function interrupts: for `msi.rs`.
    interrupts: [Atomic<InterruptKind>; 256],
}

impl Passed {
    pub(super) fn new(access: Arc<dyn Access>) -> Self {
        Self {
            access,
            interrupts: [const { Atomic::new(InterruptKind::IntX) }; 256],
        }
    }

    pub(super) fn interrupts(&self, devfn: u8) -> &Atomic<InterruptKind> {
        &self.interrupts[usize::from(devfn)]
    }

    pub(super) fn access(&self) -> &dyn Access {
        &*self.access
    }
}

/// A function, as the protocol names it.
pub(super) fn address(function: Function) -> Address {
    Address {
        root: Root {
            domain: function.domain,
            bus: function.bus,
        },
        devfn: function.devfn,
    }
}

fn register(offset: u32, width: u32) -> Result<Register, ConfigError> {
    Width::of(width)
        .and_then(|width| Register::new(offset, width))
        .ok_or(ConfigError::BAD_REGISTER_NUMBER)
}

fn error(refusal: Refusal) -> ConfigError {
    match refusal {
        Refusal::NoDevice | Refusal::TimedOut | Refusal::Gone => ConfigError::DEVICE_NOT_FOUND,
        Refusal::BadOffset | Refusal::Failed => ConfigError::BAD_REGISTER_NUMBER,
        Refusal::NotImplemented => ConfigError::FUNC_NOT_SUPPORTED,
        Refusal::Denied | Refusal::Nonsense => ConfigError::SET_FAILED,
        Refusal::Errno(errno) => Error::from_errno(-i32::from(errno)).into(),
    }
}

impl ConfigAccess for Passed {
    fn read(&self, at: Function, offset: u32, width: u32) -> Result<u32, ConfigError> {
        let request = Request::Read(register(offset, width)?);
        match self.access.access(address(at), &request) {
            Ok(Answer::Value(value)) => Ok(value),
            Ok(_) => Err(ConfigError::SET_FAILED),
            Err(refusal) => Err(error(refusal)),
        }
    }

    fn write(&self, at: Function, offset: u32, width: u32, value: u32) -> Result<(), ConfigError> {
        let request = Request::Write(register(offset, width)?, value);
        match self.access.access(address(at), &request) {
            Ok(_) => Ok(()),
            Err(refusal) => Err(error(refusal)),
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
