// SPDX-License-Identifier: GPL-2.0

//! Event channels of no device: made for a user program, which does with them what it likes.

use core::mem::ManuallyDrop;

use kernel::{
    bindings as k,
    error::to_result,
    ffi::{
        c_int,
        c_void, //
    },
    prelude::*, //
};

use xen_abi::{
    event_channel::{
        self as abi,
        op, //
    },
    xen::domid, //
};

use xen_bindings as bindings;

use crate::{
    debug,
    domain::DomId, //
};

kernel::sync::global_lock! {
    // SAFETY: `init` is called before the module's symbols can be used.
    unsafe(uninit) static ADOPTING: Mutex<()> = ();
}

/// To be called once, when the module is loaded.
pub(crate) fn init() {
    // SAFETY: Called once, before anything else in this file.
    unsafe { ADOPTING.init() };
}

/// How many ports the hypervisor lets a domain have: every port's number is below that.
pub fn limit() -> u32 {
    // SAFETY: Takes nothing and reads what is constant after early boot.
    unsafe { bindings::xen_evtchn_nr_channels() }
}

/// An event channel's port that has no handler yet. Dropped, it is closed, unless it is a static
/// one.
pub struct Port {
    number: u32,
    /// It was there before this value and stays after it.
    is_static: bool,
}

impl Port {
    /// Binds a virtual interrupt on the first CPU. May fail with whatever the hypervisor says.
    pub fn bind_virq(virq: u32) -> Result<Self> {
        let mut args = abi::BindVirq {
            virq,
            // SAFETY: The shim reads a per-CPU variable of CPU 0, which every kernel has.
            vcpu: unsafe { bindings::xen_rs_vcpu_nr(0) },
            port: 0,
        };
        event_channel_op(op::BIND_VIRQ, &mut args)?;
        Ok(Self::fresh(args.port))
    }

    /// Connects to a port of another domain.
    pub fn bind_interdomain(domain: DomId, remote_port: u32) -> Result<Self> {
        let mut args = abi::BindInterdomain {
            remote_dom: domain.get(),
            remote_port,
            ..Default::default()
        };
        event_channel_op(op::BIND_INTERDOMAIN, &mut args)?;
        Ok(Self::fresh(args.local_port))
    }

    /// Makes a port that another domain may connect to.
    pub fn alloc_unbound(domain: DomId) -> Result<Self> {
        let mut args = abi::AllocUnbound {
            dom: domid::SELF,
            remote_dom: domain.get(),
            port: 0,
        };
        event_channel_op(op::ALLOC_UNBOUND, &mut args)?;
        Ok(Self::fresh(args.port))
    }

    /// A port that the toolstack has set up for this domain, and that is never closed. It is not
    /// checked before the port gets a handler whether it exists and is free.
    pub fn established(number: u32) -> Self {
        Self {
            number,
            is_static: true,
        }
    }

    fn fresh(number: u32) -> Self {
        Self {
            number,
            is_static: false,
        }
    }

    /// Its number.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Binds it to an interrupt handler, and returns the interrupt. Whether that succeeds or not,
    /// closing the port is no longer up to this value.
    ///
    /// # Errors
    ///
    /// `EBUSY` if the port has a handler in this kernel.
    ///
    /// # Safety
    ///
    /// On success, `name` and `cookie` stay valid until [`unbind`](super::unbind), as `handler`
    /// needs it.
    pub(super) unsafe fn bind(
        self,
        handler: k::irq_handler_t,
        name: &CStr,
        cookie: *mut c_void,
    ) -> Result<u32> {
        let number = self.number;
        // The number of a static port is from a process. Binding a port that has a handler would
        // share the interrupt, and undoing that would close the port of its first user. So this is
        // checked first, one port at a time.
        let _one = ADOPTING.lock();
        if self.is_static && is_bound(number) {
            return Err(EBUSY);
        }
        // SAFETY: The function takes any port number. On failure the port is still owned by `self`,
        // in all cases but one of `ENOMEM`, where closing it a second time does nothing.
        to_result(unsafe { bindings::bind_evtchn_to_irq_lateeoi(number) })?;
        let this = ManuallyDrop::new(self);
        // From here on the interrupt owns the port. It is counted before it has a handler, so that
        // it is known as static should the next step fail.
        // SAFETY: Takes any port number; this one is bound, by us alone.
        let counted = unsafe { bindings::evtchn_make_refcounted(number, this.is_static) };
        let counted = to_result(counted);
        // Observers of the port need a reference to it, and only a port that is counted may have
        // references.
        let first_share = counted.as_ref().ok().map(|()| SharedPort(number));
        let flags = first_share.as_ref().map_or(0, |_| k::IRQF_SHARED);
        // SAFETY: By the requirements of this function. On failure the interrupt is as it was
        // before if it is shared, or else unbound.
        let irq = unsafe { request(number, handler, flags, name, cookie) };
        // With the handler's share the first one is one too many; without it, this closes the port.
        drop(first_share);
        let irq = irq?;
        counted.inspect_err(|_| super::unbind(irq, cookie))?;
        Ok(irq)
    }
}

