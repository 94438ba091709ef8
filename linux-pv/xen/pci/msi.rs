// SPDX-License-Identifier: GPL-2.0

//! Message-signalled interrupts: a PV domain does not program them into the device itself, but has the back end do that,
//! which says what physical interrupts they are.
//!
//! What is enabled is remembered here. The kernel (7.2, `xen_pv_teardown_msi_irqs`) forgets that a device has MSI-X before
//! it asks for that to be disabled, and asks for MSI to be disabled instead. The back end then does nothing, and the
//! device has its MSI-X for as long as it is passed: no driver gets any other interrupts from it. The C front end does
//! as it is asked.

use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU8, Ordering};

use kernel::bindings as k;
use kernel::device;
use kernel::ffi::c_int;
use kernel::prelude::*;
use kernel_ext::show::Show;
use xen_abi::io::pciif::MAX_VECTORS;
use xen_bindings as bindings;
use xen_ring::pciif::{Answer, Refusal, Request};

use super::config::Behind;

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

/// The kernel asks us for the interrupts of PCI devices as long as this lives. Keep it longer than any bus.
pub struct Frontend(());

impl Frontend {
    /// Has the kernel ask us.
    ///
    /// # Errors
    ///
    /// `EBUSY` if it asks somebody else, such as the C driver.
    pub fn register() -> Result<Self> {
        slot()
            .compare_exchange(
                ptr::null_mut(),
                (&raw const OPS.0).cast_mut(),
                Ordering::AcqRel,
                Ordering::Relaxed,
            )
            .map_err(|_| EBUSY)?;
        Ok(Self(()))
    }
}

impl Drop for Frontend {
    fn drop(&mut self) {
        slot().store(ptr::null_mut(), Ordering::Release);
    }
}

/// The kernel's variable, `xen_pci_frontend`. It reads it without a lock, only for devices of our buses.
fn slot() -> &'static AtomicPtr<bindings::xen_pci_frontend_ops> {
    // SAFETY: An aligned pointer that lives for ever. C reads it as a whole; other front ends write it as a whole.
    unsafe { AtomicPtr::from_ptr(&raw mut bindings::xen_pci_frontend) }
}

/// How a device interrupts, as far as the back end has said: 0 is by a line.
const MSI: u8 = 1;
/// By MSI-X.
const MSI_X: u8 = 2;

/// A device that the kernel asks about, and what is behind its bus.
struct Asked<'a> {
    behind: &'a Behind,
    at: xen_ring::pciif::Address,
    device: &'a device::Device,
}

impl<'a> Asked<'a> {
    /// # Safety
    ///
    /// `dev` is a valid device for as long as `'a`.
    unsafe fn new(dev: *mut k::pci_dev) -> Option<Self> {
        // SAFETY: By the requirement of this function.
        let (behind, at) = unsafe { Behind::of_device(dev) }?;
        // SAFETY: As above.
        let device = unsafe { device::Device::from_raw(&raw mut (*dev).dev) };
        Some(Self { behind, at, device })
    }

    fn access(&self, request: &Request<'_>) -> Result<Answer, Refusal> {
        self.behind.access().access(self.at, request)
    }

    fn enabled(&self) -> &AtomicU8 {
        self.behind.interrupts(self.at.devfn)
    }

    /// Enables one kind of interrupts.
    fn enable(&self, request: &Request<'_>, kind: u8) -> Result<Answer, Refusal> {
        /// Linux's number for "it has them already" (`EALREADY`).
        const ALREADY: Refusal = Refusal::Errno(114);
        // An operation whose answer never came may have been done.
        self.disable(0)?;
        self.enabled().store(kind, Ordering::Relaxed);
        let mut outcome = self.access(request);
        if outcome == Err(ALREADY) {
            self.disable(kind)?;
            self.enabled().store(kind, Ordering::Relaxed);
            outcome = self.access(request);
        }
        match &outcome {
            Ok(Answer::Pirq(_) | Answer::Pirqs(_)) | Err(Refusal::TimedOut) => (),
            // The back end may have enabled them, but not so that we could use them.
            Err(Refusal::Nonsense) => self.disable(kind)?,
            _ => self.enabled().store(0, Ordering::Relaxed),
        }
        outcome
    }

