// SPDX-License-Identifier: GPL-2.0

//! The kernel's structures of PCI functions (`linux/pci.h`) and of their MSIs (`linux/msi.h`).

use core::{
    marker::PhantomData,
    ptr::{
        addr_of,
        addr_of_mut,
        NonNull, //
    },
};

use kernel::{
    bindings as k,
    ffi::c_int, //
};

use core_bindings as bindings;

use xen_irq::function::{
    FunctionType,
    Sbdf, //
};

/// A PCI function.
///
/// # Invariants
///
/// The `struct pci_dev` is valid for `'a`.
#[derive(Clone, Copy)]
pub(crate) struct Function<'a>(NonNull<k::pci_dev>, PhantomData<&'a ()>);

impl<'a> Function<'a> {
    /// From a pointer that the kernel passes.
    ///
    /// # Safety
    ///
    /// `dev` is valid for `'a`.
    pub(crate) unsafe fn from_raw(dev: *const k::pci_dev) -> Self {
        // SAFETY: A valid device is not at 0.
        let dev = unsafe { NonNull::new_unchecked(dev.cast_mut()) };
        // INVARIANT: By the requirement of this function.
        Self(dev, PhantomData)
    }

    /// From the `struct device` within a `struct pci_dev`.
    ///
    /// # Safety
    ///
    /// `dev` belongs to a PCI function that is valid for `'a`.
    pub(crate) unsafe fn from_device(dev: *mut k::device) -> Self {
        // SAFETY: By the requirement of this function.
        unsafe { Self::from_raw(kernel::container_of!(dev, k::pci_dev, dev)) }
    }

    pub(crate) fn as_raw(self) -> *mut k::pci_dev {
        self.0.as_ptr()
    }

    /// The `struct device` within it.
    pub(crate) fn as_device(self) -> *mut k::device {
        // SAFETY: The function is valid by the type's invariant.
        unsafe { addr_of_mut!((*self.as_raw()).dev) }
    }

    /// The device, for messages in the log.
    pub(crate) fn device(&self) -> &kernel::device::Device {
        // SAFETY: The function is valid as long as `self`.
        unsafe { kernel::device::Device::from_raw(self.as_device()) }
    }

    fn bus(self) -> *mut k::pci_bus {
        // SAFETY: The function is valid, and has a bus as long as it is.
        unsafe { addr_of!((*self.as_raw()).bus).read() }
    }

    fn devfn(self) -> u8 {
        // SAFETY: The function is valid by the type's invariant.
        unsafe { addr_of!((*self.as_raw()).devfn).read() as u8 }
    }

    /// Segment, bus, device and function.
    pub(crate) fn sbdf(self) -> Sbdf {
        let bus = self.bus();
        // SAFETY: A function's bus is valid as long as the function.
        let (segment, number) = unsafe { (bindings::xen_core_pci_segment(bus), (*bus).number) };
        Sbdf {
            segment: segment as u32,
            bus: number,
            devfn: self.devfn(),
        }
    }

    /// The physical function of a virtual one.
    #[cfg(CONFIG_PCI_IOV)]
    pub(crate) fn physical(self) -> Option<Self> {
        // SAFETY: The function is valid; a virtual one has a physical one that lives longer.
        unsafe {
            ((*self.as_raw()).is_virtfn() != 0)
                .then(|| Self::from_raw((*self.as_raw()).__bindgen_anon_1.physfn))
        }
    }

    /// The physical function of a virtual one. A kernel without SR-IOV has no virtual functions.
    #[cfg(not(CONFIG_PCI_IOV))]
    pub(crate) fn physical(self) -> Option<Self> {
        None
    }

    /// The type of the function in the hypervisor's terms.
    pub(crate) fn function_type(self) -> FunctionType {
        let physical = self.physical().map(|physical| {
            let sbdf = physical.sbdf();
            (sbdf.bus, sbdf.devfn)
        });
        // SAFETY: The bus is valid, and the bridge to it, which a root bus does not have, lives
        // longer.
        let ari = unsafe {
            let bridge = (*self.bus()).self_;
            !bridge.is_null() && (*bridge).ari_enabled() != 0
        };
        FunctionType::of(self.sbdf(), physical, ari)
    }

