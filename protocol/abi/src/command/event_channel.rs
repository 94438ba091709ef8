// SPDX-License-Identifier: GPL-2.0

//! Commands of `event_channel_op`.

use crate::event_channel::{self as args, op};

commands! {
    EVENT_CHANNEL_OP;
    /// Makes a port to which another domain may bind.
    AllocUnbound = ALLOC_UNBOUND(args::AllocUnbound) InOut;
    /// Binds to an unbound port of another domain.
    BindInterdomain = BIND_INTERDOMAIN(args::BindInterdomain) InOut;
    /// Binds a virq to a port.
    BindVirq = BIND_VIRQ(args::BindVirq) InOut;
    /// Binds a pirq to a port.
    BindPirq = BIND_PIRQ(args::BindPirq) InOut;
    /// Makes a port for IPIs to a vCPU.
    BindIpi = BIND_IPI(args::BindIpi) InOut;
    /// Closes a port.
    Close = CLOSE(args::Port) In;
    /// Sends an event.
    Send = SEND(args::Port) In;
    /// Asks what a port is bound to.
    Status = STATUS(args::Status) InOut;
    /// Binds a port's notifications to a vCPU.
    BindVcpu = BIND_VCPU(args::BindVcpu) In;
    /// Unmasks a port, and delivers what is pending on it.
    Unmask = UNMASK(args::Port) In;
    /// Closes all ports of a domain.
    Reset = RESET(args::Reset) In;
    /// Sets a vCPU's control block of the FIFO ABI.
    InitControl = INIT_CONTROL(args::InitControl) InOut;
    /// Adds a page to the event array of the FIFO ABI.
    ExpandArray = EXPAND_ARRAY(args::ExpandArray) In;
    /// Sets a port's priority in the FIFO ABI.
    SetPriority = SET_PRIORITY(args::SetPriority) In;
}

// A control block and a page of the event array are shared from then on.
plain_commands! {
    AllocUnbound,
    BindInterdomain,
    BindVirq,
    BindPirq,
    BindIpi,
    Close,
    Send,
    Status,
    BindVcpu,
    Unmask,
    Reset,
    SetPriority,
}
