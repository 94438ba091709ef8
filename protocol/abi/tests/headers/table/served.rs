// SPDX-License-Identifier: GPL-2.0

//! What a hypervisor serves: hypercalls' arguments and numbers that a guest's drivers never see. Only Xen's headers are
//! asked, since Linux's copies have what Linux uses.

use super::{c, constants::constants, structs::structure, Entry, InC};
use zerocopy::FromZeros;

pub fn entries() -> Vec<Entry> {
    let mut all = Vec::new();
    constants_of(&mut all);
    structs_of(&mut all);
    all
}

fn constants_of(all: &mut Vec<Entry>) {
    constants!(
        all,
        version::op {
            VERSION: (xen "XENVER_version"),
            EXTRAVERSION: (xen "XENVER_extraversion"),
            COMPILE_INFO: (xen "XENVER_compile_info"),
            CAPABILITIES: (xen "XENVER_capabilities"),
            CHANGESET: (xen "XENVER_changeset"),
            PLATFORM_PARAMETERS: (xen "XENVER_platform_parameters"),
            GET_FEATURES: (xen "XENVER_get_features"),
            PAGESIZE: (xen "XENVER_pagesize"),
            GUEST_HANDLE: (xen "XENVER_guest_handle"),
            COMMANDLINE: (xen "XENVER_commandline"),
            BUILD_ID: (xen "XENVER_build_id"),
            EXTRAVERSION2: (xen "XENVER_extraversion2"),
            CAPABILITIES2: (xen "XENVER_capabilities2"),
            CHANGESET2: (xen "XENVER_changeset2"),
            COMMANDLINE2: (xen "XENVER_commandline2"),
        }
    );
    constants!(
        all,
        version {
            EXTRAVERSION_LEN: (xen "sizeof(xen_extraversion_t)"),
        }
    );
    constants!(
        all,
        version {
            CAPABILITIES_LEN: (xen "sizeof(xen_capabilities_info_t)"),
        }
    );
    constants!(
        all,
        version {
            CHANGESET_LEN: (xen "sizeof(xen_changeset_info_t)"),
        }
    );
    constants!(
        all,
        version {
            COMMANDLINE_LEN: (xen "sizeof(xen_commandline_t)"),
        }
    );
    constants!(
        all,
        vcpu::op {
            INITIALISE: (xen "VCPUOP_initialise"),
            UP: (xen "VCPUOP_up"),
            DOWN: (xen "VCPUOP_down"),
            IS_UP: (xen "VCPUOP_is_up"),
            GET_RUNSTATE_INFO: (xen "VCPUOP_get_runstate_info"),
            REGISTER_RUNSTATE_MEMORY_AREA: (xen "VCPUOP_register_runstate_memory_area"),
            SET_PERIODIC_TIMER: (xen "VCPUOP_set_periodic_timer"),
            STOP_PERIODIC_TIMER: (xen "VCPUOP_stop_periodic_timer"),
            SET_SINGLESHOT_TIMER: (xen "VCPUOP_set_singleshot_timer"),
            STOP_SINGLESHOT_TIMER: (xen "VCPUOP_stop_singleshot_timer"),
            REGISTER_VCPU_INFO: (xen "VCPUOP_register_vcpu_info"),
            SEND_NMI: (xen "VCPUOP_send_nmi"),
            GET_PHYSID: (xen "VCPUOP_get_physid"),
            REGISTER_VCPU_TIME_MEMORY_AREA: (xen "VCPUOP_register_vcpu_time_memory_area"),
            REGISTER_RUNSTATE_PHYS_AREA: (xen "VCPUOP_register_runstate_phys_area"),
            REGISTER_VCPU_TIME_PHYS_AREA: (xen "VCPUOP_register_vcpu_time_phys_area"),
        }
    );
    constants!(
        all,
        vcpu::runstate {
            RUNNING: (xen "RUNSTATE_running"),
            RUNNABLE: (xen "RUNSTATE_runnable"),
            BLOCKED: (xen "RUNSTATE_blocked"),
            OFFLINE: (xen "RUNSTATE_offline"),
        }
    );
    constants!(
        all,
        vcpu {
            RUNSTATE_UPDATE_BIT: (xen "__builtin_ctzll(XEN_RUNSTATE_UPDATE)"),
        }
    );
    constants!(
        all,
        vcpu {
            SSHOTTMR_FUTURE: (xen "VCPU_SSHOTTMR_future"),
        }
    );
    constants!(
        all,
        vcpu {
            TSC_STABLE: (xen "XEN_PVCLOCK_TSC_STABLE_BIT"),
        }
    );
    constants!(
        all,
        sched::op {
            YIELD: (xen "SCHEDOP_yield"),
            BLOCK: (xen "SCHEDOP_block"),
            SHUTDOWN: (xen "SCHEDOP_shutdown"),
            POLL: (xen "SCHEDOP_poll"),
            REMOTE_SHUTDOWN: (xen "SCHEDOP_remote_shutdown"),
            SHUTDOWN_CODE: (xen "SCHEDOP_shutdown_code"),
            WATCHDOG: (xen "SCHEDOP_watchdog"),
            PIN_OVERRIDE: (xen "SCHEDOP_pin_override"),
        }
    );
    constants!(
        all,
        sched::shutdown {
            POWEROFF: (xen "SHUTDOWN_poweroff"),
            REBOOT: (xen "SHUTDOWN_reboot"),
            SUSPEND: (xen "SHUTDOWN_suspend"),
            CRASH: (xen "SHUTDOWN_crash"),
            WATCHDOG: (xen "SHUTDOWN_watchdog"),
            SOFT_RESET: (xen "SHUTDOWN_soft_reset"),
        }
    );
    constants!(
        all,
        hvm::hvm_op::op {
            SET_PARAM: (xen "HVMOP_set_param"),
            GET_PARAM: (xen "HVMOP_get_param"),
            FLUSH_TLBS: (xen "HVMOP_flush_tlbs"),
            PAGETABLE_DYING: (xen "HVMOP_pagetable_dying"),
            GET_TIME: (xen "HVMOP_get_time"),
            XENTRACE: (xen "HVMOP_xentrace"),
            GET_MEM_TYPE: (xen "HVMOP_get_mem_type"),
            SET_EVTCHN_UPCALL_VECTOR: (xen "HVMOP_set_evtchn_upcall_vector"),
            GUEST_REQUEST_VM_EVENT: (xen "HVMOP_guest_request_vm_event"),
            ALTP2M: (xen "HVMOP_altp2m"),
        }
    );
    constants!(
        all,
        hvm::hvm_op::mem_type {
            RAM_RW: (xen "HVMMEM_ram_rw"),
            RAM_RO: (xen "HVMMEM_ram_ro"),
            MMIO_DM: (xen "HVMMEM_mmio_dm"),
        }
    );
    constants!(
        all,
        hvm::params {
            CALLBACK_IRQ: (xen "HVM_PARAM_CALLBACK_IRQ"),
        }
    );
    constants!(
        all,
        hvm::params {
            STORE_PFN: (xen "HVM_PARAM_STORE_PFN"),
        }
    );
    constants!(
        all,
        hvm::params {
            STORE_EVTCHN: (xen "HVM_PARAM_STORE_EVTCHN"),
        }
    );
    constants!(
        all,
        hvm::params {
            PAE_ENABLED: (xen "HVM_PARAM_PAE_ENABLED"),
        }
    );
    constants!(
        all,
        hvm::params {
            IOREQ_PFN: (xen "HVM_PARAM_IOREQ_PFN"),
        }
    );
    constants!(
        all,
        hvm::params {
            BUFIOREQ_PFN: (xen "HVM_PARAM_BUFIOREQ_PFN"),
        }
    );
    constants!(
        all,
        hvm::params {
            VIRIDIAN: (xen "HVM_PARAM_VIRIDIAN"),
        }
    );
    constants!(
        all,
        hvm::params {
            TIMER_MODE: (xen "HVM_PARAM_TIMER_MODE"),
        }
    );
    constants!(
        all,
        hvm::params {
            HPET_ENABLED: (xen "HVM_PARAM_HPET_ENABLED"),
        }
    );
    constants!(
        all,
        hvm::params {
            IDENT_PT: (xen "HVM_PARAM_IDENT_PT"),
        }
    );
    constants!(
        all,
        hvm::params {
            DM_DOMAIN: (xen "HVM_PARAM_DM_DOMAIN"),
        }
    );
    constants!(
        all,
        hvm::params {
            ACPI_S_STATE: (xen "HVM_PARAM_ACPI_S_STATE"),
        }
    );
    constants!(
        all,
        hvm::params {
            VM86_TSS: (xen "HVM_PARAM_VM86_TSS"),
        }
    );
    constants!(
        all,
        hvm::params {
            VPT_ALIGN: (xen "HVM_PARAM_VPT_ALIGN"),
        }
    );
    constants!(
        all,
        hvm::params {
            CONSOLE_PFN: (xen "HVM_PARAM_CONSOLE_PFN"),
        }
    );
    constants!(
        all,
        hvm::params {
            CONSOLE_EVTCHN: (xen "HVM_PARAM_CONSOLE_EVTCHN"),
        }
    );
    constants!(
        all,
        hvm::params {
            ACPI_IOPORTS_LOCATION: (xen "HVM_PARAM_ACPI_IOPORTS_LOCATION"),
        }
    );
    constants!(
        all,
        hvm::params {
            MEMORY_EVENT_CR0: (xen "HVM_PARAM_MEMORY_EVENT_CR0"),
        }
    );
    constants!(
        all,
        hvm::params {
            MEMORY_EVENT_CR3: (xen "HVM_PARAM_MEMORY_EVENT_CR3"),
        }
    );
    constants!(
        all,
        hvm::params {
            MEMORY_EVENT_CR4: (xen "HVM_PARAM_MEMORY_EVENT_CR4"),
        }
    );
    constants!(
        all,
        hvm::params {
            MEMORY_EVENT_INT3: (xen "HVM_PARAM_MEMORY_EVENT_INT3"),
        }
    );
    constants!(
        all,
        hvm::params {
            NESTEDHVM: (xen "HVM_PARAM_NESTEDHVM"),
        }
    );
    constants!(
        all,
        hvm::params {
            MEMORY_EVENT_SINGLE_STEP: (xen "HVM_PARAM_MEMORY_EVENT_SINGLE_STEP"),
        }
    );
    constants!(
        all,
        hvm::params {
            BUFIOREQ_EVTCHN: (xen "HVM_PARAM_BUFIOREQ_EVTCHN"),
        }
    );
    constants!(
        all,
        hvm::params {
            MEMORY_EVENT_MSR: (xen "HVM_PARAM_MEMORY_EVENT_MSR"),
        }
    );
    constants!(
        all,
        hvm::params {
            TRIPLE_FAULT_REASON: (xen "HVM_PARAM_TRIPLE_FAULT_REASON"),
        }
    );
    constants!(
        all,
        hvm::params {
            IOREQ_SERVER_PFN: (xen "HVM_PARAM_IOREQ_SERVER_PFN"),
        }
    );
    constants!(
        all,
        hvm::params {
            NR_IOREQ_SERVER_PAGES: (xen "HVM_PARAM_NR_IOREQ_SERVER_PAGES"),
        }
    );
    constants!(
        all,
        hvm::params {
            VM_GENERATION_ID_ADDR: (xen "HVM_PARAM_VM_GENERATION_ID_ADDR"),
        }
    );
    constants!(
        all,
        hvm::params {
            ALTP2M: (xen "HVM_PARAM_ALTP2M"),
        }
    );
    constants!(
        all,
        hvm::params {
            X87_FIP_WIDTH: (xen "HVM_PARAM_X87_FIP_WIDTH"),
        }
    );
    constants!(
        all,
        hvm::params {
            VM86_TSS_SIZED: (xen "HVM_PARAM_VM86_TSS_SIZED"),
        }
    );
    constants!(
        all,
        hvm::params {
            MCA_CAP: (xen "HVM_PARAM_MCA_CAP"),
        }
    );
    constants!(
        all,
        hvm::params {
            COUNT: (xen "HVM_NR_PARAMS"),
        }
    );
    constants!(
        all,
        hvm::params {
            CALLBACK_TYPE_SHIFT: (xen "__builtin_ctzll(HVM_PARAM_CALLBACK_IRQ_TYPE_MASK)"),
        }
    );
    constants!(
        all,
        hvm::params::callback {
            GSI: (xen "HVM_PARAM_CALLBACK_TYPE_GSI"),
            PCI_INTX: (xen "HVM_PARAM_CALLBACK_TYPE_PCI_INTX"),
            VECTOR: (xen "HVM_PARAM_CALLBACK_TYPE_VECTOR"),
        }
    );
    constants!(
        all,
        hvm::vcpu::mode {
            X86_32: (xen "VCPU_HVM_MODE_32B"),
            X86_64: (xen "VCPU_HVM_MODE_64B"),
        }
    );
    constants!(
        all,
        hvm::start_info {
            MAGIC: (xen "XEN_HVM_START_MAGIC_VALUE"),
        }
    );
    constants!(
        all,
        hvm::start_info::memory {
            RAM: (xen "XEN_HVM_MEMMAP_TYPE_RAM"),
            RESERVED: (xen "XEN_HVM_MEMMAP_TYPE_RESERVED"),
            ACPI: (xen "XEN_HVM_MEMMAP_TYPE_ACPI"),
            NVS: (xen "XEN_HVM_MEMMAP_TYPE_NVS"),
            UNUSABLE: (xen "XEN_HVM_MEMMAP_TYPE_UNUSABLE"),
            DISABLED: (xen "XEN_HVM_MEMMAP_TYPE_DISABLED"),
            PMEM: (xen "XEN_HVM_MEMMAP_TYPE_PMEM"),
        }
    );
    constants!(
        all,
        hvm::start_info::flag {
            PRIVILEGED: (xen "SIF_PRIVILEGED"),
            INITDOMAIN: (xen "SIF_INITDOMAIN"),
        }
    );
    constants!(
        all,
        cpuid {
            FIRST_LEAF: (xen "XEN_CPUID_FIRST_LEAF"),
        }
    );
    constants!(
        all,
        cpuid {
            MAX_LEAVES: (xen "XEN_CPUID_MAX_NUM_LEAVES"),
        }
    );
    constants!(
        all,
        cpuid {
            SIGNATURE_EBX: (xen "XEN_CPUID_SIGNATURE_EBX"),
        }
    );
    constants!(
        all,
        cpuid {
            SIGNATURE_ECX: (xen "XEN_CPUID_SIGNATURE_ECX"),
        }
    );
    constants!(
        all,
        cpuid {
            SIGNATURE_EDX: (xen "XEN_CPUID_SIGNATURE_EDX"),
        }
    );
    constants!(
        all,
        cpuid::hvm {
            APIC_ACCESS_VIRT: (xen "XEN_HVM_CPUID_APIC_ACCESS_VIRT"),
            X2APIC_VIRT: (xen "XEN_HVM_CPUID_X2APIC_VIRT"),
            IOMMU_MAPPINGS: (xen "XEN_HVM_CPUID_IOMMU_MAPPINGS"),
            VCPU_ID_PRESENT: (xen "XEN_HVM_CPUID_VCPU_ID_PRESENT"),
            DOMID_PRESENT: (xen "XEN_HVM_CPUID_DOMID_PRESENT"),
            EXT_DEST_ID: (xen "XEN_HVM_CPUID_EXT_DEST_ID"),
            UPCALL_VECTOR: (xen "XEN_HVM_CPUID_UPCALL_VECTOR"),
        }
    );
    constants!(
        all,
        cpuid::tsc {
            TSC_EMULATED: (xen "XEN_CPUID_TSC_EMULATED"),
            HOST_TSC_RELIABLE: (xen "XEN_CPUID_HOST_TSC_RELIABLE"),
            RDTSCP_INSTR_AVAIL: (xen "XEN_CPUID_RDTSCP_INSTR_AVAIL"),
        }
    );
    constants!(
        all,
        platform {
            INTERFACE_VERSION: (xen "XENPF_INTERFACE_VERSION"),
            ACPI_SLEEP_EXTENDED: (xen "XENPF_ACPI_SLEEP_EXTENDED"),
        }
    );
    constants!(
        all,
        platform::resource {
            MSR_READ: (xen "XEN_RESOURCE_OP_MSR_READ"),
            MSR_WRITE: (xen "XEN_RESOURCE_OP_MSR_WRITE"),
        }
    );
    structure!(all, platform::{ ResourceOp = (xen "struct xenpf_resource_op") } {
        nr_entries: (xen "nr_entries"),
        cpu: (xen "cpu"),
        entries: (xen "entries"),
    } pad { });
    structure!(all, platform::{ ResourceEntry = (xen "struct xenpf_resource_entry") } {
        cmd: (xen "u.cmd"),
        rsvd: (xen "rsvd"),
        idx: (xen "idx"),
        val: (xen "val"),
    } pad { });
    constants!(
        all,
        platform::op {
            SETTIME32: (xen "XENPF_settime32"),
            SETTIME64: (xen "XENPF_settime64"),
            READ_MEMTYPE: (xen "XENPF_read_memtype"),
            MICROCODE_UPDATE: (xen "XENPF_microcode_update"),
            GET_CPU_VERSION: (xen "XENPF_get_cpu_version"),
            EFI_RUNTIME_CALL: (xen "XENPF_efi_runtime_call"),
            FIRMWARE_INFO: (xen "XENPF_firmware_info"),
            ENTER_ACPI_SLEEP: (xen "XENPF_enter_acpi_sleep"),
            CHANGE_FREQ: (xen "XENPF_change_freq"),
            GETIDLETIME: (xen "XENPF_getidletime"),
            SET_PROCESSOR_PMINFO: (xen "XENPF_set_processor_pminfo"),
            GET_CPUINFO: (xen "XENPF_get_cpuinfo"),
            CPU_ONLINE: (xen "XENPF_cpu_online"),
            CPU_OFFLINE: (xen "XENPF_cpu_offline"),
            CORE_PARKING: (xen "XENPF_core_parking"),
            RESOURCE_OP: (xen "XENPF_resource_op"),
            GET_SYMBOL: (xen "XENPF_get_symbol"),
            GET_DOM0_CONSOLE: (xen "XENPF_get_dom0_console"),
            GET_UCODE_REVISION: (xen "XENPF_get_ucode_revision"),
        }
    );
    constants!(
        all,
        platform::firmware {
            DISK_INFO: (xen "XEN_FW_DISK_INFO"),
            DISK_MBR_SIGNATURE: (xen "XEN_FW_DISK_MBR_SIGNATURE"),
            VBEDDC_INFO: (xen "XEN_FW_VBEDDC_INFO"),
            EFI_INFO: (xen "XEN_FW_EFI_INFO"),
            KBD_SHIFT_FLAGS: (xen "XEN_FW_KBD_SHIFT_FLAGS"),
        }
    );
    constants!(
        all,
        platform::pm {
            CX: (xen "XEN_PM_CX"),
            PX: (xen "XEN_PM_PX"),
            TX: (xen "XEN_PM_TX"),
            PDC: (xen "XEN_PM_PDC"),
        }
    );
    constants!(
        all,
        physdev::op {
            IRQ_UNMASK_NOTIFY: "PHYSDEVOP_IRQ_UNMASK_NOTIFY",
            IRQ_STATUS_QUERY: "PHYSDEVOP_irq_status_query",
            SET_IOPL: "PHYSDEVOP_set_iopl",
            SET_IOBITMAP: "PHYSDEVOP_set_iobitmap",
            APIC_READ: "PHYSDEVOP_apic_read",
            APIC_WRITE: "PHYSDEVOP_apic_write",
            ALLOC_IRQ_VECTOR: "PHYSDEVOP_alloc_irq_vector",
            FREE_IRQ_VECTOR: "PHYSDEVOP_free_irq_vector",
            EOI: "PHYSDEVOP_eoi",
            MAP_PIRQ: "PHYSDEVOP_map_pirq",
            UNMAP_PIRQ: "PHYSDEVOP_unmap_pirq",
            MANAGE_PCI_ADD: "PHYSDEVOP_manage_pci_add",
            MANAGE_PCI_REMOVE: "PHYSDEVOP_manage_pci_remove",
            PIRQ_EOI_GMFN_V1: "PHYSDEVOP_pirq_eoi_gmfn_v1",
            RESTORE_MSI: "PHYSDEVOP_restore_msi",
            MANAGE_PCI_ADD_EXT: "PHYSDEVOP_manage_pci_add_ext",
            SETUP_GSI: "PHYSDEVOP_setup_gsi",
            GET_NR_PIRQS: (linux "PHYSDEVOP_get_nr_pirqs"),
            GET_FREE_PIRQ: "PHYSDEVOP_get_free_pirq",
            PCI_MMCFG_RESERVED: "PHYSDEVOP_pci_mmcfg_reserved",
            PCI_DEVICE_ADD: "PHYSDEVOP_pci_device_add",
            PCI_DEVICE_REMOVE: "PHYSDEVOP_pci_device_remove",
            RESTORE_MSI_EXT: "PHYSDEVOP_restore_msi_ext",
            PIRQ_EOI_GMFN_V2: "PHYSDEVOP_pirq_eoi_gmfn_v2",
            DBGP_OP: "PHYSDEVOP_dbgp_op",
            PREPARE_MSIX: "PHYSDEVOP_prepare_msix",
            RELEASE_MSIX: "PHYSDEVOP_release_msix",
            PCI_DEVICE_RESET: "PHYSDEVOP_pci_device_reset",
        }
    );
    constants!(
        all,
        physdev::irqstat {
            NEEDS_EOI: "XENIRQSTAT_needs_eoi",
            SHARED: "XENIRQSTAT_shared",
        }
    );
    constants!(
        all,
        physdev::map_type {
            MSI: "MAP_PIRQ_TYPE_MSI",
            GSI: "MAP_PIRQ_TYPE_GSI",
            UNKNOWN: "MAP_PIRQ_TYPE_UNKNOWN",
            MSI_SEG: "MAP_PIRQ_TYPE_MSI_SEG",
            MULTI_MSI: "MAP_PIRQ_TYPE_MULTI_MSI",
        }
    );
    constants!(
        all,
        physdev::pci_dev {
            EXTFN: "XEN_PCI_DEV_EXTFN",
            VIRTFN: "XEN_PCI_DEV_VIRTFN",
            PXM: "XEN_PCI_DEV_PXM",
        }
    );
    constants!(
        all,
        physdev {
            MMCFG_RESERVED: "XEN_PCI_MMCFG_RESERVED",
        }
    );
    constants!(
        all,
        physdev::reset {
            COLD: "PCI_DEVICE_RESET_COLD",
            WARM: "PCI_DEVICE_RESET_WARM",
            HOT: "PCI_DEVICE_RESET_HOT",
            FLR: "PCI_DEVICE_RESET_FLR",
            MASK: "PCI_DEVICE_RESET_MASK",
        }
    );
    constants!(
        all,
        physdev::dbgp {
            RESET_PREPARE: "PHYSDEVOP_DBGP_RESET_PREPARE",
            RESET_DONE: "PHYSDEVOP_DBGP_RESET_DONE",
            BUS_UNKNOWN: "PHYSDEVOP_DBGP_BUS_UNKNOWN",
            BUS_PCI: "PHYSDEVOP_DBGP_BUS_PCI",
        }
    );
    constants!(
        all,
        sysctl {
            INTERFACE_VERSION: (xen "XEN_SYSCTL_INTERFACE_VERSION"),
        }
    );
    constants!(
        all,
        sysctl::op {
            READCONSOLE: (xen "XEN_SYSCTL_readconsole"),
            PHYSINFO: (xen "XEN_SYSCTL_physinfo"),
            SCHED_ID: (xen "XEN_SYSCTL_sched_id"),
            GETDOMAININFOLIST: (xen "XEN_SYSCTL_getdomaininfolist"),
            DEBUG_KEYS: (xen "XEN_SYSCTL_debug_keys"),
            PCITOPOINFO: (xen "XEN_SYSCTL_pcitopoinfo"),
            GETCPUINFO: (xen "XEN_SYSCTL_getcpuinfo"),
            AVAILHEAP: (xen "XEN_SYSCTL_availheap"),
            CPUTOPOINFO: (xen "XEN_SYSCTL_cputopoinfo"),
            NUMAINFO: (xen "XEN_SYSCTL_numainfo"),
            CPUPOOL_OP: (xen "XEN_SYSCTL_cpupool_op"),
            SCHEDULER_OP: (xen "XEN_SYSCTL_scheduler_op"),
            GET_CPU_LEVELLING_CAPS: (xen "XEN_SYSCTL_get_cpu_levelling_caps"),
            GET_CPU_FEATURESET: (xen "XEN_SYSCTL_get_cpu_featureset"),
            GET_CPU_POLICY: (xen "XEN_SYSCTL_get_cpu_policy"),
        }
    );
    constants!(
        all,
        sysctl {
            INVALID_DEV: (xen "XEN_INVALID_DEV"),
        }
    );
    constants!(
        all,
        sysctl::physcap {
            HVM: (xen "XEN_SYSCTL_PHYSCAP_hvm"),
            PV: (xen "XEN_SYSCTL_PHYSCAP_pv"),
            DIRECTIO: (xen "XEN_SYSCTL_PHYSCAP_directio"),
            HAP: (xen "XEN_SYSCTL_PHYSCAP_hap"),
            SHADOW: (xen "XEN_SYSCTL_PHYSCAP_shadow"),
            GNTTAB_V1: (xen "XEN_SYSCTL_PHYSCAP_gnttab_v1"),
            GNTTAB_V2: (xen "XEN_SYSCTL_PHYSCAP_gnttab_v2"),
        }
    );
    constants!(
        all,
        sysctl::cpupool {
            INFO: (xen "XEN_SYSCTL_CPUPOOL_OP_INFO"),
            FREEINFO: (xen "XEN_SYSCTL_CPUPOOL_OP_FREEINFO"),
        }
    );
    constants!(
        all,
        sysctl {
            INVALID_CORE: (xen "XEN_INVALID_CORE_ID"),
        }
    );
    constants!(
        all,
        sysctl {
            SCHED_CREDIT: (xen "XEN_SCHEDULER_CREDIT"),
        }
    );
    constants!(
        all,
        memory::op {
            INCREASE_RESERVATION: (xen "XENMEM_increase_reservation"),
            DECREASE_RESERVATION: (xen "XENMEM_decrease_reservation"),
            MAXIMUM_RAM_PAGE: (xen "XENMEM_maximum_ram_page"),
            CURRENT_RESERVATION: (xen "XENMEM_current_reservation"),
            MAXIMUM_RESERVATION: (xen "XENMEM_maximum_reservation"),
            POPULATE_PHYSMAP: (xen "XENMEM_populate_physmap"),
            ADD_TO_PHYSMAP: (xen "XENMEM_add_to_physmap"),
            MEMORY_MAP: (xen "XENMEM_memory_map"),
            MACHINE_MEMORY_MAP: (xen "XENMEM_machine_memory_map"),
            EXCHANGE: (xen "XENMEM_exchange"),
            MACHPHYS_MAPPING: (xen "XENMEM_machphys_mapping"),
            SET_MEMORY_MAP: (xen "XENMEM_set_memory_map"),
            MAXIMUM_GPFN: (xen "XENMEM_maximum_gpfn"),
            REMOVE_FROM_PHYSMAP: (xen "XENMEM_remove_from_physmap"),
            SET_POD_TARGET: (xen "XENMEM_set_pod_target"),
            GET_POD_TARGET: (xen "XENMEM_get_pod_target"),
            GET_SHARING_FREED_PAGES: (xen "XENMEM_get_sharing_freed_pages"),
            GET_SHARING_SHARED_PAGES: (xen "XENMEM_get_sharing_shared_pages"),
            ADD_TO_PHYSMAP_BATCH: (xen "XENMEM_add_to_physmap_batch"),
            CLAIM_PAGES: (xen "XENMEM_claim_pages"),
            GET_VNUMAINFO: (xen "XENMEM_get_vnumainfo"),
            RESERVED_DEVICE_MEMORY_MAP: (xen "XENMEM_reserved_device_memory_map"),
            ACQUIRE_RESOURCE: (xen "XENMEM_acquire_resource"),
        }
    );
    constants!(
        all,
        memory::space {
            SHARED_INFO: (xen "XENMAPSPACE_shared_info"),
            GRANT_TABLE: (xen "XENMAPSPACE_grant_table"),
            GMFN: (xen "XENMAPSPACE_gmfn"),
            GMFN_RANGE: (xen "XENMAPSPACE_gmfn_range"),
            GMFN_FOREIGN: (xen "XENMAPSPACE_gmfn_foreign"),
            DEV_MMIO: (xen "XENMAPSPACE_dev_mmio"),
        }
    );
    constants!(
        all,
        memory {
            GRANT_TABLE_STATUS: (xen "XENMAPIDX_grant_table_status"),
        }
    );
    constants!(
        all,
        memory::resource {
            IOREQ_SERVER: (xen "XENMEM_resource_ioreq_server"),
            GRANT_TABLE: (xen "XENMEM_resource_grant_table"),
            GRANT_TABLE_SHARED: (xen "XENMEM_resource_grant_table_id_shared"),
            GRANT_TABLE_STATUS: (xen "XENMEM_resource_grant_table_id_status"),
        }
    );
}

