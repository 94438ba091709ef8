// SPDX-License-Identifier: GPL-2.0

//! The kernel's structures of PCI functions (`linux/pci.h`) and of their messages (`linux/msi.h`).

use core::marker::PhantomData;
use core::ptr::{addr_of, addr_of_mut, NonNull};

use core_bindings as bindings;
use kernel::bindings as k;
use kernel::ffi::c_int;
use xen_irq::function::{Kind, Place};

/// A PCI function.
///
/// # Invariants
///
/// It is valid for `'a`.
#[derive(Clone, Copy)]
pub(crate) struct Function<'a>(NonNull<k::pci_dev>, PhantomData<&'a ()>);

impl<'a> Function<'a> {
    /// Wraps what the kernel passes.
    ///
    /// # Safety
    ///
    /// `dev` is valid for `'a`.
    pub(crate) unsafe fn from_raw(dev: *const k::pci_dev) -> Self {
        // SAFETY: A valid device is not at 0.
        let dev = unsafe { NonNull::new_unchecked(dev.cast_mut()) };
        // INVARIANT: The caller's promise.
        Self(dev, PhantomData)
    }

    /// Wraps the `dev` in a `struct pci_dev`.
    ///
    /// # Safety
    ///
    /// `dev` is that of a PCI function which is valid for `'a`.
    pub(crate) unsafe fn from_device(dev: *mut k::device) -> Self {
        // SAFETY: The caller's promise.
        unsafe { Self::from_raw(kernel::container_of!(dev, k::pci_dev, dev)) }
    }

    pub(crate) fn as_raw(self) -> *mut k::pci_dev {
        self.0.as_ptr()
    }

    /// The `dev` in it.
    pub(crate) fn as_device(self) -> *mut k::device {
        // SAFETY: The function is valid by the type's invariant.
        unsafe { addr_of_mut!((*self.as_raw()).dev) }
    }

    /// For messages.
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

    /// Where it is.
    pub(crate) fn place(self) -> Place {
        let bus = self.bus();
        // SAFETY: A function's bus is valid as long as the function.
        let (segment, number) = unsafe { (bindings::xen_core_pci_segment(bus), (*bus).number) };
        Place {
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

    /// The physical function of a virtual one: this kernel knows none.
    #[cfg(not(CONFIG_PCI_IOV))]
    pub(crate) fn physical(self) -> Option<Self> {
        None
    }

    /// What it is.
    pub(crate) fn kind(self) -> Kind {
        let physical = self.physical().map(|physical| {
            let place = physical.place();
            (place.bus, place.devfn)
        });
        // SAFETY: The bus is valid, and the bridge to it, which a root bus does not have, lives longer.
        let ari = unsafe {
            let bridge = (*self.bus()).self_;
            !bridge.is_null() && (*bridge).ari_enabled() != 0
        };
        Kind::of(self.place(), physical, ari)
    }

    /// The buses from its own to the root.
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

    /// Its interrupt pin: 1 for A, 0 for none.
    pub(crate) fn pin(self) -> u8 {
        // SAFETY: The function is valid by the type's invariant.
        unsafe { addr_of!((*self.as_raw()).pin).read() }
    }

    /// The kernel's number for its line's interrupt.
    pub(crate) fn irq(self) -> u32 {
        // SAFETY: The function is valid; a driver's number is written as a whole.
        unsafe { addr_of!((*self.as_raw()).irq).read_volatile() }
    }

    /// Sets that.
    pub(crate) fn set_irq(self, irq: u32) {
        // SAFETY: The function is valid; the kernel calls for a function's interrupt once at a time.
        unsafe { addr_of_mut!((*self.as_raw()).irq).write_volatile(irq) }
    }

    /// Whether ACPI has routed the line.
    pub(crate) fn is_routed(self) -> bool {
        // SAFETY: The function is valid by the type's invariant.
        unsafe { (*self.as_raw()).irq_managed() != 0 }
    }

    /// Whether it uses MSI, and whether MSI-X.
    pub(crate) fn uses_messages(self) -> (bool, bool) {
        // SAFETY: The function is valid by the type's invariant.
        unsafe {
            (
                (*self.as_raw()).msi_enabled() != 0,
                (*self.as_raw()).msix_enabled() != 0,
            )
        }
    }

    /// The kernel's number of a message, if it has one. May sleep.
    pub(crate) fn message_irq(self, index: u16) -> Option<u32> {
        // SAFETY: The function is valid by the type's invariant.
        let irq = unsafe { k::pci_irq_vector(self.as_raw(), index.into()) };
        u32::try_from(irq).ok().filter(|irq| *irq != 0)
    }

    /// How many entries its MSI-X table has.
    pub(crate) fn messages(self) -> u16 {
        // SAFETY: The function is valid by the type's invariant.
        let count = unsafe { k::pci_msix_vec_count(self.as_raw()) };
        u16::try_from(count).unwrap_or(0)
    }

    /// The machine address of the BAR that its MSI-X table is in, if it has been given one.
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
        // SAFETY: There are more resources than the register's three bits can say.
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
            // PCIBIOS_DEVICE_NOT_FOUND, and what else the PCI BIOS says.
            0x86 => Err(-(k::ENODEV as c_int)),
            _ => Err(-(k::EIO as c_int)),
        }
    }