/// Binds a handler to a port that is bound to an interrupt; the handler gets a reference to the
/// port if `flags` has `IRQF_SHARED`.
///
/// # Safety
///
/// On success, `name` and `cookie` stay valid until [`unbind`](super::unbind), as `handler` needs
/// it. The port is counted if the interrupt is to be shared.
pub(super) unsafe fn request(
    port: u32,
    handler: k::irq_handler_t,
    flags: u32,
    name: &CStr,
    cookie: *mut c_void,
) -> Result<u32> {
    // SAFETY: By the requirements of this function.
    let irq = unsafe {
        bindings::bind_evtchn_to_irqhandler_lateeoi(
            port,
            handler,
            flags as usize,
            name.as_char_ptr(),
            cookie,
        )
    };
    to_result(irq)?;
    debug::EVENT_CHANNELS.add(1);
    Ok(irq as u32)
}

impl Drop for Port {
    fn drop(&mut self) {
        if !self.is_static {
            let mut args = abi::Port { port: self.number };
            // The hypervisor can only say that it was closed before.
            let _ = event_channel_op(op::CLOSE, &mut args);
        }
    }
}

/// A reference to a port that a process has bound. The port is not closed while this exists.
pub struct SharedPort(u32);

impl SharedPort {
    /// Gets a share. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOENT` or `EINVAL` if the port is not one that a program has bound.
    pub fn get(port: u32) -> Result<Self> {
        // SAFETY: Looks the port up, whatever its number.
        to_result(unsafe { bindings::evtchn_get(port) })?;
        Ok(Self(port))
    }

    /// Its number.
    pub(super) fn number(&self) -> u32 {
        self.0
    }

    /// The domain that the other end of a channel between domains belongs to. `None` for other
    /// kinds of port.
    pub fn leads_to(&self) -> Result<Option<DomId>> {
        let mut args = abi::Status {
            dom: domid::SELF,
            port: self.0,
            ..Default::default()
        };
        event_channel_op(op::STATUS, &mut args)?;
        let between = args.status == abi::status::INTERDOMAIN;
        Ok(between.then(|| DomId::new(args.detail as u16)))
    }

    /// Sends an event to its other end.
    pub fn notify(&self) {
        let mut args = abi::Port { port: self.0 };
        // The hypervisor refuses if the other end is gone.
        let _ = event_channel_op(op::SEND, &mut args);
    }
}

impl Drop for SharedPort {
    fn drop(&mut self) {
        // SAFETY: This value owns a reference of the kernel's, which is put once.
        unsafe { bindings::evtchn_put(self.0) };
    }
}

fn is_bound(port: u32) -> bool {
    // SAFETY: Looks the port up in a table, whatever its number.
    (unsafe { bindings::irq_from_evtchn(port) }) as c_int > 0
}

fn event_channel_op<T: FromBytes + IntoBytes>(command: u32, args: &mut T) -> Result {
    // SAFETY: Each command's structure belongs to it (callers of this function are all above), and
    // any bytes that the hypervisor writes there are a valid value.
    to_result(unsafe {
        bindings::xen_rs_event_channel_op(command as c_int, core::ptr::from_mut(args).cast())
    })
}