    /// Disables what is enabled, or `otherwise` if we know of nothing.
    fn disable(&self, otherwise: u8) -> Result<(), Refusal> {
        let kind = match self.enabled().load(Ordering::Relaxed) {
            0 => otherwise,
            kind => kind,
        };
        let request = match kind {
            0 => return Ok(()),
            MSI => Request::DisableMsi,
            _ => Request::DisableMsix,
        };
        self.access(&request)?;
        self.enabled().store(0, Ordering::Relaxed);
        Ok(())
    }
}

/// # Safety
///
/// Called by the kernel with a valid device, and room for one vector.
unsafe extern "C" fn enable_msi(dev: *mut k::pci_dev, vectors: *mut c_int) -> c_int {
    // SAFETY: The device is valid during this call.
    let Some(asked) = (unsafe { Asked::new(dev) }) else {
        return ENODEV.to_errno();
    };
    let (vector, status) = match asked.enable(&Request::EnableMsi, MSI) {
        Ok(Answer::Pirq(pirq)) => (pirq.into(), 0),
        other => {
            dev_err!(
                asked.device,
                "pci frontend enable msi failed for dev {:x}:{:x}: {}\n",
                asked.at.root.bus,
                asked.at.devfn,
                Show(other.err().unwrap_or(Refusal::Nonsense))
            );
            (-1, EINVAL.to_errno())
        }
    };
    // SAFETY: By the requirement of this function.
    unsafe { vectors.write(vector) };
    status
}

/// # Safety
///
/// Called by the kernel with a valid device.
unsafe extern "C" fn disable_msi(dev: *mut k::pci_dev) {
    // SAFETY: The device is valid during this call.
    let Some(asked) = (unsafe { Asked::new(dev) }) else {
        return;
    };
    match asked.disable(MSI) {
        Ok(()) => (),
        Err(Refusal::NoDevice | Refusal::TimedOut | Refusal::Gone) => {
            dev_info!(
                asked.device,
                "get no response from backend for disable MSI\n"
            );
        }
        Err(refusal) => {
            dev_info!(
                asked.device,
                "get fake response from backend for disable MSI: {}\n",
                Show(refusal)
            );
        }
    }
}

/// # Safety
///
/// Called by the kernel with a valid device whose descriptors of MSI-X vectors are locked, and room for `count` vectors.
unsafe extern "C" fn enable_msix(dev: *mut k::pci_dev, vectors: *mut c_int, count: c_int) -> c_int {
    // SAFETY: The device is valid during this call.
    let Some(asked) = (unsafe { Asked::new(dev) }) else {
        return ENODEV.to_errno();
    };
    let mut room = [0_u16; MAX_VECTORS];
    let entries = usize::try_from(count).ok();
    let Some(entries) = entries.and_then(|count| room.get_mut(..count)) else {
        dev_err!(
            asked.device,
            "too many vectors (0x{:x}) for PCI frontend: Increase SH_INFO_MAX_VEC\n",
            count
        );
        return EINVAL.to_errno();
    };
    // SAFETY: The device is valid, and there is room for so many entries.
    let found = unsafe { bindings::xen_rs_msix_entries(dev, entries.as_mut_ptr(), count) };
    if found != count {
        dev_err!(
            asked.device,
            "{} MSI-X vectors for {} descriptors\n",
            count,
            found
        );
        return EINVAL.to_errno();
    }
    match asked.enable(&Request::EnableMsix(entries), MSI_X) {
        Ok(Answer::Pirqs(pirqs)) if pirqs.as_slice().len() == entries.len() => {
            for (index, pirq) in pirqs.as_slice().iter().enumerate() {
                // SAFETY: The index is below `count`.
                unsafe { vectors.add(index).write((*pirq).into()) };
            }
            0
        }
        Ok(Answer::Fewer(fewer)) => {
            dev_info!(asked.device, "enable msix get value {:x}\n", fewer);
            fewer.into()
        }
        other => {
            let refusal = other.err().unwrap_or(Refusal::Nonsense);
            dev_err!(asked.device, "enable msix get err: {}\n", Show(refusal));
            match refusal {
                Refusal::Errno(errno) => -c_int::from(errno),
                _ => EINVAL.to_errno(),
            }
        }
    }
}

/// # Safety
///
/// Called by the kernel with a valid device.
unsafe extern "C" fn disable_msix(dev: *mut k::pci_dev) {
    // SAFETY: The device is valid during this call.
    let Some(asked) = (unsafe { Asked::new(dev) }) else {
        return;
    };
    if let Err(refusal) = asked.disable(MSI_X) {
        dev_err!(
            asked.device,
            "pci_disable_msix get err: {}\n",
            Show(refusal)
        );
    }
}
