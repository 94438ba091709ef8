// SPDX-License-Identifier: GPL-2.0

//! Event channels, `event_channel.h`.

use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Commands of the `event_channel_op` hypercall (`EVTCHNOP_*`).
pub mod op {
    /// Connects to an unbound port of another domain; takes [`BindInterdomain`](super::BindInterdomain).
    pub const BIND_INTERDOMAIN: u32 = 0;
    /// Takes [`BindVirq`](super::BindVirq).
    pub const BIND_VIRQ: u32 = 1;
    /// Takes [`BindPirq`](super::BindPirq).
    pub const BIND_PIRQ: u32 = 2;
    /// Takes [`Port`](super::Port).
    pub const CLOSE: u32 = 3;
    /// Takes [`Port`](super::Port).
    pub const SEND: u32 = 4;
    /// Takes [`Status`](super::Status).
    pub const STATUS: u32 = 5;
    /// Makes a port another domain may connect to; takes [`AllocUnbound`](super::AllocUnbound).
    pub const ALLOC_UNBOUND: u32 = 6;
    /// Takes [`BindIpi`](super::BindIpi).
    pub const BIND_IPI: u32 = 7;
    /// Takes [`BindVcpu`](super::BindVcpu).
    pub const BIND_VCPU: u32 = 8;
    /// Takes [`Port`](super::Port).
    pub const UNMASK: u32 = 9;
    /// Closes all of a domain's ports; takes [`Reset`](super::Reset).
    pub const RESET: u32 = 10;
    /// Switches to the FIFO ABI; takes [`InitControl`](super::InitControl).
    pub const INIT_CONTROL: u32 = 11;
    /// Takes [`ExpandArray`](super::ExpandArray).
    pub const EXPAND_ARRAY: u32 = 12;
    /// Takes [`SetPriority`](super::SetPriority).
    pub const SET_PRIORITY: u32 = 13;
}

/// What a port is bound to (`EVTCHNSTAT_*`), in [`Status::status`].
pub mod status {
    /// Not in use.
    pub const CLOSED: u32 = 0;
    /// Waits for a remote domain to connect.
    pub const UNBOUND: u32 = 1;
    /// Connected to a port of a remote domain.
    pub const INTERDOMAIN: u32 = 2;
    /// Bound to a physical interrupt.
    pub const PIRQ: u32 = 3;
    /// Bound to a virtual interrupt.
    pub const VIRQ: u32 = 4;
    /// Bound to an inter-processor interrupt.
    pub const IPI: u32 = 5;
}

/// Flag of [`BindPirq::flags`]: the interrupt line may be shared (`BIND_PIRQ__WILL_SHARE`).
pub const BIND_PIRQ_WILL_SHARE: u32 = 1;

/// Ports of the 2-level ABI on a 64-bit guest (`EVTCHN_2L_NR_CHANNELS`).
pub const NR_CHANNELS_2L: u32 = 4096;

/// The FIFO ABI (`EVTCHN_FIFO_*`).
pub mod fifo {
    /// Highest priority.
    pub const PRIORITY_MAX: u32 = 0;
    /// Priority of a new port.
    pub const PRIORITY_DEFAULT: u32 = 7;
    /// Lowest priority.
    pub const PRIORITY_MIN: u32 = 15;
    /// Number of queues, one a priority.
    pub const MAX_QUEUES: usize = 16;
    /// Bit of an event word: pending.
    pub const PENDING: u32 = 31;
    /// Bit of an event word: masked.
    pub const MASKED: u32 = 30;
    /// Bit of an event word: on a queue.
    pub const LINKED: u32 = 29;
    /// Bit of an event word: being linked or unmasked.
    pub const BUSY: u32 = 28;
    /// Width of an event word's link, the next port of the queue.
    pub const LINK_BITS: u32 = 17;
    /// Mask of an event word's link.
    pub const LINK_MASK: u32 = (1 << LINK_BITS) - 1;
    /// Number of ports.
    pub const NR_CHANNELS: u32 = 1 << LINK_BITS;
}

args! {
    /// Argument of [`op::ALLOC_UNBOUND`].
    AllocUnbound {
        /// In: the domain that gets the port, often `DOMID_SELF`.
        dom: u16,
        /// In: the domain that may connect to it.
        remote_dom: u16,
        /// Out.
        port: u32,
    }
}

args! {
    /// Argument of [`op::BIND_INTERDOMAIN`].
    BindInterdomain {
        /// In.
        remote_dom: u16,
        /// Zero.
        pad: u16,
        /// In.
        remote_port: u32,
        /// Out.
        local_port: u32,
    }
}

args! {
    /// Argument of [`op::BIND_VIRQ`].
    BindVirq {
        /// In: see [`crate::xen::virq`].
        virq: u32,
        /// In: zero for a global one.
        vcpu: u32,
        /// Out.
        port: u32,
    }
}

args! {
    /// Argument of [`op::BIND_PIRQ`].
    BindPirq {
        /// In.
        pirq: u32,
        /// In: zero or [`BIND_PIRQ_WILL_SHARE`].
        flags: u32,
        /// Out.
        port: u32,
    }
}

args! {
    /// Argument of [`op::BIND_IPI`].
    BindIpi {
        /// In.
        vcpu: u32,
        /// Out.
        port: u32,
    }
}

args! {
    /// Argument of [`op::CLOSE`], [`op::SEND`] and [`op::UNMASK`].
    Port {
        /// In.
        port: u32,
    }
}

args! {
    /// Argument of [`op::STATUS`].
    Status {
        /// In.
        dom: u16,
        /// Zero.
        pad: u16,
        /// In.
        port: u32,
        /// Out: see [`status`].
        status: u32,
        /// Out: the vCPU the port notifies.
        vcpu: u32,
        /// Out: the remote domain in the low half if the port is unbound or interdomain, else the
        /// number of the physical or virtual interrupt.
        detail: u32,
        /// Out: the remote port if the port is interdomain.
        remote_port: u32,
    }
}

args! {
    /// Argument of [`op::BIND_VCPU`].
    BindVcpu {
        /// In.
        port: u32,
        /// In.
        vcpu: u32,
    }
}

args! {
    /// Argument of [`op::RESET`].
    Reset {
        /// In.
        dom: u16,
    }
}

args! {
    /// Argument of [`op::INIT_CONTROL`].
    InitControl {
        /// In: frame of the [`FifoControlBlock`].
        control_gfn: u64,
        /// In: its offset in the frame, in bytes.
        offset: u32,
        /// In: the vCPU it is for.
        vcpu: u32,
        /// Out: width of a link.
        link_bits: u8,
        /// Zero.
        pad: [u8; 7],
    }
}

args! {
    /// Argument of [`op::EXPAND_ARRAY`].
    ExpandArray {
        /// In: frame that is added to the event array.
        array_gfn: u64,
    }
}

args! {
    /// Argument of [`op::SET_PRIORITY`].
    SetPriority {
        /// In.
        port: u32,
        /// In: [`fifo::PRIORITY_MAX`] to [`fifo::PRIORITY_MIN`].
        priority: u32,
    }
}

args! {
    /// A vCPU's control block of the FIFO ABI, shared with Xen.
    FifoControlBlock {
        /// Bit map of the priorities whose queues are not empty.
        ready: u32,
        /// Reserved.
        reserved: u32,
        /// Head of each priority's queue.
        head: [u32; fifo::MAX_QUEUES],
    }
}