    /// The descriptors of its messages that have an interrupt, or of those that have none yet.
    ///
    /// # Safety
    ///
    /// The caller holds the lock of the descriptors, as who is called by the MSI core does.
    pub(crate) unsafe fn messages_with(self, interrupt: bool) -> Messages<'a> {
        Messages {
            of: self,
            filter: match interrupt {
                true => bindings::msi_desc_filter_MSI_DESC_ASSOCIATED,
                false => bindings::msi_desc_filter_MSI_DESC_NOTASSOCIATED,
            },
            started: false,
        }
    }
}

/// See [`Function::messages_with`].
pub(crate) struct Messages<'a> {
    of: Function<'a>,
    filter: bindings::msi_desc_filter,
    started: bool,
}

/// The kernel's numbers of a domain of messages: the one a device has by default (`MSI_DEFAULT_DOMAIN`).
const DEFAULT_DOMAIN: u32 = 0;

impl<'a> Iterator for Messages<'a> {
    type Item = Message<'a>;

    fn next(&mut self) -> Option<Message<'a>> {
        let (device, filter) = (self.of.as_device(), self.filter);
        // SAFETY: The device is valid, and its descriptors are locked by the promise to `messages_with`.
        let desc = unsafe {
            match self.started {
                false => bindings::msi_domain_first_desc(device, DEFAULT_DOMAIN, filter),
                true => bindings::msi_next_desc(device, DEFAULT_DOMAIN, filter),
            }
        };
        self.started = true;
        Some(Message(NonNull::new(desc)?, PhantomData))
    }
}

/// The descriptor of a message, or of several that are one mapping.
///
/// # Invariants
///
/// It is valid for `'a`, and its lock is held.
pub(crate) struct Message<'a>(NonNull<bindings::msi_desc>, PhantomData<&'a ()>);

impl Message<'_> {
    pub(crate) fn as_raw(&self) -> *mut bindings::msi_desc {
        self.0.as_ptr()
    }

    /// Which entry of the MSI-X table it is.
    pub(crate) fn index(&self) -> u16 {
        // SAFETY: The descriptor is valid by the type's invariant.
        unsafe { addr_of!((*self.as_raw()).msi_index).read() }
    }

    /// Whether it is one of the MSI-X table. The device's own flag is cleared before its messages are taken away.
    pub(crate) fn is_msix(&self) -> bool {
        // SAFETY: The descriptor is valid, and that of a PCI function.
        unsafe {
            let pci = (*self.as_raw()).__bindgen_anon_1.pci.as_ref();
            pci.msi_attrib.is_msix() != 0
        }
    }

    /// The kernel's numbers for it.
    pub(crate) fn irqs(&self) -> core::ops::Range<u32> {
        // SAFETY: The descriptor is valid by the type's invariant.
        let (first, count) = unsafe { ((*self.as_raw()).irq, (*self.as_raw()).nvec_used) };
        first..first.saturating_add(count)
    }

    /// Forgets them.
    pub(crate) fn clear(&self) {
        // SAFETY: The descriptor is valid, and locked.
        unsafe { (*self.as_raw()).irq = 0 }
    }
}
