// SPDX-License-Identifier: GPL-2.0

//! Message-signalled interrupts: a PV domain does not program them into the device itself, but has
//! the back end do that, which says what physical interrupts they are.
//!
//! What is enabled is remembered here. The kernel (7.2, `xen_pv_teardown_msi_irqs`) forgets that a
//! device has MSI-X before it asks for that to be disabled, and asks for MSI to be disabled
//! instead. The back end then does nothing, and the device has its MSI-X for as long as it is
//! passed: no driver gets any other interrupts from it. The C front end does as it is asked.

use core::ptr;

use kernel::{
    bindings as k, device,
    ffi::c_int,
    prelude::*,
    sync::atomic::{
        Atomic,
        AtomicType,
        Full,
        Relaxed,
        Release, //
    },
};

use kernel_ext::{
    pci::{
        with_access,
        ConfigAccess, //
    },
    show::Show, //
};

use xen_abi::io::pciif::MAX_VECTORS;
use xen_bindings as bindings;

use xen_ring::pciif::{
    Address,
    Answer,
    Refusal,
    Request, //
};

use super::passed::{
    address,
    Passed, //
};

/// The operations, for C, which does not write to them.
struct Ops(bindings::xen_pci_frontend_ops);

// SAFETY: Never written to.
unsafe impl Sync for Ops {}

static OPS: Ops = Ops(bindings::xen_pci_frontend_ops {
    enable_msi: Some(enable_msi),
    disable_msi: Some(disable_msi),
    enable_msix: Some(enable_msix),
    disable_msix: Some(disable_msix),
});

/// The kernel asks us for the interrupts of PCI devices as long as this lives. Keep it longer than
/// any bus.
pub struct Frontend(());

impl Frontend {
    /// Has the kernel ask us.
    ///
    /// # Errors
    ///
    /// `EBUSY` if another driver is registered there, such as the C driver.
    pub fn register() -> Result<Self> {
        slot()
            .cmpxchg(ptr::null_mut(), (&raw const OPS.0).cast_mut(), Full)
            .map_err(|_| EBUSY)?;
        Ok(Self(()))
    }
}

impl Drop for Frontend {
    fn drop(&mut self) {
        slot().store(ptr::null_mut(), Release);
    }
}

/// The kernel's variable, `xen_pci_frontend`. It reads it without a lock, only for devices of our
/// buses.
fn slot() -> &'static Atomic<*mut bindings::xen_pci_frontend_ops> {
    // SAFETY: An aligned pointer that lives for ever. C reads it as a whole; other front ends write
    // it as a whole.
    unsafe { Atomic::from_ptr(&raw mut bindings::xen_pci_frontend) }
}

/// How a function interrupts, as far as the back end has said.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(i8)]
pub(super) enum InterruptKind {
    /// By INTx.
    IntX,
    /// By MSI.
    Msi,
    /// By MSI-X.
    MsiX,
}

// SAFETY: The enumeration has the size and alignment of an `i8`, and is round-trip transmutable to
// it.
unsafe impl AtomicType for InterruptKind {
    type Repr = i8;
}

/// A device whose interrupts the kernel asks for, and what is behind its bus.
struct MsiDevice<'a> {
    passed: &'a Passed,
    at: Address,
    device: &'a device::Device,
}

/// Calls `f` with a device if it is on a bus that this module has made.
///
/// # Safety
///
/// `dev` is a valid device during this call.
unsafe fn with<R>(dev: *mut k::pci_dev, f: impl FnOnce(&MsiDevice<'_>) -> R) -> Option<R> {
    // SAFETY: By the requirement of this function the device is valid.
    let device = unsafe { device::Device::from_raw(&raw mut (*dev).dev) };
    let call = |access: &dyn ConfigAccess, function| {
        let passed = access.as_any().downcast_ref::<Passed>()?;
        let at = address(function);
        Some(f(&MsiDevice { passed, at, device }))
    };
    // SAFETY: By the requirement of this function the device is valid.
    unsafe { with_access(dev, call) }?
}

impl MsiDevice<'_> {
    fn access(&self, request: &Request<'_>) -> Result<Answer, Refusal> {
        self.passed.access().access(self.at, request)
    }

    fn enabled(&self) -> &Atomic<InterruptKind> {
        self.passed.interrupts(self.at.devfn)
    }

    /// Enables one kind of interrupts.
    fn enable(&self, request: &Request<'_>, kind: InterruptKind) -> Result<Answer, Refusal> {
        /// Linux's number for "it has them already" (`EALREADY`).
        const ALREADY: Refusal = Refusal::Errno(114);
        // An operation whose answer never came may have been done.
        self.disable(InterruptKind::IntX)?;
        self.enabled().store(kind, Relaxed);
        let mut outcome = self.access(request);
        if outcome == Err(ALREADY) {
            self.disable(kind)?;
            self.enabled().store(kind, Relaxed);
            outcome = self.access(request);
        }
        match &outcome {
            Ok(Answer::Pirq(_) | Answer::Pirqs(_)) | Err(Refusal::TimedOut) => (),
            // The back end may have enabled them, but not so that we could use them.
            Err(Refusal::Nonsense) => self.disable(kind)?,
            _ => self.enabled().store(InterruptKind::IntX, Relaxed),
        }
        outcome
    }

    /// Disables what is enabled, or `otherwise` if we know of nothing.
    fn disable(&self, otherwise: InterruptKind) -> Result<(), Refusal> {
        let kind = match self.enabled().load(Relaxed) {
            InterruptKind::IntX => otherwise,
            kind => kind,
        };
        let request = match kind {
            InterruptKind::IntX => return Ok(()),
            InterruptKind::Msi => Request::DisableMsi,
            InterruptKind::MsiX => Request::DisableMsix,
        };
        self.access(&request)?;
        self.enabled().store(InterruptKind::IntX, Relaxed);
        Ok(())
    }
}

