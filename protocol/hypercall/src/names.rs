// SPDX-License-Identifier: GPL-2.0

//! Names of hypercalls, for tables.

use xen_abi::xen::hypercall as nr;

/// All of them, with the names of Xen's headers (`__HYPERVISOR_…`).
const NAMES: [(u32, &str); 36] = [
    (nr::SET_TRAP_TABLE, "set_trap_table"),
    (nr::MMU_UPDATE, "mmu_update"),
    (nr::SET_GDT, "set_gdt"),
    (nr::STACK_SWITCH, "stack_switch"),
    (nr::SET_CALLBACKS, "set_callbacks"),
    (nr::FPU_TASKSWITCH, "fpu_taskswitch"),
    (nr::PLATFORM_OP, "platform_op"),
    (nr::SET_DEBUGREG, "set_debugreg"),
    (nr::GET_DEBUGREG, "get_debugreg"),
    (nr::UPDATE_DESCRIPTOR, "update_descriptor"),
    (nr::MEMORY_OP, "memory_op"),
    (nr::MULTICALL, "multicall"),
    (nr::UPDATE_VA_MAPPING, "update_va_mapping"),
    (nr::SET_TIMER_OP, "set_timer_op"),
    (nr::XEN_VERSION, "xen_version"),
    (nr::CONSOLE_IO, "console_io"),
    (nr::GRANT_TABLE_OP, "grant_table_op"),
    (nr::VM_ASSIST, "vm_assist"),
    (
        nr::UPDATE_VA_MAPPING_OTHERDOMAIN,
        "update_va_mapping_otherdomain",
    ),
    (nr::IRET, "iret"),
    (nr::VCPU_OP, "vcpu_op"),
    (nr::SET_SEGMENT_BASE, "set_segment_base"),
    (nr::MMUEXT_OP, "mmuext_op"),
    (nr::XSM_OP, "xsm_op"),
    (nr::NMI_OP, "nmi_op"),
    (nr::SCHED_OP, "sched_op"),
    (nr::CALLBACK_OP, "callback_op"),
    (nr::EVENT_CHANNEL_OP, "event_channel_op"),
    (nr::PHYSDEV_OP, "physdev_op"),
    (nr::HVM_OP, "hvm_op"),
    (nr::SYSCTL, "sysctl"),
    (nr::DOMCTL, "domctl"),
    (nr::KEXEC_OP, "kexec_op"),
    (nr::XENPMU_OP, "xenpmu_op"),
    (nr::DM_OP, "dm_op"),
    (nr::MCA, "mca"),
];

/// A hypercall's name, or `?`.
pub fn name(number: u32) -> &'static str {
    let found = NAMES.iter().find(|(known, _)| *known == number);
    found.map_or("?", |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_number_has_one_name() {
        let numbers: BTreeSet<_> = NAMES.iter().map(|(number, _)| number).collect();
        let names: BTreeSet<_> = NAMES.iter().map(|(_, name)| name).collect();
        assert!(numbers.len() == NAMES.len() && names.len() == NAMES.len());
        assert_eq!((name(1), name(26)), ("mmu_update", "mmuext_op"));
        assert_eq!((name(6), name(u32::MAX)), ("?", "?"));
    }
}
