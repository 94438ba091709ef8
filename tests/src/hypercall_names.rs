// SPDX-License-Identifier: GPL-2.0

//! What hypercalls, their commands and their errors are called, and where a call says its command. Numbers and names are
//! the crate `xen_abi`'s, which are compared with Xen's headers.

use xen_abi::memory::EXTENT_SHIFT;
use xen_abi::xen::hypercall as nr;
use xen_hypercall::names::name;

/// Numbers and what they are called.
type Names = &'static [(u32, &'static str)];

/// Constants of a module under their own names.
macro_rules! names {
    ($($module:ident)::+ { $($name:ident)* }) => {{
        use xen_abi::$($module)::+ as module;
        &[$((module::$name as u32, stringify!($name))),*]
    }};
}

/// Where a hypercall's subcommand is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandPlace {
    /// It has none.
    Nowhere,
    /// In these bits of its first argument, RDI.
    Register(u32),
    /// In the first four bytes that its first argument points to.
    Memory,
}

/// A hypercall and its subcommands.
struct Family {
    number: u32,
    place: CommandPlace,
    commands: Names,
}

const fn family(number: u32, place: CommandPlace, commands: Names) -> Family {
    Family {
        number,
        place,
        commands,
    }
}

const WHOLE: CommandPlace = CommandPlace::Register(u32::MAX);