/// # Safety
///
/// Called by the kernel with a valid device, and room for one vector.
unsafe extern "C" fn enable_msi(dev: *mut k::pci_dev, vectors: *mut c_int) -> c_int {
    let enable = |msi: &MsiDevice<'_>| match msi.enable(&Request::EnableMsi, InterruptKind::Msi) {
        Ok(Answer::Pirq(pirq)) => (pirq.into(), 0),
        other => {
            dev_err!(
                msi.device,
                "pci frontend enable msi failed for dev {:x}:{:x}: {}\n",
                msi.at.root.bus,
                msi.at.devfn,
                Show(other.err().unwrap_or(Refusal::Nonsense))
            );
            (-1, EINVAL.to_errno())
        }
    };
    // SAFETY: By the requirement of this function the device is valid during this call.
    let Some((vector, status)) = (unsafe { with(dev, enable) }) else {
        return ENODEV.to_errno();
    };
    // SAFETY: By the requirement of this function there is room for a vector.
    unsafe { vectors.write(vector) };
    status
}

/// # Safety
///
/// Called by the kernel with a valid device.
unsafe extern "C" fn disable_msi(dev: *mut k::pci_dev) {
    let disable = |msi: &MsiDevice<'_>| match msi.disable(InterruptKind::Msi) {
        Ok(()) => (),
        Err(Refusal::NoDevice | Refusal::TimedOut | Refusal::Gone) => {
            dev_info!(msi.device, "get no response from backend for disable MSI\n");
        }
        Err(refusal) => {
            dev_info!(
                msi.device,
                "get fake response from backend for disable MSI: {}\n",
                Show(refusal)
            );
        }
    };
    // SAFETY: By the requirement of this function the device is valid during this call.
    unsafe { with(dev, disable) };
}

/// # Safety
///
/// Called by the kernel with a valid device whose descriptors of MSI-X vectors are locked, and room
/// for `count` vectors.
unsafe extern "C" fn enable_msix(dev: *mut k::pci_dev, vectors: *mut c_int, count: c_int) -> c_int {
    let enable = |msi: &MsiDevice<'_>| {
        let mut room = [0_u16; MAX_VECTORS];
        let entries = usize::try_from(count).ok();
        let Some(entries) = entries.and_then(|count| room.get_mut(..count)) else {
            dev_err!(
                msi.device,
                "too many vectors (0x{:x}) for PCI frontend: Increase SH_INFO_MAX_VEC\n",
                count
            );
            return EINVAL.to_errno();
        };
        // SAFETY: By the requirement of this function the device is valid and its descriptors
        // locked; there is room for as many entries.
        let found = unsafe { bindings::xen_rs_msix_entries(dev, entries.as_mut_ptr(), count) };
        if found != count {
            dev_err!(
                msi.device,
                "{} MSI-X vectors for {} descriptors\n",
                count,
                found
            );
            return EINVAL.to_errno();
        }
        match msi.enable(&Request::EnableMsix(entries), InterruptKind::MsiX) {
            Ok(Answer::Pirqs(pirqs)) if pirqs.as_slice().len() == entries.len() => {
                for (index, pirq) in pirqs.as_slice().iter().enumerate() {
                    // SAFETY: The index is below `count`, for which there is room.
                    unsafe { vectors.add(index).write((*pirq).into()) };
                }
                0
            }
            Ok(Answer::Fewer(fewer)) => {
                dev_info!(msi.device, "enable msix get value {:x}\n", fewer);
                fewer.into()
            }
            other => {
                let refusal = other.err().unwrap_or(Refusal::Nonsense);
                dev_err!(msi.device, "enable msix get err: {}\n", Show(refusal));
                match refusal {
                    Refusal::Errno(errno) => -c_int::from(errno),
                    _ => EINVAL.to_errno(),
                }
            }
        }
    };
    // SAFETY: By the requirement of this function the device is valid during this call.
    unsafe { with(dev, enable) }.unwrap_or_else(|| ENODEV.to_errno())
}

/// # Safety
///
/// Called by the kernel with a valid device.
unsafe extern "C" fn disable_msix(dev: *mut k::pci_dev) {
    let disable = |msi: &MsiDevice<'_>| {
        if let Err(refusal) = msi.disable(InterruptKind::MsiX) {
            dev_err!(msi.device, "pci_disable_msix get err: {}\n", Show(refusal));
        }
    };
    // SAFETY: By the requirement of this function the device is valid during this call.
    unsafe { with(dev, disable) };
}
