// SPDX-License-Identifier: GPL-2.0

//! Commands (`XEN_DOMCTL_*`).

/// Takes [`Createdomain`](super::Createdomain).
pub const CREATEDOMAIN: u32 = 1;
/// Destroys a domain.
pub const DESTROYDOMAIN: u32 = 2;
/// Pauses a domain.
pub const PAUSEDOMAIN: u32 = 3;
/// Unpauses a domain.
pub const UNPAUSEDOMAIN: u32 = 4;
/// Writes [`Getdomaininfo`](super::Getdomaininfo).
pub const GETDOMAININFO: u32 = 5;
/// Takes [`ShadowOp`](super::ShadowOp).
pub const SHADOW_OP: u32 = 10;
/// Takes [`Vcpuaffinity`](super::Vcpuaffinity).
pub const SETVCPUAFFINITY: u32 = 9;
/// Sets the limit of a domain's memory, in KiB, 8 bytes.
pub const MAX_MEM: u32 = 11;
/// Takes [`Vcpucontext`](super::Vcpucontext).
pub const SETVCPUCONTEXT: u32 = 12;
/// Takes [`Vcpucontext`](super::Vcpucontext).
pub const GETVCPUCONTEXT: u32 = 13;
/// Takes [`Getvcpuinfo`](super::Getvcpuinfo).
pub const GETVCPUINFO: u32 = 14;
/// Makes a domain's vCPUs, whose number is repeated in 4 bytes.
pub const MAX_VCPUS: u32 = 15;
/// Takes [`SchedulerOp`](super::SchedulerOp).
pub const SCHEDULER_OP: u32 = 16;
/// Sets a domain's UUID, 16 bytes.
pub const SETDOMAINHANDLE: u32 = 17;
/// Takes [`IrqPermission`](super::IrqPermission).
pub const IRQ_PERMISSION: u32 = 19;
/// Takes [`IomemPermission`](super::IomemPermission).
pub const IOMEM_PERMISSION: u32 = 20;
/// Takes [`IoportPermission`](super::IoportPermission).
pub const IOPORT_PERMISSION: u32 = 21;
/// Fills a page with the code of hypercalls; its gfn, 8 bytes.
pub const HYPERCALL_INIT: u32 = 22;
/// Sets the seconds that a domain's wall clock is ahead, 8 bytes.
pub const SETTIMEOFFSET: u32 = 24;
/// Takes [`Vcpuaffinity`](super::Vcpuaffinity).
pub const GETVCPUAFFINITY: u32 = 25;
/// Lets a domain that has shut down to be suspended run on.
pub const RESUMEDOMAIN: u32 = 27;
/// Takes [`Sendtrigger`](super::Sendtrigger).
pub const SENDTRIGGER: u32 = 28;
/// Sets the port that is notified when a domain has shut down to be suspended, 4 bytes.
pub const SUBSCRIBE: u32 = 29;
/// Takes [`Hvmcontext`](super::Hvmcontext).
pub const GETHVMCONTEXT: u32 = 33;
/// Takes [`Hvmcontext`](super::Hvmcontext).
pub const SETHVMCONTEXT: u32 = 34;
/// Sets the width of a PV domain's addresses, 4 bytes.
pub const SET_ADDRESS_SIZE: u32 = 35;
/// Writes the width of a PV domain's addresses, 4 bytes.
pub const GET_ADDRESS_SIZE: u32 = 36;
/// Takes [`HvmcontextPartial`](super::HvmcontextPartial).
pub const GETHVMCONTEXT_PARTIAL: u32 = 55;
/// Takes [`TscInfo`](super::TscInfo).
pub const GETTSCINFO: u32 = 59;
/// Takes [`TscInfo`](super::TscInfo).
pub const SETTSCINFO: u32 = 60;
/// Takes [`Getpageframeinfo3`](super::Getpageframeinfo3).
pub const GETPAGEFRAMEINFO3: u32 = 61;
/// Sets the NUMA nodes that a domain's memory comes from, a [`Bitmap`](super::Bitmap).
pub const SETNODEAFFINITY: u32 = 68;
/// Writes the NUMA nodes that a domain's memory comes from to a [`Bitmap`](super::Bitmap).
pub const GETNODEAFFINITY: u32 = 69;
/// Takes [`CpuPolicy`](super::CpuPolicy).
pub const GET_CPU_POLICY: u32 = 82;
/// Takes [`CpuPolicy`](super::CpuPolicy).
pub const SET_CPU_POLICY: u32 = 83;
/// Writes the size of a domain's paging pool, in bytes, 8 bytes.
pub const GET_PAGING_MEMPOOL_SIZE: u32 = 85;
/// Sets the size of a domain's paging pool, in bytes, 8 bytes.
pub const SET_PAGING_MEMPOOL_SIZE: u32 = 86;
/// Takes [`SetLlcColors`](super::SetLlcColors).
pub const SET_LLC_COLORS: u32 = 89;
