// SPDX-License-Identifier: GPL-2.0

//! What the toolstack asks a hypervisor for: `domctl` and the saved state of domains. Linux has no copy of these headers.

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
        domctl {
            INTERFACE_VERSION: (xen "XEN_DOMCTL_INTERFACE_VERSION"),
        }
    );
    constants!(
        all,
        domctl::op {
            CREATEDOMAIN: (xen "XEN_DOMCTL_createdomain"),
            DESTROYDOMAIN: (xen "XEN_DOMCTL_destroydomain"),
            PAUSEDOMAIN: (xen "XEN_DOMCTL_pausedomain"),
            UNPAUSEDOMAIN: (xen "XEN_DOMCTL_unpausedomain"),
            GETDOMAININFO: (xen "XEN_DOMCTL_getdomaininfo"),
            SHADOW_OP: (xen "XEN_DOMCTL_shadow_op"),
            SETVCPUAFFINITY: (xen "XEN_DOMCTL_setvcpuaffinity"),
            MAX_MEM: (xen "XEN_DOMCTL_max_mem"),
            SETVCPUCONTEXT: (xen "XEN_DOMCTL_setvcpucontext"),
            GETVCPUCONTEXT: (xen "XEN_DOMCTL_getvcpucontext"),
            GETVCPUINFO: (xen "XEN_DOMCTL_getvcpuinfo"),
            MAX_VCPUS: (xen "XEN_DOMCTL_max_vcpus"),
            SCHEDULER_OP: (xen "XEN_DOMCTL_scheduler_op"),
            SETDOMAINHANDLE: (xen "XEN_DOMCTL_setdomainhandle"),
            IRQ_PERMISSION: (xen "XEN_DOMCTL_irq_permission"),
            IOMEM_PERMISSION: (xen "XEN_DOMCTL_iomem_permission"),
            IOPORT_PERMISSION: (xen "XEN_DOMCTL_ioport_permission"),
            HYPERCALL_INIT: (xen "XEN_DOMCTL_hypercall_init"),
            SETTIMEOFFSET: (xen "XEN_DOMCTL_settimeoffset"),
            GETVCPUAFFINITY: (xen "XEN_DOMCTL_getvcpuaffinity"),
            RESUMEDOMAIN: (xen "XEN_DOMCTL_resumedomain"),
            SENDTRIGGER: (xen "XEN_DOMCTL_sendtrigger"),
            SUBSCRIBE: (xen "XEN_DOMCTL_subscribe"),
            GETHVMCONTEXT: (xen "XEN_DOMCTL_gethvmcontext"),
            SETHVMCONTEXT: (xen "XEN_DOMCTL_sethvmcontext"),
            SET_ADDRESS_SIZE: (xen "XEN_DOMCTL_set_address_size"),
            GET_ADDRESS_SIZE: (xen "XEN_DOMCTL_get_address_size"),
            GETHVMCONTEXT_PARTIAL: (xen "XEN_DOMCTL_gethvmcontext_partial"),
            GETTSCINFO: (xen "XEN_DOMCTL_gettscinfo"),
            SETTSCINFO: (xen "XEN_DOMCTL_settscinfo"),
            GETPAGEFRAMEINFO3: (xen "XEN_DOMCTL_getpageframeinfo3"),
            SETNODEAFFINITY: (xen "XEN_DOMCTL_setnodeaffinity"),
            GETNODEAFFINITY: (xen "XEN_DOMCTL_getnodeaffinity"),
            GET_CPU_POLICY: (xen "XEN_DOMCTL_get_cpu_policy"),
            SET_CPU_POLICY: (xen "XEN_DOMCTL_set_cpu_policy"),
            GET_PAGING_MEMPOOL_SIZE: (xen "XEN_DOMCTL_get_paging_mempool_size"),
            SET_PAGING_MEMPOOL_SIZE: (xen "XEN_DOMCTL_set_paging_mempool_size"),
            SET_LLC_COLORS: (xen "XEN_DOMCTL_set_llc_colors"),
        }
    );
    constants!(
        all,
        domctl::dominf {
            DYING: (xen "XEN_DOMINF_dying"),
            HVM_GUEST: (xen "XEN_DOMINF_hvm_guest"),
            SHUTDOWN: (xen "XEN_DOMINF_shutdown"),
            PAUSED: (xen "XEN_DOMINF_paused"),
            BLOCKED: (xen "XEN_DOMINF_blocked"),
            RUNNING: (xen "XEN_DOMINF_running"),
            DEBUGGED: (xen "XEN_DOMINF_debugged"),
            XS_DOMAIN: (xen "XEN_DOMINF_xs_domain"),
            HAP: (xen "XEN_DOMINF_hap"),
            SHUTDOWN_SHIFT: (xen "XEN_DOMINF_shutdownshift"),
        }
    );
    constants!(
        all,
        domctl::emulation {
            LAPIC: (xen "XEN_X86_EMU_LAPIC"),
            IOAPIC: (xen "XEN_X86_EMU_IOAPIC"),
            USE_PIRQ: (xen "XEN_X86_EMU_USE_PIRQ"),
            VPCI: (xen "XEN_X86_EMU_VPCI"),
            ALL: (xen "XEN_X86_EMU_ALL"),
        }
    );
    constants!(
        all,
        domctl::cdf {
            HVM: (xen "XEN_DOMCTL_CDF_hvm"),
            HAP: (xen "XEN_DOMCTL_CDF_hap"),
            S3_INTEGRITY: (xen "XEN_DOMCTL_CDF_s3_integrity"),
            OOS_OFF: (xen "XEN_DOMCTL_CDF_oos_off"),
            XS_DOMAIN: (xen "XEN_DOMCTL_CDF_xs_domain"),
            IOMMU: (xen "XEN_DOMCTL_CDF_iommu"),
            NESTED_VIRT: (xen "XEN_DOMCTL_CDF_nested_virt"),
            VPMU: (xen "XEN_DOMCTL_CDF_vpmu"),
        }
    );
    constants!(
        all,
        domctl::misc {
            MSR_RELAXED: (xen "XEN_X86_MSR_RELAXED"),
        }
    );
    constants!(
        all,
        domctl::schedop {
            PUTINFO: (xen "XEN_DOMCTL_SCHEDOP_putinfo"),
            GETINFO: (xen "XEN_DOMCTL_SCHEDOP_getinfo"),
        }
    );
    constants!(
        all,
        domctl::trigger {
            NMI: (xen "XEN_DOMCTL_SENDTRIGGER_NMI"),
            RESET: (xen "XEN_DOMCTL_SENDTRIGGER_RESET"),
            INIT: (xen "XEN_DOMCTL_SENDTRIGGER_INIT"),
            POWER: (xen "XEN_DOMCTL_SENDTRIGGER_POWER"),
            SLEEP: (xen "XEN_DOMCTL_SENDTRIGGER_SLEEP"),
        }
    );
    constants!(
        all,
        domctl::pfinfo {
            NOTAB: (xen "XEN_DOMCTL_PFINFO_NOTAB"),
            XTAB: (xen "XEN_DOMCTL_PFINFO_XTAB"),
        }
    );
    constants!(
        all,
        domctl {
            CPUID_NO_SUBLEAF: (xen "XEN_CPUID_NO_SUBLEAF"),
        }
    );
    constants!(
        all,
        hvm::save {
            FILE_MAGIC: (xen "HVM_FILE_MAGIC"),
            FILE_VERSION: (xen "HVM_FILE_VERSION"),
            FPU_INITIALISED: (xen "XEN_X86_FPU_INITIALISED"),
            MTRR_VCNT: (xen "MTRR_VCNT"),
            NUM_FIXED_MSR: (xen "NUM_FIXED_MSR"),
        }
    );
    constants!(
        all,
        hvm::save::code {
            END: (xen "HVM_SAVE_CODE(END)"),
            HEADER: (xen "HVM_SAVE_CODE(HEADER)"),
            CPU: (xen "HVM_SAVE_CODE(CPU)"),
            LAPIC: (xen "HVM_SAVE_CODE(LAPIC)"),
            LAPIC_REGS: (xen "HVM_SAVE_CODE(LAPIC_REGS)"),
            MTRR: (xen "HVM_SAVE_CODE(MTRR)"),
            CPU_XSAVE: (xen "CPU_XSAVE_CODE"),
            VMCE_VCPU: (xen "HVM_SAVE_CODE(VMCE_VCPU)"),
            TSC_ADJUST: (xen "HVM_SAVE_CODE(TSC_ADJUST)"),
            CPU_MSR: (xen "CPU_MSR_CODE"),
        }
    );
    constants!(
        all,
        domctl::shadow_op {
            OFF: (xen "XEN_DOMCTL_SHADOW_OP_OFF"),
            ENABLE_LOGDIRTY: (xen "XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY"),
            CLEAN: (xen "XEN_DOMCTL_SHADOW_OP_CLEAN"),
            PEEK: (xen "XEN_DOMCTL_SHADOW_OP_PEEK"),
            ENABLE: (xen "XEN_DOMCTL_SHADOW_OP_ENABLE"),
            ENABLE_LOG_DIRTY: (xen "XEN_DOMCTL_SHADOW_ENABLE_LOG_DIRTY"),
            LOGDIRTY_FINAL: (xen "XEN_DOMCTL_SHADOW_LOGDIRTY_FINAL"),
        }
    );
    constants!(
        all,
        cpuid::tsc_mode {
            DEFAULT: (xen "XEN_CPUID_TSC_MODE_DEFAULT"),
            ALWAYS_EMULATE: (xen "XEN_CPUID_TSC_MODE_ALWAYS_EMULATE"),
            NEVER_EMULATE: (xen "XEN_CPUID_TSC_MODE_NEVER_EMULATE"),
        }
    );
    constants!(
        all,
        sysctl::cpu_featureset {
            RAW: (xen "XEN_SYSCTL_cpu_featureset_raw"),
            HOST: (xen "XEN_SYSCTL_cpu_featureset_host"),
            PV: (xen "XEN_SYSCTL_cpu_featureset_pv"),
            HVM: (xen "XEN_SYSCTL_cpu_featureset_hvm"),
            PV_MAX: (xen "XEN_SYSCTL_cpu_featureset_pv_max"),
            HVM_MAX: (xen "XEN_SYSCTL_cpu_featureset_hvm_max"),
        }
    );
    constants!(
        all,
        sysctl::cpu_policy {
            RAW: (xen "XEN_SYSCTL_cpu_policy_raw"),
            HOST: (xen "XEN_SYSCTL_cpu_policy_host"),
            PV_MAX: (xen "XEN_SYSCTL_cpu_policy_pv_max"),
            HVM_MAX: (xen "XEN_SYSCTL_cpu_policy_hvm_max"),
            PV_DEFAULT: (xen "XEN_SYSCTL_cpu_policy_pv_default"),
            HVM_DEFAULT: (xen "XEN_SYSCTL_cpu_policy_hvm_default"),
        }
    );
    constants!(
        all,
        memory::memf {
            POPULATE_ON_DEMAND: (xen "XENMEMF_populate_on_demand"),
        }
    );
    constants!(
        all,
        vcpu_context::flag {
            I387_VALID: (xen "VGCF_i387_valid"),
            ONLINE: (xen "VGCF_online"),
        }
    );
}