    /// The buses from the function's to the root bus.
    pub(crate) fn buses(self) -> impl Iterator<Item = *mut k::pci_bus> + 'a {
        let mut bus = self.bus();
        core::iter::from_fn(move || {
            let this = bus;
            if this.is_null() {
                return None;
            }
            // SAFETY: A bus is valid as long as what is on it.
            bus = unsafe { (*this).parent };
            Some(this)
        })
    }

    /// The interrupt pin register: 1 for INTA, 0 for none.
    pub(crate) fn pin(self) -> u8 {
        // SAFETY: The function is valid by the type's invariant.
        unsafe { addr_of!((*self.as_raw()).pin).read() }
    }

    /// The IRQ of INTx.
    pub(crate) fn irq(self) -> u32 {
        // SAFETY: The function is valid by the type's invariant; the field is written as a whole.
        unsafe { addr_of!((*self.as_raw()).irq).read_volatile() }
    }

    /// Sets the IRQ of INTx.
    pub(crate) fn set_irq(self, irq: u32) {
        // SAFETY: The function is valid by the type's invariant; the kernel serialises the calls
        // that enable a function.
        unsafe { addr_of_mut!((*self.as_raw()).irq).write_volatile(irq) }
    }

    /// Whether ACPI has routed INTx (`irq_managed`).
    pub(crate) fn is_routed(self) -> bool {
        // SAFETY: The function is valid by the type's invariant.
        unsafe { (*self.as_raw()).irq_managed() != 0 }
    }

    /// Whether MSI is enabled, and whether MSI-X is.
    pub(crate) fn msi_enabled(self) -> (bool, bool) {
        // SAFETY: The function is valid by the type's invariant.
        unsafe {
            (
                (*self.as_raw()).msi_enabled() != 0,
                (*self.as_raw()).msix_enabled() != 0,
            )
        }
    }

    /// The IRQ of an MSI or MSI-X entry, if it has one. May sleep.
    pub(crate) fn msi_irq(self, index: u16) -> Option<u32> {
        // SAFETY: The function is valid by the type's invariant.
        let irq = unsafe { k::pci_irq_vector(self.as_raw(), index.into()) };
        u32::try_from(irq).ok().filter(|irq| *irq != 0)
    }

    /// The number of entries of the MSI-X table.
    pub(crate) fn msix_vectors(self) -> u16 {
        // SAFETY: The function is valid by the type's invariant.
        let count = unsafe { k::pci_msix_vec_count(self.as_raw()) };
        u16::try_from(count).unwrap_or(0)
    }

    /// The machine address of the BAR that the MSI-X table is in, if the BAR is assigned.
    pub(crate) fn msix_table(self) -> Option<u64> {
        let mut register = 0;
        // SAFETY: The function is valid by the type's invariant.
        let resource = unsafe {
            let at = c_int::from((*self.as_raw()).msix_cap) + k::PCI_MSIX_TABLE as c_int;
            k::pci_read_config_dword(self.as_raw(), at, &mut register);
            let bar = (register & k::PCI_MSIX_TABLE_BIR) as usize;
            addr_of!((*self.as_raw()).resource)
                .cast::<k::resource>()
                .add(bar)
        };
        // SAFETY: A function has more than the eight resources that the three bits can select.
        let (start, flags) = unsafe { ((*resource).start, (*resource).flags) };
        (flags != 0 && flags & k::IORESOURCE_UNSET as usize == 0).then_some(start)
    }

    /// Reads a byte of configuration space; a negative error number if that fails.
    pub(crate) fn config(self, at: u32) -> Result<u8, c_int> {
        let mut value = 0;
        // SAFETY: The function is valid by the type's invariant.
        match unsafe { k::pci_read_config_byte(self.as_raw(), at as c_int, &mut value) } {
            0 => Ok(value),
            error if error < 0 => Err(error),
            // PCIBIOS_DEVICE_NOT_FOUND, and other errors of the PCI BIOS.
            0x86 => Err(-(k::ENODEV as c_int)),
            _ => Err(-(k::EIO as c_int)),
        }
    }

    /// The MSI descriptors that have an interrupt, or those that have none yet.
    ///
    /// # Safety
    ///
    /// The caller holds the lock of the descriptors. Callbacks of the MSI core do.
    pub(crate) unsafe fn msi_descriptors(self, associated: bool) -> MsiDescriptors<'a> {
        MsiDescriptors {
            of: self,
            filter: match associated {
                true => bindings::msi_desc_filter_MSI_DESC_ASSOCIATED,
                false => bindings::msi_desc_filter_MSI_DESC_NOTASSOCIATED,
            },
            started: false,
        }
    }
}

/// Iterator made by [`Function::msi_descriptors`].
pub(crate) struct MsiDescriptors<'a> {
    of: Function<'a>,
    filter: bindings::msi_desc_filter,
    started: bool,
}

/// `MSI_DEFAULT_DOMAIN`.
const DEFAULT_DOMAIN: u32 = 0;

impl<'a> Iterator for MsiDescriptors<'a> {
    type Item = MsiDescriptor<'a>;

    fn next(&mut self) -> Option<MsiDescriptor<'a>> {
        let (device, filter) = (self.of.as_device(), self.filter);
        // SAFETY: The device is valid, and its descriptors are locked by the requirement of
        // `msi_descriptors`.
        let desc = unsafe {
            match self.started {
                false => bindings::msi_domain_first_desc(device, DEFAULT_DOMAIN, filter),
                true => bindings::msi_next_desc(device, DEFAULT_DOMAIN, filter),
            }
        };
        self.started = true;
        Some(MsiDescriptor(NonNull::new(desc)?, PhantomData))
    }
}

/// An MSI descriptor. With several MSIs, one descriptor is for all of them.
///
/// # Invariants
///
/// The descriptor is valid for `'a`, and the lock of the device's descriptors is held.
pub(crate) struct MsiDescriptor<'a>(NonNull<bindings::msi_desc>, PhantomData<&'a ()>);

impl MsiDescriptor<'_> {
    pub(crate) fn as_raw(&self) -> *mut bindings::msi_desc {
        self.0.as_ptr()
    }

    /// The index in the MSI-X table.
    pub(crate) fn index(&self) -> u16 {
        // SAFETY: The descriptor is valid by the type's invariant.
        unsafe { addr_of!((*self.as_raw()).msi_index).read() }
    }

    /// Whether it is for MSI-X. (The device's flag is cleared before the descriptors are freed.)
    pub(crate) fn is_msix(&self) -> bool {
        // SAFETY: The descriptor is valid, and that of a PCI function.
        unsafe {
            let pci = (*self.as_raw()).__bindgen_anon_1.pci.as_ref();
            pci.msi_attrib.is_msix() != 0
        }
    }

    /// The IRQs.
    pub(crate) fn irqs(&self) -> core::ops::Range<u32> {
        // SAFETY: The descriptor is valid by the type's invariant.
        let (first, count) = unsafe { ((*self.as_raw()).irq, (*self.as_raw()).nvec_used) };
        first..first.saturating_add(count)
    }

    /// Clears the IRQs.
    pub(crate) fn clear(&self) {
        // SAFETY: The descriptor is valid, and locked by the type's invariant.
        unsafe { (*self.as_raw()).irq = 0 }
    }
}
