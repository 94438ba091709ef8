// SPDX-License-Identifier: GPL-2.0

//! MSI and MSI-X: an MSI domain of the kernel whose interrupts are pirqs.
//!
//! The kernel's MSI core calls the functions of the domain with the lock of a device's descriptors
//! held, in a context that may sleep.

use core::{
    cell::UnsafeCell,
    mem::MaybeUninit,
    ptr::{
        self,
        addr_of,
        addr_of_mut, //
    },
};

use kernel::{
    bindings as k,
    ffi::c_int,
    prelude::*,
    str::CStr, //
};

use core_bindings as bindings;

use xen_irq::{
    msi::{
        pirq_message,
        MsiError,
        MsiMapper,
        MsiRequest, //
    },
    SegmentSupport,
    SELF, //
};

use crate::{
    device::{
        Function,
        MsiDescriptor, //
    },
    hypervisor::{
        self,
        Hypervisor, //
    },
    owners, //
};

/// Operations of the PCI frontend, if there is one. The frontend writes this variable.
#[no_mangle]
#[allow(non_upper_case_globals)]
pub static mut xen_pci_frontend: *mut bindings::xen_pci_frontend_ops = ptr::null_mut();

/// Maps MSIs to pirqs.
static MAPPER: MsiMapper = MsiMapper::new();
/// Whether the hypervisor has the command to restore MSIs that takes a segment.
static SEGMENT_SUPPORT: SegmentSupport = SegmentSupport::new();

/// A static structure that the MSI core writes to.
#[repr(transparent)]
struct Static<T>(UnsafeCell<MaybeUninit<T>>);

// SAFETY: Only written in `create_domain`, which is called once at boot.
unsafe impl<T> Sync for Static<T> {}

impl<T> Static<T> {
    const fn zero() -> Self {
        Self(UnsafeCell::new(MaybeUninit::zeroed()))
    }

    fn as_ptr(&self) -> *mut T {
        self.0.get().cast()
    }
}

static OPS: Static<bindings::msi_domain_ops> = Static::zero();
static INFO: Static<bindings::msi_domain_info> = Static::zero();