fn structs_of(all: &mut Vec<Entry>) {
    structure!(all, version::{ CompileInfo = (xen "struct xen_compile_info") } {
        compiler: (xen "compiler"),
        compile_by: (xen "compile_by"),
        compile_domain: (xen "compile_domain"),
        compile_date: (xen "compile_date"),
    } pad { });
    structure!(all, version::{ FeatureInfo = (xen "struct xen_feature_info") } {
        submap_idx: (xen "submap_idx"),
        submap: (xen "submap"),
    } pad { });
    structure!(all, version::{ Varbuf = (xen "struct xen_build_id") } {
        len: (xen "len"),
    } pad { });
    structure!(all, vcpu::{ RunstateInfo = (xen "struct vcpu_runstate_info") } {
        state: (xen "state"),
        state_entry_time: (xen "state_entry_time"),
        time: (xen "time"),
    } pad { pad, });
    structure!(all, vcpu::{ SetSingleshotTimer = (xen "struct vcpu_set_singleshot_timer") } {
        timeout_abs_ns: (xen "timeout_abs_ns"),
        flags: (xen "flags"),
    } pad { pad, });
    structure!(all, vcpu::{ RegisterVcpuInfo = (xen "struct vcpu_register_vcpu_info") } {
        mfn: (xen "mfn"),
        offset: (xen "offset"),
        rsvd: (xen "rsvd"),
    } pad { });
    structure!(all, vcpu::{ TimeInfo = (xen "struct vcpu_time_info") } {
        version: (xen "version"),
        tsc_timestamp: (xen "tsc_timestamp"),
        system_time: (xen "system_time"),
        tsc_to_system_mul: (xen "tsc_to_system_mul"),
        tsc_shift: (xen "tsc_shift"),
        flags: (xen "flags"),
    } pad { pad0, pad1, });
    structure!(all, vcpu::{ VcpuInfo = (xen "struct vcpu_info") } {
        evtchn_upcall_pending: (xen "evtchn_upcall_pending"),
        evtchn_upcall_mask: (xen "evtchn_upcall_mask"),
        evtchn_pending_sel: (xen "evtchn_pending_sel"),
        cr2: (xen "arch.cr2"),
        arch_pad: (xen "arch.pad"),
        time: (xen "time"),
    } pad { pad, });
    structure!(all, vcpu::{ SharedInfo = (xen "struct shared_info") } {
        vcpu_info: (xen "vcpu_info"),
        evtchn_pending: (xen "evtchn_pending"),
        evtchn_mask: (xen "evtchn_mask"),
        wc_version: (xen "wc_version"),
        wc_sec: (xen "wc_sec"),
        wc_nsec: (xen "wc_nsec"),
        wc_sec_hi: (xen "wc_sec_hi"),
        max_pfn: (xen "arch.max_pfn"),
        pfn_to_mfn_frame_list_list: (xen "arch.pfn_to_mfn_frame_list_list"),
        nmi_reason: (xen "arch.nmi_reason"),
        p2m_cr3: (xen "arch.p2m_cr3"),
        p2m_vaddr: (xen "arch.p2m_vaddr"),
        p2m_generation: (xen "arch.p2m_generation"),
    } pad { });
    structure!(all, sched::{ Poll = (xen "struct sched_poll") } {
        ports: (xen "ports"),
        nr_ports: (xen "nr_ports"),
        timeout: (xen "timeout"),
    } pad { pad, });
    structure!(all, sched::{ RemoteShutdown = (xen "struct sched_remote_shutdown") } {
        domain_id: (xen "domain_id"),
        reason: (xen "reason"),
    } pad { pad, });
    structure!(all, sched::{ Watchdog = (xen "struct sched_watchdog") } {
        id: (xen "id"),
        timeout: (xen "timeout"),
    } pad { });
    structure!(all, hvm::hvm_op::{ Param = (xen "struct xen_hvm_param") } {
        domid: (xen "domid"),
        pad: (xen "pad"),
        index: (xen "index"),
        value: (xen "value"),
    } pad { });
    structure!(all, hvm::hvm_op::{ EvtchnUpcallVector = (xen "struct xen_hvm_evtchn_upcall_vector") } {
        vcpu: (xen "vcpu"),
        vector: (xen "vector"),
    } pad { pad, });
    structure!(all, hvm::hvm_op::{ PagetableDying = (xen "struct xen_hvm_pagetable_dying") } {
        domid: (xen "domid"),
        gpa: (xen "gpa"),
    } pad { pad, });
    structure!(all, hvm::hvm_op::{ GetMemType = (xen "struct xen_hvm_get_mem_type") } {
        domid: (xen "domid"),
        mem_type: (xen "mem_type"),
        pad: (xen "pad"),
        pfn: (xen "pfn"),
    } pad { });
    structure!(all, hvm::vcpu::{ X86_32 = (xen "struct vcpu_hvm_x86_32") } {
        eax: (xen "eax"),
        ecx: (xen "ecx"),
        edx: (xen "edx"),
        ebx: (xen "ebx"),
        esp: (xen "esp"),
        ebp: (xen "ebp"),
        esi: (xen "esi"),
        edi: (xen "edi"),
        eip: (xen "eip"),
        eflags: (xen "eflags"),
        cr0: (xen "cr0"),
        cr3: (xen "cr3"),
        cr4: (xen "cr4"),
        pad1: (xen "pad1"),
        efer: (xen "efer"),
        cs_base: (xen "cs_base"),
        ds_base: (xen "ds_base"),
        ss_base: (xen "ss_base"),
        es_base: (xen "es_base"),
        tr_base: (xen "tr_base"),
        cs_limit: (xen "cs_limit"),
        ds_limit: (xen "ds_limit"),
        ss_limit: (xen "ss_limit"),
        es_limit: (xen "es_limit"),
        tr_limit: (xen "tr_limit"),
        cs_ar: (xen "cs_ar"),
        ds_ar: (xen "ds_ar"),
        ss_ar: (xen "ss_ar"),
        es_ar: (xen "es_ar"),
        tr_ar: (xen "tr_ar"),
        pad2: (xen "pad2"),
    } pad { });
    structure!(all, hvm::vcpu::{ X86_64 = (xen "struct vcpu_hvm_x86_64") } {
        rax: (xen "rax"),
        rcx: (xen "rcx"),
        rdx: (xen "rdx"),
        rbx: (xen "rbx"),
        rsp: (xen "rsp"),
        rbp: (xen "rbp"),
        rsi: (xen "rsi"),
        rdi: (xen "rdi"),
        rip: (xen "rip"),
        rflags: (xen "rflags"),
        cr0: (xen "cr0"),
        cr3: (xen "cr3"),
        cr4: (xen "cr4"),
        efer: (xen "efer"),
    } pad { });
    structure!(all, hvm::vcpu::{ Context = (xen "struct vcpu_hvm_context") } {
        mode: (xen "mode"),
        pad: (xen "pad"),
        cpu_regs: (xen "cpu_regs"),
    } pad { });
    structure!(all, hvm::start_info::{ StartInfo = (xen "struct hvm_start_info") } {
        magic: (xen "magic"),
        version: (xen "version"),
        flags: (xen "flags"),
        nr_modules: (xen "nr_modules"),
        modlist_paddr: (xen "modlist_paddr"),
        cmdline_paddr: (xen "cmdline_paddr"),
        rsdp_paddr: (xen "rsdp_paddr"),
        memmap_paddr: (xen "memmap_paddr"),
        memmap_entries: (xen "memmap_entries"),
        reserved: (xen "reserved"),
    } pad { });
    structure!(all, hvm::start_info::{ Module = (xen "struct hvm_modlist_entry") } {
        paddr: (xen "paddr"),
        size: (xen "size"),
        cmdline_paddr: (xen "cmdline_paddr"),
        reserved: (xen "reserved"),
    } pad { });
    structure!(all, hvm::start_info::{ MemoryMapEntry = (xen "struct hvm_memmap_table_entry") } {
        addr: (xen "addr"),
        size: (xen "size"),
        kind: (xen "type"),
        reserved: (xen "reserved"),
    } pad { });
    structure!(all, platform::{ Header = (xen "struct xen_platform_op") } {
        cmd: (xen "cmd"),
        interface_version: (xen "interface_version"),
        u: (xen "u"),
    } pad { });
    structure!(all, platform::{ Settime64 = (xen "struct xenpf_settime64") } {
        secs: (xen "secs"),
        nsecs: (xen "nsecs"),
        mbz: (xen "mbz"),
        system_time: (xen "system_time"),
    } pad { });
    structure!(all, platform::{ EnterAcpiSleep = (xen "struct xenpf_enter_acpi_sleep") } {
        val_a: (xen "val_a"),
        val_b: (xen "val_b"),
        sleep_state: (xen "sleep_state"),
        flags: (xen "flags"),
    } pad { });
    structure!(all, platform::{ FirmwareInfo = (xen "struct xenpf_firmware_info") } {
        kind: (xen "type"),
        index: (xen "index"),
        u: (xen "u"),
    } pad { });
    structure!(all, platform::{ SetPminfo = (xen "struct xenpf_set_processor_pminfo") } {
        id: (xen "id"),
        kind: (xen "type"),
        pdc: (xen "u.pdc"),
    } pad { other, });
    structure!(all, platform::{ PcpuInfo = (xen "struct xenpf_pcpuinfo") } {
        xen_cpuid: (xen "xen_cpuid"),
        max_present: (xen "max_present"),
        flags: (xen "flags"),
        apic_id: (xen "apic_id"),
        acpi_id: (xen "acpi_id"),
    } pad { });
    structure!(all, platform::{ PcpuVersion = (xen "struct xenpf_pcpu_version") } {
        xen_cpuid: (xen "xen_cpuid"),
        max_present: (xen "max_present"),
        vendor_id: (xen "vendor_id"),
        family: (xen "family"),
        model: (xen "model"),
        stepping: (xen "stepping"),
    } pad { });
    structure!(all, platform::{ UcodeRevision = (xen "struct xenpf_ucode_revision") } {
        cpu: (xen "cpu"),
        signature: (xen "signature"),
        pf: (xen "pf"),
        revision: (xen "revision"),
    } pad { });
    structure!(all, physdev::{ IrqStatusQuery = "struct physdev_irq_status_query" } {
        irq: "irq",
        flags: "flags",
    } pad { });
    structure!(all, physdev::{ SetIopl = "struct physdev_set_iopl" } {
        iopl: "iopl",
    } pad { });
    structure!(all, physdev::{ SetIobitmap = "struct physdev_set_iobitmap" } {
        bitmap: "bitmap",
        nr_ports: "nr_ports",
    } pad { pad, });
    structure!(all, physdev::{ Apic = "struct physdev_apic" } {
        apic_physbase: "apic_physbase",
        reg: "reg",
        value: "value",
    } pad { });
    structure!(all, physdev::{ Irq = "struct physdev_irq" } {
        irq: "irq",
        vector: "vector",
    } pad { });
    structure!(all, physdev::{ Eoi = "struct physdev_eoi" } {
        irq: "irq",
    } pad { });
    structure!(all, physdev::{ PirqEoiGmfn = "struct physdev_pirq_eoi_gmfn" } {
        gmfn: "gmfn",
    } pad { });
    structure!(all, physdev::{ MapPirq = "struct physdev_map_pirq" } {
        domid: "domid",
        map_type: "type",
        index: "index",
        pirq: "pirq",
        bus: "bus",
        devfn: "devfn",
        entry_nr: "entry_nr",
        table_base: "table_base",
    } pad { pad0, pad1, });
    structure!(all, physdev::{ UnmapPirq = "struct physdev_unmap_pirq" } {
        domid: "domid",
        pirq: "pirq",
    } pad { pad, });
    structure!(all, physdev::{ ManagePci = "struct physdev_manage_pci" } {
        bus: "bus",
        devfn: "devfn",
    } pad { });
    structure!(all, physdev::{ ManagePciExt = "struct physdev_manage_pci_ext" } {
        bus: "bus",
        devfn: "devfn",
        is_extfn: "is_extfn",
        is_virtfn: "is_virtfn",
        physfn_bus: "physfn.bus",
        physfn_devfn: "physfn.devfn",
    } pad { pad0, pad1, });
    structure!(all, physdev::{ SetupGsi = "struct physdev_setup_gsi" } {
        gsi: "gsi",
        triggering: "triggering",
        polarity: "polarity",
    } pad { pad, });
    structure!(all, physdev::{ NrPirqs = (linux "struct physdev_nr_pirqs") } {
        nr_pirqs: (linux "nr_pirqs"),
    } pad { });
    structure!(all, physdev::{ GetFreePirq = "struct physdev_get_free_pirq" } {
        map_type: "type",
        pirq: "pirq",
    } pad { });
    structure!(all, physdev::{ PciMmcfgReserved = "struct physdev_pci_mmcfg_reserved" } {
        address: "address",
        segment: "segment",
        start_bus: "start_bus",
        end_bus: "end_bus",
        flags: "flags",
    } pad { });
    structure!(all, physdev::{ PciDevice = "struct physdev_pci_device" } {
        seg: "seg",
        bus: "bus",
        devfn: "devfn",
    } pad { });
    structure!(all, physdev::{ PciDeviceAdd = "struct physdev_pci_device_add" } {
        seg: "seg",
        bus: "bus",
        devfn: "devfn",
        flags: "flags",
        physfn_bus: "physfn.bus",
        physfn_devfn: "physfn.devfn",
    } pad { pad, });
    structure!(all, physdev::{ PciDeviceReset = "struct pci_device_reset" } {
        dev: "dev",
        flags: "flags",
    } pad { });
    structure!(all, physdev::{ DbgpOp = "struct physdev_dbgp_op" } {
        op: "op",
        bus: "bus",
        pci: "u.pci",
    } pad { });
    structure!(all, sysctl::{ Header = (xen "struct xen_sysctl") } {
        cmd: (xen "cmd"),
        interface_version: (xen "interface_version"),
        u: (xen "u"),
    } pad { });
    structure!(all, sysctl::{ DebugKeys = (xen "struct xen_sysctl_debug_keys") } {
        keys: (xen "keys"),
        nr_keys: (xen "nr_keys"),
    } pad { pad, });
    structure!(all, sysctl::{ Pcitopoinfo = (xen "struct xen_sysctl_pcitopoinfo") } {
        num_devs: (xen "num_devs"),
        devs: (xen "devs"),
        nodes: (xen "nodes"),
    } pad { pad, });
    structure!(all, sysctl::{ Readconsole = (xen "struct xen_sysctl_readconsole") } {
        clear: (xen "clear"),
        incremental: (xen "incremental"),
        pad0: (xen "pad0"),
        pad1: (xen "pad1"),
        index: (xen "index"),
        buffer: (xen "buffer"),
        count: (xen "count"),
    } pad { pad, });
    structure!(all, sysctl::{ Physinfo = (xen "struct xen_sysctl_physinfo") } {
        threads_per_core: (xen "threads_per_core"),
        cores_per_socket: (xen "cores_per_socket"),
        nr_cpus: (xen "nr_cpus"),
        max_cpu_id: (xen "max_cpu_id"),
        nr_nodes: (xen "nr_nodes"),
        max_node_id: (xen "max_node_id"),
        cpu_khz: (xen "cpu_khz"),
        capabilities: (xen "capabilities"),
        arch_capabilities: (xen "arch_capabilities"),
        pad: (xen "pad"),
        total_pages: (xen "total_pages"),
        free_pages: (xen "free_pages"),
        scrub_pages: (xen "scrub_pages"),
        outstanding_pages: (xen "outstanding_pages"),
        max_mfn: (xen "max_mfn"),
        hw_cap: (xen "hw_cap"),
    } pad { });
    structure!(all, sysctl::{ Getdomaininfolist = (xen "struct xen_sysctl_getdomaininfolist") } {
        first_domain: (xen "first_domain"),
        max_domains: (xen "max_domains"),
        buffer: (xen "buffer"),
        num_domains: (xen "num_domains"),
    } pad { pad, pad2, });
    structure!(all, sysctl::{ Getcpuinfo = (xen "struct xen_sysctl_getcpuinfo") } {
        max_cpus: (xen "max_cpus"),
        info: (xen "info"),
        nr_cpus: (xen "nr_cpus"),
    } pad { pad, pad2, });
    structure!(all, sysctl::{ Cputopo = (xen "struct xen_sysctl_cputopo") } {
        core: (xen "core"),
        socket: (xen "socket"),
        node: (xen "node"),
    } pad { });
    structure!(all, sysctl::{ Cputopoinfo = (xen "struct xen_sysctl_cputopoinfo") } {
        num_cpus: (xen "num_cpus"),
        cputopo: (xen "cputopo"),
    } pad { pad, });
    structure!(all, sysctl::{ Meminfo = (xen "struct xen_sysctl_meminfo") } {
        memsize: (xen "memsize"),
        memfree: (xen "memfree"),
    } pad { });
    structure!(all, sysctl::{ Numainfo = (xen "struct xen_sysctl_numainfo") } {
        num_nodes: (xen "num_nodes"),
        meminfo: (xen "meminfo"),
        distance: (xen "distance"),
    } pad { pad, });
    structure!(all, sysctl::{ CpupoolOp = (xen "struct xen_sysctl_cpupool_op") } {
        op: (xen "op"),
        cpupool_id: (xen "cpupool_id"),
        sched_id: (xen "sched_id"),
        domid: (xen "domid"),
        cpu: (xen "cpu"),
        n_dom: (xen "n_dom"),
        cpumap: (xen "cpumap"),
    } pad { });
    structure!(all, memory::{ Reservation = (xen "struct xen_memory_reservation") } {
        extent_start: (xen "extent_start"),
        nr_extents: (xen "nr_extents"),
        extent_order: (xen "extent_order"),
        mem_flags: (xen "mem_flags"),
        domid: (xen "domid"),
    } pad { pad, });
    structure!(all, memory::{ Exchange = (xen "struct xen_memory_exchange") } {
        input: (xen "in"),
        output: (xen "out"),
        nr_exchanged: (xen "nr_exchanged"),
    } pad { });
    structure!(all, memory::{ AddToPhysmap = (xen "struct xen_add_to_physmap") } {
        domid: (xen "domid"),
        size: (xen "size"),
        space: (xen "space"),
        idx: (xen "idx"),
        gpfn: (xen "gpfn"),
    } pad { });
    structure!(all, memory::{ AddToPhysmapBatch = (xen "struct xen_add_to_physmap_batch") } {
        domid: (xen "domid"),
        space: (xen "space"),
        size: (xen "size"),
        foreign_domid: (xen "u.foreign_domid"),
        idxs: (xen "idxs"),
        gpfns: (xen "gpfns"),
        errs: (xen "errs"),
    } pad { });
    structure!(all, memory::{ RemoveFromPhysmap = (xen "struct xen_remove_from_physmap") } {
        domid: (xen "domid"),
        gpfn: (xen "gpfn"),
    } pad { pad, });
    structure!(all, memory::{ MemoryMap = (xen "struct xen_memory_map") } {
        nr_entries: (xen "nr_entries"),
        buffer: (xen "buffer"),
    } pad { pad, });
    structure!(all, memory::{ ForeignMemoryMap = (xen "struct xen_foreign_memory_map") } {
        domid: (xen "domid"),
        map: (xen "map"),
    } pad { pad, });
}
