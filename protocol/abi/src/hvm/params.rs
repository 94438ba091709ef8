// SPDX-License-Identifier: GPL-2.0

//! Parameters of a domain, `hvm/params.h`.

/// `HVM_PARAM_CALLBACK_IRQ`.
pub const CALLBACK_IRQ: u32 = 0;

/// `HVM_PARAM_STORE_PFN`.
pub const STORE_PFN: u32 = 1;

/// `HVM_PARAM_STORE_EVTCHN`.
pub const STORE_EVTCHN: u32 = 2;

/// `HVM_PARAM_PAE_ENABLED`.
pub const PAE_ENABLED: u32 = 4;

/// `HVM_PARAM_IOREQ_PFN`.
pub const IOREQ_PFN: u32 = 5;

/// `HVM_PARAM_BUFIOREQ_PFN`.
pub const BUFIOREQ_PFN: u32 = 6;

/// `HVM_PARAM_VIRIDIAN`.
pub const VIRIDIAN: u32 = 9;

/// `HVM_PARAM_TIMER_MODE`.
pub const TIMER_MODE: u32 = 10;

/// `HVM_PARAM_HPET_ENABLED`.
pub const HPET_ENABLED: u32 = 11;

/// `HVM_PARAM_IDENT_PT`.
pub const IDENT_PT: u32 = 12;

/// `HVM_PARAM_DM_DOMAIN`.
pub const DM_DOMAIN: u32 = 13;

/// `HVM_PARAM_ACPI_S_STATE`.
pub const ACPI_S_STATE: u32 = 14;

/// `HVM_PARAM_VM86_TSS`.
pub const VM86_TSS: u32 = 15;

/// `HVM_PARAM_VPT_ALIGN`.
pub const VPT_ALIGN: u32 = 16;

/// `HVM_PARAM_CONSOLE_PFN`.
pub const CONSOLE_PFN: u32 = 17;

/// `HVM_PARAM_CONSOLE_EVTCHN`.
pub const CONSOLE_EVTCHN: u32 = 18;

/// `HVM_PARAM_ACPI_IOPORTS_LOCATION`.
pub const ACPI_IOPORTS_LOCATION: u32 = 19;

/// `HVM_PARAM_MEMORY_EVENT_CR0`.
pub const MEMORY_EVENT_CR0: u32 = 20;

/// `HVM_PARAM_MEMORY_EVENT_CR3`.
pub const MEMORY_EVENT_CR3: u32 = 21;

/// `HVM_PARAM_MEMORY_EVENT_CR4`.
pub const MEMORY_EVENT_CR4: u32 = 22;

/// `HVM_PARAM_MEMORY_EVENT_INT3`.
pub const MEMORY_EVENT_INT3: u32 = 23;

/// `HVM_PARAM_NESTEDHVM`.
pub const NESTEDHVM: u32 = 24;

/// `HVM_PARAM_MEMORY_EVENT_SINGLE_STEP`.
pub const MEMORY_EVENT_SINGLE_STEP: u32 = 25;

/// `HVM_PARAM_BUFIOREQ_EVTCHN`.
pub const BUFIOREQ_EVTCHN: u32 = 26;

/// `HVM_PARAM_MEMORY_EVENT_MSR`.
pub const MEMORY_EVENT_MSR: u32 = 30;

/// `HVM_PARAM_TRIPLE_FAULT_REASON`.
pub const TRIPLE_FAULT_REASON: u32 = 31;

/// `HVM_PARAM_IOREQ_SERVER_PFN`.
pub const IOREQ_SERVER_PFN: u32 = 32;

/// `HVM_PARAM_NR_IOREQ_SERVER_PAGES`.
pub const NR_IOREQ_SERVER_PAGES: u32 = 33;

/// `HVM_PARAM_VM_GENERATION_ID_ADDR`.
pub const VM_GENERATION_ID_ADDR: u32 = 34;

/// `HVM_PARAM_ALTP2M`.
pub const ALTP2M: u32 = 35;

/// `HVM_PARAM_X87_FIP_WIDTH`.
pub const X87_FIP_WIDTH: u32 = 36;

/// `HVM_PARAM_VM86_TSS_SIZED`.
pub const VM86_TSS_SIZED: u32 = 37;

/// `HVM_PARAM_MCA_CAP`.
pub const MCA_CAP: u32 = 38;

/// Number of parameters (`HVM_NR_PARAMS`).
pub const COUNT: u32 = 39;

/// First bit of the kind of callback in [`CALLBACK_IRQ`].
pub const CALLBACK_TYPE_SHIFT: u32 = 56;

/// Kinds of callbacks (`HVM_PARAM_CALLBACK_TYPE_*`).
pub mod callback {
    /// An interrupt line; in the value's low bits.
    pub const GSI: u64 = 0;
    /// A PCI device's pin.
    pub const PCI_INTX: u64 = 1;
    /// A vector; in the value's low eight bits.
    pub const VECTOR: u64 = 2;
}