/// `x86_init.irqs.create_pci_msi_domain`. Without a domain, devices use INTx.
///
/// # Safety
///
/// To be called once, at boot.
#[link_section = ".init.text"]
pub(crate) unsafe extern "C" fn create_domain() -> *mut k::irq_domain {
    // SAFETY:
    // - Nothing else uses the two structures yet. They and the name are statics.
    // - All-zeroes is a valid value of either, for no pointers and no functions.
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

/// Where pirqs for MSIs are from, by type of domain.
enum MsiSource {
    /// PV domU: the frontend requests them from the backend.
    Frontend,
    /// PV dom0: the hypervisor maps them.
    Hypervisor,
    /// HVM: the hypervisor allocates a pirq, which is written into the emulated MSI registers.
    Emulated,
}

impl MsiSource {
    fn of_this_domain() -> Self {
        match (hypervisor::is_pv(), hypervisor::is_initial()) {
            (true, true) => Self::Hypervisor,
            (true, false) => Self::Frontend,
            (false, _) => Self::Emulated,
        }
    }
}

/// `domain_alloc_irqs`: 0, a negative error number, or 1 if only one MSI is available.
///
/// # Safety
///
/// To be called by the MSI core, with the descriptors of a valid device locked.
unsafe extern "C" fn alloc(
    _domain: *mut k::irq_domain,
    dev: *mut k::device,
    count: c_int,
) -> c_int {
    // SAFETY: By the requirement of this function the device is valid.
    if !unsafe { bindings::xen_core_is_pci(dev) } {
        return -(k::EINVAL as c_int);
    }
    // SAFETY: The device is valid, and a PCI function's.
    let function = unsafe { Function::from_device(dev) };
    // SAFETY: By the requirement of this function the descriptors are locked.
    let Some(msix) = unsafe { function.msi_descriptors(false) }
        .next()
        .map(|first| first.is_msix())
    else {
        return 0;
    };
    let count = count.max(1) as u32;
    // SAFETY: By the requirement of this function the descriptors are locked.
    let result = unsafe {
        match MsiSource::of_this_domain() {
            MsiSource::Hypervisor => alloc_from_hypervisor(function, count, msix),
            MsiSource::Frontend => alloc_from_frontend(function, count, msix),
            MsiSource::Emulated => alloc_emulated(function, count, msix),
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
/// To be called by the MSI core, with the descriptors of a valid device locked.
unsafe extern "C" fn free(_domain: *mut k::irq_domain, dev: *mut k::device) {
    // SAFETY: By the requirement of this function the device is valid.
    if !unsafe { bindings::xen_core_is_pci(dev) } {
        return;
    }
    // SAFETY: The device is valid, and a PCI function's.
    let function = unsafe { Function::from_device(dev) };
    if let MsiSource::Frontend = MsiSource::of_this_domain() {
        // An enabled MSI has no IRQ if binding it failed.
        // SAFETY: By the requirement of this function the descriptors are locked.
        let first = unsafe {
            let bound = function.msi_descriptors(true).next();
            bound.or_else(|| function.msi_descriptors(false).next())
        };
        frontend_disable(function, first.is_some_and(|first| first.is_msix()));
    }
    // SAFETY: By the requirement of this function the descriptors are locked.
    for descriptor in unsafe { function.msi_descriptors(true) } {
        for irq in descriptor.irqs() {
            // SAFETY: `bind` has allocated the IRQ.
            unsafe { bindings::xen_destroy_irq(irq as c_int) };
        }
        descriptor.clear();
    }
    // SAFETY: The device is valid.
    unsafe { bindings::msi_device_destroy_sysfs(dev) };
}

/// Binds `count` consecutive pirqs to IRQs, which become the descriptor's.
fn bind(
    function: Function<'_>,
    descriptor: &MsiDescriptor<'_>,
    pirq: u32,
    count: u32,
    name: &'static CStr,
    domain: u16,
) -> Result<(), c_int> {
    // SAFETY: Device and descriptor are valid; the name is a static.
    let irq = unsafe {
        bindings::xen_bind_pirq_msi_to_irq(
            function.as_raw(),
            descriptor.as_raw(),
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
/// The descriptors of `function` are locked.
unsafe fn alloc_from_hypervisor(
    function: Function<'_>,
    count: u32,
    msix: bool,
) -> Result<(), c_int> {
    let owner = owners::owner(function);
    let (name, vectors) = match msix {
        true => (c"msi-x", 1),
        false => (c"msi", count),
    };
    // SAFETY: By the requirement of this function the descriptors are locked.
    for descriptor in unsafe { function.msi_descriptors(false) } {
        let request = match msix {
            true => MsiRequest::MsiX {
                index: descriptor.index(),
                table: function.msix_table().ok_or(-(k::EINVAL as c_int))?,
            },
            false => MsiRequest::msi(count),
        };
        let pirq = match MAPPER.map(&Hypervisor, function.sbdf(), owner, request) {
            Ok(pirq) => pirq,
            Err(MsiError::TryOne) => return Err(1),
            Err(MsiError::Refused(error)) => {
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
            &descriptor,
            pirq,
            vectors,
            name,
            owner.unwrap_or(SELF),
        )?;
    }
    Ok(())
}

/// # Safety
///
/// The descriptors of `function` are locked.
unsafe fn alloc_from_frontend(function: Function<'_>, count: u32, msix: bool) -> Result<(), c_int> {
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
    // SAFETY: By the requirement of this function the descriptors are locked.
    let descriptors = unsafe { function.msi_descriptors(false) };
    for (descriptor, pirq) in descriptors.zip(&pirqs) {
        bind(function, &descriptor, *pirq as u32, 1, name, SELF)?;
    }
    Ok(())
}

/// # Safety
///
/// The descriptors of `function` are locked.
unsafe fn alloc_emulated(function: Function<'_>, count: u32, msix: bool) -> Result<(), c_int> {
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
    // SAFETY: By the requirement of this function the descriptors are locked.
    for descriptor in unsafe { function.msi_descriptors(false) } {
        // SAFETY: Device and descriptor are valid.
        let pirq =
            unsafe { bindings::xen_allocate_pirq_msi(function.as_raw(), descriptor.as_raw()) };
        let pirq = u32::try_from(pirq).map_err(|_| failed(-(k::ENODEV as c_int)))?;
        write(&descriptor, pirq_message(pirq));
        bind(function, &descriptor, pirq, 1, name, SELF).map_err(failed)?;
    }
    Ok(())
}

/// Writes the MSI registers of a device: address (high and low half) and data.
fn write(descriptor: &MsiDescriptor<'_>, (high, low, data): (u32, u32, u32)) {
    let mut raw = MaybeUninit::<bindings::msi_msg>::zeroed();
    let at = raw.as_mut_ptr();
    // SAFETY: Each of the three parts is a union of 32 bits.
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

/// The operations of the PCI frontend, if there is one.
fn frontend() -> Option<bindings::xen_pci_frontend_ops> {
    // SAFETY: A frontend writes the pointer as a whole.
    let ops = unsafe { addr_of!(xen_pci_frontend).read_volatile() };
    // SAFETY: A frontend clears the pointer after its last device is gone, so the operations are
    // valid while a device uses them.
    (!ops.is_null()).then(|| unsafe { ops.read() })
}

fn frontend_enable(function: Function<'_>, pirqs: &mut [c_int], msix: bool) -> Result<(), c_int> {
    let unknown = -(k::ENOSYS as c_int);
    let ops = frontend().ok_or(unknown)?;
    let (dev, room) = (function.as_raw(), pirqs.as_mut_ptr());
    // SAFETY: The device is valid; the array has as many elements as passed, and at least the one
    // that MSI needs.
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

/// Restores the MSI registers of a device through the hypervisor, in dom0. Returns whether the
/// kernel has to restore them itself.
///
/// # Safety
///
/// `dev` is a valid device.
#[no_mangle]
pub unsafe extern "C" fn xen_initdom_restore_msi(dev: *mut k::pci_dev) -> bool {
    if !hypervisor::is_initial() {
        return true;
    }
    // SAFETY: By the requirement of this function.
    let function = unsafe { Function::from_raw(dev) };
    if let Err(error) =
        xen_irq::function::restore_msi(&Hypervisor, &SEGMENT_SUPPORT, function.sbdf())
    {
        dev_err!(
            function.device(),
            "the hypervisor does not restore MSI: {error:?}\n"
        );
    }
    false
}