/// Those that a hardware-assisted guest may make.
static FAMILIES: &[Family] = &[
    family(
        nr::PLATFORM_OP,
        CommandPlace::Memory,
        names!(platform::op {
            SETTIME32 SETTIME64 READ_MEMTYPE MICROCODE_UPDATE GET_CPU_VERSION EFI_RUNTIME_CALL FIRMWARE_INFO
            ENTER_ACPI_SLEEP CHANGE_FREQ GETIDLETIME SET_PROCESSOR_PMINFO GET_CPUINFO CPU_ONLINE CPU_OFFLINE
            CORE_PARKING RESOURCE_OP GET_SYMBOL GET_DOM0_CONSOLE GET_UCODE_REVISION
        }),
    ),
    family(
        nr::MEMORY_OP,
        // The bits above say where a call goes on.
        CommandPlace::Register((1 << EXTENT_SHIFT) - 1),
        names!(memory::op {
            INCREASE_RESERVATION DECREASE_RESERVATION MAXIMUM_RAM_PAGE CURRENT_RESERVATION MAXIMUM_RESERVATION
            POPULATE_PHYSMAP ADD_TO_PHYSMAP MEMORY_MAP MACHINE_MEMORY_MAP EXCHANGE MACHPHYS_MAPPING SET_MEMORY_MAP
            MAXIMUM_GPFN REMOVE_FROM_PHYSMAP SET_POD_TARGET GET_POD_TARGET GET_SHARING_FREED_PAGES
            GET_SHARING_SHARED_PAGES ADD_TO_PHYSMAP_BATCH CLAIM_PAGES GET_VNUMAINFO RESERVED_DEVICE_MEMORY_MAP
            ACQUIRE_RESOURCE
        }),
    ),
    family(nr::MULTICALL, CommandPlace::Nowhere, &[]),
    family(nr::SET_TIMER_OP, CommandPlace::Nowhere, &[]),
    family(
        nr::XEN_VERSION,
        WHOLE,
        names!(version::op {
            VERSION EXTRAVERSION COMPILE_INFO CAPABILITIES CHANGESET PLATFORM_PARAMETERS GET_FEATURES PAGESIZE
            GUEST_HANDLE COMMANDLINE BUILD_ID EXTRAVERSION2 CAPABILITIES2 CHANGESET2 COMMANDLINE2
        }),
    ),
    family(nr::CONSOLE_IO, WHOLE, &[(0, "WRITE"), (1, "READ")]),
    family(
        nr::GRANT_TABLE_OP,
        WHOLE,
        names!(grant_table::op {
            MAP_GRANT_REF UNMAP_GRANT_REF SETUP_TABLE DUMP_TABLE TRANSFER COPY QUERY_SIZE UNMAP_AND_REPLACE
            SET_VERSION GET_STATUS_FRAMES GET_VERSION SWAP_GRANT_REF CACHE_FLUSH
        }),
    ),
    family(nr::VM_ASSIST, WHOLE, &[]),
    family(
        nr::VCPU_OP,
        WHOLE,
        names!(vcpu::op {
            INITIALISE UP DOWN IS_UP GET_RUNSTATE_INFO REGISTER_RUNSTATE_MEMORY_AREA SET_PERIODIC_TIMER
            STOP_PERIODIC_TIMER SET_SINGLESHOT_TIMER STOP_SINGLESHOT_TIMER REGISTER_VCPU_INFO SEND_NMI GET_PHYSID
            REGISTER_VCPU_TIME_MEMORY_AREA REGISTER_RUNSTATE_PHYS_AREA REGISTER_VCPU_TIME_PHYS_AREA
        }),
    ),
    family(nr::XSM_OP, CommandPlace::Memory, &[]),
    family(
        nr::SCHED_OP,
        WHOLE,
        names!(sched::op {
            YIELD BLOCK SHUTDOWN POLL REMOTE_SHUTDOWN SHUTDOWN_CODE WATCHDOG PIN_OVERRIDE
        }),
    ),
    family(
        nr::EVENT_CHANNEL_OP,
        WHOLE,
        names!(event_channel::op {
            BIND_INTERDOMAIN BIND_VIRQ BIND_PIRQ CLOSE SEND STATUS ALLOC_UNBOUND BIND_IPI BIND_VCPU UNMASK RESET
            INIT_CONTROL EXPAND_ARRAY SET_PRIORITY
        }),
    ),
    family(
        nr::PHYSDEV_OP,
        WHOLE,
        names!(physdev::op {
            IRQ_UNMASK_NOTIFY IRQ_STATUS_QUERY SET_IOPL SET_IOBITMAP APIC_READ APIC_WRITE ALLOC_IRQ_VECTOR
            FREE_IRQ_VECTOR EOI MAP_PIRQ UNMAP_PIRQ MANAGE_PCI_ADD MANAGE_PCI_REMOVE PIRQ_EOI_GMFN_V1 RESTORE_MSI
            MANAGE_PCI_ADD_EXT SETUP_GSI GET_NR_PIRQS GET_FREE_PIRQ PCI_MMCFG_RESERVED PCI_DEVICE_ADD
            PCI_DEVICE_REMOVE RESTORE_MSI_EXT PIRQ_EOI_GMFN_V2 DBGP_OP PREPARE_MSIX RELEASE_MSIX PCI_DEVICE_RESET
        }),
    ),
    family(
        nr::HVM_OP,
        WHOLE,
        names!(hvm::hvm_op::op {
            SET_PARAM GET_PARAM FLUSH_TLBS PAGETABLE_DYING GET_TIME XENTRACE GET_MEM_TYPE SET_EVTCHN_UPCALL_VECTOR
            GUEST_REQUEST_VM_EVENT ALTP2M
        }),
    ),
    family(
        nr::SYSCTL,
        CommandPlace::Memory,
        names!(sysctl::op {
            READCONSOLE PHYSINFO SCHED_ID GETDOMAININFOLIST DEBUG_KEYS GETCPUINFO AVAILHEAP CPUTOPOINFO NUMAINFO
            CPUPOOL_OP SCHEDULER_OP PCITOPOINFO GET_CPU_LEVELLING_CAPS GET_CPU_FEATURESET GET_CPU_POLICY
        }),
    ),
    family(
        nr::DOMCTL,
        CommandPlace::Memory,
        names!(domctl::op {
            CREATEDOMAIN DESTROYDOMAIN PAUSEDOMAIN UNPAUSEDOMAIN GETDOMAININFO SHADOW_OP SETVCPUAFFINITY MAX_MEM
            SETVCPUCONTEXT GETVCPUCONTEXT GETVCPUINFO MAX_VCPUS SCHEDULER_OP SETDOMAINHANDLE IRQ_PERMISSION
            IOMEM_PERMISSION IOPORT_PERMISSION HYPERCALL_INIT SETTIMEOFFSET GETVCPUAFFINITY RESUMEDOMAIN SENDTRIGGER
            SUBSCRIBE GETHVMCONTEXT SETHVMCONTEXT SET_ADDRESS_SIZE GET_ADDRESS_SIZE GETHVMCONTEXT_PARTIAL GETTSCINFO
            SETTSCINFO GETPAGEFRAMEINFO3 SETNODEAFFINITY GETNODEAFFINITY GET_CPU_POLICY SET_CPU_POLICY
            GET_PAGING_MEMPOOL_SIZE SET_PAGING_MEMPOOL_SIZE SET_LLC_COLORS
        }),
    ),
    family(nr::KEXEC_OP, WHOLE, &[]),
    family(nr::XENPMU_OP, WHOLE, &[]),
    family(nr::DM_OP, CommandPlace::Nowhere, &[]),
    family(nr::MCA, CommandPlace::Memory, &[]),
];