fn structs_of(all: &mut Vec<Entry>) {
    structure!(all, domctl::{ Header = (xen "struct xen_domctl") } {
        cmd: (xen "cmd"),
        interface_version: (xen "interface_version"),
        domain: (xen "domain"),
        pad: (xen "_pad"),
        u: (xen "u"),
    } pad { });
    structure!(all, domctl::{ Getdomaininfo = (xen "struct xen_domctl_getdomaininfo") } {
        domain: (xen "domain"),
        pad1: (xen "pad1"),
        flags: (xen "flags"),
        tot_pages: (xen "tot_pages"),
        max_pages: (xen "max_pages"),
        outstanding_pages: (xen "outstanding_pages"),
        shr_pages: (xen "shr_pages"),
        paged_pages: (xen "paged_pages"),
        shared_info_frame: (xen "shared_info_frame"),
        cpu_time: (xen "cpu_time"),
        nr_online_vcpus: (xen "nr_online_vcpus"),
        max_vcpu_id: (xen "max_vcpu_id"),
        ssidref: (xen "ssidref"),
        handle: (xen "handle"),
        cpupool: (xen "cpupool"),
        gpaddr_bits: (xen "gpaddr_bits"),
        pad2: (xen "pad2"),
        emulation_flags: (xen "arch_config.emulation_flags"),
        misc_flags: (xen "arch_config.misc_flags"),
    } pad { });
    structure!(all, domctl::{ Getvcpuinfo = (xen "struct xen_domctl_getvcpuinfo") } {
        vcpu: (xen "vcpu"),
        online: (xen "online"),
        blocked: (xen "blocked"),
        running: (xen "running"),
        cpu_time: (xen "cpu_time"),
        cpu: (xen "cpu"),
    } pad { pad, pad2, });
    structure!(all, domctl::{ Bitmap = (xen "struct xenctl_bitmap") } {
        bitmap: (xen "bitmap"),
        nr_bits: (xen "nr_bits"),
    } pad { pad, });
    structure!(all, domctl::{ Vcpuaffinity = (xen "struct xen_domctl_vcpuaffinity") } {
        vcpu: (xen "vcpu"),
        flags: (xen "flags"),
        cpumap_hard: (xen "cpumap_hard"),
        cpumap_soft: (xen "cpumap_soft"),
    } pad { });
    structure!(all, domctl::{ Createdomain = (xen "struct xen_domctl_createdomain") } {
        ssidref: (xen "ssidref"),
        handle: (xen "handle"),
        flags: (xen "flags"),
        iommu_opts: (xen "iommu_opts"),
        max_vcpus: (xen "max_vcpus"),
        max_evtchn_port: (xen "max_evtchn_port"),
        max_grant_frames: (xen "max_grant_frames"),
        max_maptrack_frames: (xen "max_maptrack_frames"),
        grant_opts: (xen "grant_opts"),
        altp2m_opts: (xen "altp2m_opts"),
        vmtrace_size: (xen "vmtrace_size"),
        cpupool_id: (xen "cpupool_id"),
        emulation_flags: (xen "arch.emulation_flags"),
        misc_flags: (xen "arch.misc_flags"),
    } pad { });
    structure!(all, domctl::{ Vcpucontext = (xen "struct xen_domctl_vcpucontext") } {
        vcpu: (xen "vcpu"),
        ctxt: (xen "ctxt"),
    } pad { pad, });
    structure!(all, domctl::{ SchedulerOp = (xen "struct xen_domctl_scheduler_op") } {
        sched_id: (xen "sched_id"),
        cmd: (xen "cmd"),
        weight: (xen "u.credit.weight"),
        cap: (xen "u.credit.cap"),
    } pad { pad, });
    structure!(all, domctl::{ IrqPermission = (xen "struct xen_domctl_irq_permission") } {
        pirq: (xen "pirq"),
        allow_access: (xen "allow_access"),
        pad: (xen "pad"),
    } pad { });
    structure!(all, domctl::{ IomemPermission = (xen "struct xen_domctl_iomem_permission") } {
        first_mfn: (xen "first_mfn"),
        nr_mfns: (xen "nr_mfns"),
        allow_access: (xen "allow_access"),
    } pad { pad, });
    structure!(all, domctl::{ IoportPermission = (xen "struct xen_domctl_ioport_permission") } {
        first_port: (xen "first_port"),
        nr_ports: (xen "nr_ports"),
        allow_access: (xen "allow_access"),
    } pad { pad, });
    structure!(all, domctl::{ ShadowOpStats = (xen "struct xen_domctl_shadow_op_stats") } {
        fault_count: (xen "fault_count"),
        dirty_count: (xen "dirty_count"),
    } pad { });
    structure!(all, domctl::{ ShadowOp = (xen "struct xen_domctl_shadow_op") } {
        op: (xen "op"),
        mode: (xen "mode"),
        mb: (xen "mb"),
        dirty_bitmap: (xen "dirty_bitmap"),
        pages: (xen "pages"),
        stats: (xen "stats"),
    } pad { pad, });
    structure!(all, domctl::{ Sendtrigger = (xen "struct xen_domctl_sendtrigger") } {
        trigger: (xen "trigger"),
        vcpu: (xen "vcpu"),
    } pad { });
    structure!(all, domctl::{ Hvmcontext = (xen "struct xen_domctl_hvmcontext") } {
        size: (xen "size"),
        buffer: (xen "buffer"),
    } pad { pad, });
    structure!(all, domctl::{ HvmcontextPartial = (xen "struct xen_domctl_hvmcontext_partial") } {
        kind: (xen "type"),
        instance: (xen "instance"),
        bufsz: (xen "bufsz"),
        buffer: (xen "buffer"),
    } pad { });
    structure!(all, domctl::{ TscInfo = (xen "struct xen_domctl_tsc_info") } {
        tsc_mode: (xen "tsc_mode"),
        gtsc_khz: (xen "gtsc_khz"),
        incarnation: (xen "incarnation"),
        pad: (xen "pad"),
        elapsed_nsec: (xen "elapsed_nsec"),
    } pad { });
    structure!(all, domctl::{ Getpageframeinfo3 = (xen "struct xen_domctl_getpageframeinfo3") } {
        num: (xen "num"),
        array: (xen "array"),
    } pad { });
    structure!(all, domctl::{ CpuPolicy = (xen "struct xen_domctl_cpu_policy") } {
        nr_leaves: (xen "nr_leaves"),
        nr_msrs: (xen "nr_msrs"),
        leaves: (xen "leaves"),
        msrs: (xen "msrs"),
        err_leaf: (xen "err_leaf"),
        err_subleaf: (xen "err_subleaf"),
        err_msr: (xen "err_msr"),
    } pad { pad, });
    structure!(all, domctl::{ CpuidLeaf = (xen "xen_cpuid_leaf_t") } {
        leaf: (xen "leaf"),
        subleaf: (xen "subleaf"),
        a: (xen "a"),
        b: (xen "b"),
        c: (xen "c"),
        d: (xen "d"),
    } pad { });
    structure!(all, domctl::{ MsrEntry = (xen "xen_msr_entry_t") } {
        idx: (xen "idx"),
        flags: (xen "flags"),
        val: (xen "val"),
    } pad { });
    structure!(all, domctl::{ SetLlcColors = (xen "struct xen_domctl_set_llc_colors") } {
        num_llc_colors: (xen "num_llc_colors"),
        pad: (xen "pad"),
        llc_colors: (xen "llc_colors"),
    } pad { });
    structure!(all, hvm::save::{ Descriptor = (xen "struct hvm_save_descriptor") } {
        typecode: (xen "typecode"),
        instance: (xen "instance"),
        length: (xen "length"),
    } pad { });
    structure!(all, hvm::save::{ Header = (xen "struct hvm_save_header") } {
        magic: (xen "magic"),
        version: (xen "version"),
        changeset: (xen "changeset"),
        cpuid: (xen "cpuid"),
        gtsc_khz: (xen "gtsc_khz"),
    } pad { });
    structure!(all, hvm::save::{ Cpu = (xen "struct hvm_hw_cpu") } {
        fpu_regs: (xen "fpu_regs"),
        rax: (xen "rax"),
        rbx: (xen "rbx"),
        rcx: (xen "rcx"),
        rdx: (xen "rdx"),
        rbp: (xen "rbp"),
        rsi: (xen "rsi"),
        rdi: (xen "rdi"),
        rsp: (xen "rsp"),
        r8: (xen "r8"),
        r9: (xen "r9"),
        r10: (xen "r10"),
        r11: (xen "r11"),
        r12: (xen "r12"),
        r13: (xen "r13"),
        r14: (xen "r14"),
        r15: (xen "r15"),
        rip: (xen "rip"),
        rflags: (xen "rflags"),
        cr0: (xen "cr0"),
        cr2: (xen "cr2"),
        cr3: (xen "cr3"),
        cr4: (xen "cr4"),
        dr0: (xen "dr0"),
        dr1: (xen "dr1"),
        dr2: (xen "dr2"),
        dr3: (xen "dr3"),
        dr6: (xen "dr6"),
        dr7: (xen "dr7"),
        cs_sel: (xen "cs_sel"),
        ds_sel: (xen "ds_sel"),
        es_sel: (xen "es_sel"),
        fs_sel: (xen "fs_sel"),
        gs_sel: (xen "gs_sel"),
        ss_sel: (xen "ss_sel"),
        tr_sel: (xen "tr_sel"),
        ldtr_sel: (xen "ldtr_sel"),
        cs_limit: (xen "cs_limit"),
        ds_limit: (xen "ds_limit"),
        es_limit: (xen "es_limit"),
        fs_limit: (xen "fs_limit"),
        gs_limit: (xen "gs_limit"),
        ss_limit: (xen "ss_limit"),
        tr_limit: (xen "tr_limit"),
        ldtr_limit: (xen "ldtr_limit"),
        idtr_limit: (xen "idtr_limit"),
        gdtr_limit: (xen "gdtr_limit"),
        cs_base: (xen "cs_base"),
        ds_base: (xen "ds_base"),
        es_base: (xen "es_base"),
        fs_base: (xen "fs_base"),
        gs_base: (xen "gs_base"),
        ss_base: (xen "ss_base"),
        tr_base: (xen "tr_base"),
        ldtr_base: (xen "ldtr_base"),
        idtr_base: (xen "idtr_base"),
        gdtr_base: (xen "gdtr_base"),
        cs_arbytes: (xen "cs_arbytes"),
        ds_arbytes: (xen "ds_arbytes"),
        es_arbytes: (xen "es_arbytes"),
        fs_arbytes: (xen "fs_arbytes"),
        gs_arbytes: (xen "gs_arbytes"),
        ss_arbytes: (xen "ss_arbytes"),
        tr_arbytes: (xen "tr_arbytes"),
        ldtr_arbytes: (xen "ldtr_arbytes"),
        sysenter_cs: (xen "sysenter_cs"),
        sysenter_esp: (xen "sysenter_esp"),
        sysenter_eip: (xen "sysenter_eip"),
        shadow_gs: (xen "shadow_gs"),
        msr_flags: (xen "msr_flags"),
        msr_lstar: (xen "msr_lstar"),
        msr_star: (xen "msr_star"),
        msr_cstar: (xen "msr_cstar"),
        msr_syscall_mask: (xen "msr_syscall_mask"),
        msr_efer: (xen "msr_efer"),
        msr_tsc_aux: (xen "msr_tsc_aux"),
        tsc: (xen "tsc"),
        pending_event: (xen "pending_event"),
        error_code: (xen "error_code"),
        flags: (xen "flags"),
        pad0: (xen "pad0"),
    } pad { });
    structure!(all, hvm::save::{ Lapic = (xen "struct hvm_hw_lapic") } {
        apic_base_msr: (xen "apic_base_msr"),
        disabled: (xen "disabled"),
        timer_divisor: (xen "timer_divisor"),
        tdt_msr: (xen "tdt_msr"),
        pending_esr: (xen "pending_esr"),
    } pad { pad, });
    structure!(all, hvm::save::{ LapicRegs = (xen "struct hvm_hw_lapic_regs") } {
        data: (xen "data"),
    } pad { });
    structure!(all, hvm::save::{ Mtrr = (xen "struct hvm_hw_mtrr") } {
        msr_pat_cr: (xen "msr_pat_cr"),
        msr_mtrr_var: (xen "msr_mtrr_var"),
        msr_mtrr_fixed: (xen "msr_mtrr_fixed"),
        msr_mtrr_cap: (xen "msr_mtrr_cap"),
        msr_mtrr_def_type: (xen "msr_mtrr_def_type"),
    } pad { });
    structure!(all, hvm::save::{ CpuXsave = (xen "struct hvm_hw_cpu_xsave") } {
        xfeature_mask: (xen "xfeature_mask"),
        xcr0: (xen "xcr0"),
        xcr0_accum: (xen "xcr0_accum"),
        fpu_sse: (xen "save_area.fpu_sse"),
        xstate_bv: (xen "save_area.xsave_hdr.xstate_bv"),
        xcomp_bv: (xen "save_area.xsave_hdr.xcomp_bv"),
        reserved: (xen "save_area.xsave_hdr.reserved"),
    } pad { });
    structure!(all, hvm::save::{ VmceVcpu = (xen "struct hvm_vmce_vcpu") } {
        caps: (xen "caps"),
        mci_ctl2_bank0: (xen "mci_ctl2_bank0"),
        mci_ctl2_bank1: (xen "mci_ctl2_bank1"),
        mcg_ext_ctl: (xen "mcg_ext_ctl"),
    } pad { });
    structure!(all, hvm::save::{ TscAdjust = (xen "struct hvm_tsc_adjust") } {
        tsc_adjust: (xen "tsc_adjust"),
    } pad { });
    structure!(all, sysctl::{ CpuFeatureset = (xen "struct xen_sysctl_cpu_featureset") } {
        index: (xen "index"),
        nr_features: (xen "nr_features"),
        features: (xen "features"),
    } pad { });
    structure!(all, sysctl::{ CpuPolicy = (xen "struct xen_sysctl_cpu_policy") } {
        index: (xen "index"),
        nr_leaves: (xen "nr_leaves"),
        nr_msrs: (xen "nr_msrs"),
        rsvd: (xen "_rsvd"),
        leaves: (xen "leaves"),
        msrs: (xen "msrs"),
    } pad { });
    structure!(all, memory::{ PodTarget = (xen "struct xen_pod_target") } {
        target_pages: (xen "target_pages"),
        tot_pages: (xen "tot_pages"),
        pod_cache_pages: (xen "pod_cache_pages"),
        pod_entries: (xen "pod_entries"),
        domid: (xen "domid"),
    } pad { pad, });
    structure!(all, sysctl::{ DebugKeys = (xen "struct xen_sysctl_debug_keys") } {
        keys: (xen "keys"),
        nr_keys: (xen "nr_keys"),
    } pad { pad, });
    structure!(all, sysctl::{ Availheap = (xen "struct xen_sysctl_availheap") } {
        min_bitwidth: (xen "min_bitwidth"),
        max_bitwidth: (xen "max_bitwidth"),
        node: (xen "node"),
        avail_bytes: (xen "avail_bytes"),
    } pad { pad, });
    structure!(all, vcpu_context::{ CpuUserRegs = (xen "struct cpu_user_regs") } {
        r15: (xen "r15"),
        r14: (xen "r14"),
        r13: (xen "r13"),
        r12: (xen "r12"),
        rbp: (xen "rbp"),
        rbx: (xen "rbx"),
        r11: (xen "r11"),
        r10: (xen "r10"),
        r9: (xen "r9"),
        r8: (xen "r8"),
        rax: (xen "rax"),
        rcx: (xen "rcx"),
        rdx: (xen "rdx"),
        rsi: (xen "rsi"),
        rdi: (xen "rdi"),
        error_code: (xen "error_code"),
        entry_vector: (xen "entry_vector"),
        rip: (xen "rip"),
        cs: (xen "cs"),
        saved_upcall_mask: (xen "saved_upcall_mask"),
        rflags: (xen "rflags"),
        rsp: (xen "rsp"),
        ss: (xen "ss"),
        es: (xen "es"),
        ds: (xen "ds"),
        fs: (xen "fs"),
        gs: (xen "gs"),
    } pad { pad0, pad1, pad_ss, pad_es, pad_ds, pad_fs, pad_gs, });
    structure!(all, vcpu_context::{ VcpuGuestContext = (xen "struct vcpu_guest_context") } {
        fpu_ctxt: (xen "fpu_ctxt"),
        flags: (xen "flags"),
        user_regs: (xen "user_regs"),
        trap_ctxt: (xen "trap_ctxt"),
        ldt_base: (xen "ldt_base"),
        ldt_ents: (xen "ldt_ents"),
        gdt_frames: (xen "gdt_frames"),
        gdt_ents: (xen "gdt_ents"),
        kernel_ss: (xen "kernel_ss"),
        kernel_sp: (xen "kernel_sp"),
        ctrlreg: (xen "ctrlreg"),
        debugreg: (xen "debugreg"),
        event_callback_eip: (xen "event_callback_eip"),
        failsafe_callback_eip: (xen "failsafe_callback_eip"),
        syscall_callback_eip: (xen "syscall_callback_eip"),
        vm_assist: (xen "vm_assist"),
        fs_base: (xen "fs_base"),
        gs_base_kernel: (xen "gs_base_kernel"),
        gs_base_user: (xen "gs_base_user"),
    } pad { });
    structure!(all, sysctl::{ SchedulerOp = (xen "struct xen_sysctl_scheduler_op") } {
        cpupool_id: (xen "cpupool_id"),
        sched_id: (xen "sched_id"),
        cmd: (xen "cmd"),
        tslice_ms: (xen "u.sched_credit.tslice_ms"),
        ratelimit_us: (xen "u.sched_credit.ratelimit_us"),
        vcpu_migr_delay_us: (xen "u.sched_credit.vcpu_migr_delay_us"),
    } pad { pad, pad2, });
}
