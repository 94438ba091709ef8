// SPDX-License-Identifier: GPL-2.0

//! `/dev/xen/evtchn`, `uapi/xen/evtchn.h`.
//!
//! Besides these requests a program reads the ports that have had an event, four bytes each, and writes
//! those that may send the next one.

use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Request numbers (`IOCTL_EVTCHN_*`).
pub mod ioctl {
    use super::super::ioc;
    use core::mem::size_of;

    /// Binds a virtual interrupt and returns the port; takes [`BindVirq`](super::BindVirq).
    pub const BIND_VIRQ: u32 = ioc(b'E', 0, size_of::<super::BindVirq>());
    /// Connects to another domain's port and returns the local one; takes
    /// [`BindInterdomain`](super::BindInterdomain).
    pub const BIND_INTERDOMAIN: u32 = ioc(b'E', 1, size_of::<super::BindInterdomain>());
    /// Makes a port that another domain may connect to and returns it; takes
    /// [`BindUnboundPort`](super::BindUnboundPort).
    pub const BIND_UNBOUND_PORT: u32 = ioc(b'E', 2, size_of::<super::BindUnboundPort>());
    /// Closes a port; takes [`Port`](super::Port).
    pub const UNBIND: u32 = ioc(b'E', 3, size_of::<super::Port>());
    /// Sends an event; takes [`Port`](super::Port).
    pub const NOTIFY: u32 = ioc(b'E', 4, size_of::<super::Port>());
    /// Forgets events that were not read, and that some were lost; takes nothing.
    pub const RESET: u32 = ioc(b'E', 5, 0);
    /// Limits the file to one domain, for good; takes [`RestrictDomid`](super::RestrictDomid).
    pub const RESTRICT_DOMID: u32 = ioc(b'E', 6, size_of::<super::RestrictDomid>());
    /// Listens on a port that exists already and is never closed; takes [`Port`](super::Port).
    pub const BIND_STATIC: u32 = ioc(b'E', 7, size_of::<super::Port>());
}

args! {
    /// Argument of [`ioctl::BIND_VIRQ`].
    BindVirq {
        /// Which one ([`crate::xen::virq`]).
        virq: u32,
    }
}

args! {
    /// Argument of [`ioctl::BIND_INTERDOMAIN`].
    BindInterdomain {
        /// The other domain; the upper half counts for nothing.
        remote_domain: u32,
        /// Its port.
        remote_port: u32,
    }
}

args! {
    /// Argument of [`ioctl::BIND_UNBOUND_PORT`].
    BindUnboundPort {
        /// The domain that may connect; the upper half counts for nothing.
        remote_domain: u32,
    }
}

args! {
    /// Argument of [`ioctl::UNBIND`], [`ioctl::NOTIFY`] and [`ioctl::BIND_STATIC`].
    Port {
        /// A port of this domain.
        port: u32,
    }
}

args! {
    /// Argument of [`ioctl::RESTRICT_DOMID`].
    RestrictDomid {
        /// The only domain from then on.
        domid: u16,
    }
}