/// Errors that hypercalls answer by.
const ERRORS: Names = names!(errno {
    EPERM ENOENT ESRCH EIO ENXIO E2BIG EBADF EAGAIN ENOMEM EACCES EFAULT EBUSY EEXIST EXDEV ENODEV EINVAL ENOSPC
    ERANGE ENOSYS ENODATA EOPNOTSUPP
});

fn find(number: u64) -> Option<&'static Family> {
    let mut families = FAMILIES.iter();
    families.find(|family| u64::from(family.number) == number)
}

fn named(names: Names, number: u32) -> Option<&'static str> {
    let mut names = names.iter();
    names
        .find(|(other, _)| *other == number)
        .map(|(_, name)| *name)
}

/// Where a hypercall says its command. One that is not known has none.
pub fn place(number: u64) -> CommandPlace {
    find(number).map_or(CommandPlace::Nowhere, |family| family.place)
}

/// What a hypercall is called, with its command if it has one; by number what has no name.
pub fn call(number: u64, command: Option<u32>) -> String {
    let Some(family) = find(number) else {
        return format!("hypercall {number}");
    };
    let Some(command) = command else {
        return name(family.number).to_owned();
    };
    let family_name = name(family.number);
    match named(family.commands, command) {
        Some(command) => format!("{family_name}.{}", command.to_lowercase()),
        None => format!("{family_name}.{command}"),
    }
}

/// What a hypercall is called whose command is given as 0 if it has none.
pub fn counted(number: u32, command: u32) -> String {
    let number = number.into();
    let has_command = place(number) != CommandPlace::Nowhere;
    call(number, has_command.then_some(command))
}

/// What an error is called; it is positive.
pub fn error(number: u32) -> String {
    named(ERRORS, number).map_or_else(|| format!("error {number}"), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_xens_and_numbers_where_there_are_none() {
        assert_eq!(call(12, Some(7)), "memory_op.add_to_physmap");
        assert_eq!(call(34, Some(23)), "hvm_op.set_evtchn_upcall_vector");
        assert_eq!(call(13, None), "multicall");
        assert_eq!(call(7, Some(999)), "platform_op.999");
        assert_eq!(call(55, Some(0)), "hypercall 55");
        assert_eq!(
            (error(38), error(4000)),
            ("ENOSYS".into(), "error 4000".into())
        );
        assert_eq!(place(12), CommandPlace::Register(63));
        assert_eq!(place(7), CommandPlace::Memory);
        assert_eq!(place(1 << 40), CommandPlace::Nowhere);
        assert_eq!(counted(13, 0), "multicall");
        assert_eq!(counted(36, 1), "domctl.createdomain");
    }

    #[test]
    fn nothing_has_two_names() {
        for (index, family) in FAMILIES.iter().enumerate() {
            assert!(
                FAMILIES[..index]
                    .iter()
                    .all(|other| other.number != family.number)
            );
            for (index, (number, name)) in family.commands.iter().enumerate() {
                let before = &family.commands[..index];
                assert!(before.iter().all(|(other, _)| other != number), "{name}");
            }
        }
    }
}
