// SPDX-License-Identifier: GPL-2.0

//! The constants.

use super::{c, Entry};

macro_rules! constants {
    ($all:ident, $($module:ident)::+ { $($name:ident: $c:tt,)* }) => {
        {
            use xen_abi::$($module)::+ as module;
            let path = [$(stringify!($module)),+].join("::");
            $($all.push(Entry {
                what: format!("{path}::{}", stringify!($name)),
                value: module::$name as i128,
                c: c!($c),
            });)*
        }
    };
}

pub(super) use constants;

/// A constant string: the C side has to compare equal.
macro_rules! string {
    ($all:ident, $($module:ident)::+ :: { $name:ident: $c:literal }) => {
        let value = xen_abi::$($module)::+::$name;
        let equal = format!("__builtin_strcmp({}, {value:?}) == 0", $c);
        $all.push(Entry {
            what: [$(stringify!($module),)+ stringify!($name)].join("::"),
            value: 1,
            c: super::InC { xen: Some(equal.clone()), linux: Some(equal), xen32: None },
        });
    };
}

pub fn entries() -> Vec<Entry> {
    let mut all = Vec::new();
    constants!(
        all,
        linux::evtchn::ioctl {
            BIND_VIRQ: (linux "IOCTL_EVTCHN_BIND_VIRQ"),
            BIND_INTERDOMAIN: (linux "IOCTL_EVTCHN_BIND_INTERDOMAIN"),
            BIND_UNBOUND_PORT: (linux "IOCTL_EVTCHN_BIND_UNBOUND_PORT"),
            UNBIND: (linux "IOCTL_EVTCHN_UNBIND"),
            NOTIFY: (linux "IOCTL_EVTCHN_NOTIFY"),
            RESET: (linux "IOCTL_EVTCHN_RESET"),
            RESTRICT_DOMID: (linux "IOCTL_EVTCHN_RESTRICT_DOMID"),
            BIND_STATIC: (linux "IOCTL_EVTCHN_BIND_STATIC"),
        }
    );
    constants!(
        all,
        linux::gntalloc::ioctl {
            ALLOC_GREF: (linux "IOCTL_GNTALLOC_ALLOC_GREF"),
            DEALLOC_GREF: (linux "IOCTL_GNTALLOC_DEALLOC_GREF"),
            SET_UNMAP_NOTIFY: (linux "IOCTL_GNTALLOC_SET_UNMAP_NOTIFY"),
        }
    );
    constants!(
        all,
        linux::gntalloc {
            FLAG_WRITABLE: (linux "GNTALLOC_FLAG_WRITABLE"),
            UNMAP_NOTIFY_CLEAR_BYTE: (linux "UNMAP_NOTIFY_CLEAR_BYTE"),
            UNMAP_NOTIFY_SEND_EVENT: (linux "UNMAP_NOTIFY_SEND_EVENT"),
        }
    );
    constants!(
        all,
        linux::gntdev::ioctl {
            MAP_GRANT_REF: (linux "IOCTL_GNTDEV_MAP_GRANT_REF"),
            UNMAP_GRANT_REF: (linux "IOCTL_GNTDEV_UNMAP_GRANT_REF"),
            GET_OFFSET_FOR_VADDR: (linux "IOCTL_GNTDEV_GET_OFFSET_FOR_VADDR"),
            SET_UNMAP_NOTIFY: (linux "IOCTL_GNTDEV_SET_UNMAP_NOTIFY"),
            GRANT_COPY: (linux "IOCTL_GNTDEV_GRANT_COPY"),
            DMABUF_EXP_FROM_REFS: (linux "IOCTL_GNTDEV_DMABUF_EXP_FROM_REFS"),
            DMABUF_EXP_WAIT_RELEASED: (linux "IOCTL_GNTDEV_DMABUF_EXP_WAIT_RELEASED"),
            DMABUF_IMP_TO_REFS: (linux "IOCTL_GNTDEV_DMABUF_IMP_TO_REFS"),
            DMABUF_IMP_RELEASE: (linux "IOCTL_GNTDEV_DMABUF_IMP_RELEASE"),
        }
    );
    constants!(
        all,
        linux::gntdev::dma_flag {
            WC: (linux "GNTDEV_DMA_FLAG_WC"),
            COHERENT: (linux "GNTDEV_DMA_FLAG_COHERENT"),
        }
    );
    constants!(
        all,
        linux::privcmd::ioctl {
            HYPERCALL: (linux "IOCTL_PRIVCMD_HYPERCALL"),
            MMAP: (linux "IOCTL_PRIVCMD_MMAP"),
            MMAPBATCH: (linux "IOCTL_PRIVCMD_MMAPBATCH"),
            MMAPBATCH_V2: (linux "IOCTL_PRIVCMD_MMAPBATCH_V2"),
            DM_OP: (linux "IOCTL_PRIVCMD_DM_OP"),
            RESTRICT: (linux "IOCTL_PRIVCMD_RESTRICT"),
            MMAP_RESOURCE: (linux "IOCTL_PRIVCMD_MMAP_RESOURCE"),
            IRQFD: (linux "IOCTL_PRIVCMD_IRQFD"),
            IOEVENTFD: (linux "IOCTL_PRIVCMD_IOEVENTFD"),
            PCIDEV_GET_GSI: (linux "IOCTL_PRIVCMD_PCIDEV_GET_GSI"),
        }
    );
    constants!(
        all,
        linux::privcmd {
            MMAPBATCH_MFN_ERROR: (linux "PRIVCMD_MMAPBATCH_MFN_ERROR"),
            MMAPBATCH_PAGED_ERROR: (linux "PRIVCMD_MMAPBATCH_PAGED_ERROR"),
            IRQFD_FLAG_DEASSIGN: (linux "PRIVCMD_IRQFD_FLAG_DEASSIGN"),
            IOEVENTFD_FLAG_DEASSIGN: (linux "PRIVCMD_IOEVENTFD_FLAG_DEASSIGN"),
        }
    );
    constants!(
        all,
        memory::op {
            ACQUIRE_RESOURCE: "XENMEM_acquire_resource",
        }
    );
    constants!(
        all,
        memory {
            RSRC_ACQ_CALLER_OWNED: (linux "XENMEM_rsrc_acq_caller_owned"),
        }
    );
    constants!(
        all,
        xen::domid {
            FIRST_RESERVED: "DOMID_FIRST_RESERVED",
            SELF: "DOMID_SELF",
            IO: "DOMID_IO",
            XEN: "DOMID_XEN",
            COW: "DOMID_COW",
            INVALID: "DOMID_INVALID",
            IDLE: "DOMID_IDLE",
        }
    );
    constants!(
        all,
        xen::hypercall {
            SET_TRAP_TABLE: "__HYPERVISOR_set_trap_table",
            MMU_UPDATE: "__HYPERVISOR_mmu_update",
            SET_GDT: "__HYPERVISOR_set_gdt",
            STACK_SWITCH: "__HYPERVISOR_stack_switch",
            SET_CALLBACKS: "__HYPERVISOR_set_callbacks",
            FPU_TASKSWITCH: "__HYPERVISOR_fpu_taskswitch",
            PLATFORM_OP: "__HYPERVISOR_platform_op",
            SET_DEBUGREG: "__HYPERVISOR_set_debugreg",
            GET_DEBUGREG: "__HYPERVISOR_get_debugreg",
            UPDATE_DESCRIPTOR: "__HYPERVISOR_update_descriptor",
            MEMORY_OP: "__HYPERVISOR_memory_op",
            MULTICALL: "__HYPERVISOR_multicall",
            UPDATE_VA_MAPPING: "__HYPERVISOR_update_va_mapping",
            SET_TIMER_OP: "__HYPERVISOR_set_timer_op",
            XEN_VERSION: "__HYPERVISOR_xen_version",
            CONSOLE_IO: "__HYPERVISOR_console_io",
            GRANT_TABLE_OP: "__HYPERVISOR_grant_table_op",
            VM_ASSIST: "__HYPERVISOR_vm_assist",
            UPDATE_VA_MAPPING_OTHERDOMAIN: "__HYPERVISOR_update_va_mapping_otherdomain",
            IRET: "__HYPERVISOR_iret",
            VCPU_OP: "__HYPERVISOR_vcpu_op",
            SET_SEGMENT_BASE: "__HYPERVISOR_set_segment_base",
            MMUEXT_OP: "__HYPERVISOR_mmuext_op",
            XSM_OP: "__HYPERVISOR_xsm_op",
            NMI_OP: "__HYPERVISOR_nmi_op",
            SCHED_OP: "__HYPERVISOR_sched_op",
            CALLBACK_OP: "__HYPERVISOR_callback_op",
            EVENT_CHANNEL_OP: "__HYPERVISOR_event_channel_op",
            PHYSDEV_OP: "__HYPERVISOR_physdev_op",
            HVM_OP: "__HYPERVISOR_hvm_op",
            SYSCTL: "__HYPERVISOR_sysctl",
            DOMCTL: "__HYPERVISOR_domctl",
            KEXEC_OP: "__HYPERVISOR_kexec_op",
            XENPMU_OP: "__HYPERVISOR_xenpmu_op",
            DM_OP: "__HYPERVISOR_dm_op",
            MCA: "__HYPERVISOR_arch_0",
        }
    );
    constants!(
        all,
        xen::virq {
            TIMER: "VIRQ_TIMER",
            DEBUG: "VIRQ_DEBUG",
            CONSOLE: "VIRQ_CONSOLE",
            DOM_EXC: "VIRQ_DOM_EXC",
            TBUF: "VIRQ_TBUF",
            DEBUGGER: "VIRQ_DEBUGGER",
            XENOPROF: "VIRQ_XENOPROF",
            CON_RING: "VIRQ_CON_RING",
            PCPU_STATE: "VIRQ_PCPU_STATE",
            MEM_EVENT: "VIRQ_MEM_EVENT",
            ENOMEM: "VIRQ_ENOMEM",
            XENPMU: "VIRQ_XENPMU",
            ARCH_0: "VIRQ_ARCH_0",
        }
    );
    constants!(
        all,
        features {
            WRITABLE_PAGE_TABLES: "XENFEAT_writable_page_tables",
            WRITABLE_DESCRIPTOR_TABLES: "XENFEAT_writable_descriptor_tables",
            AUTO_TRANSLATED_PHYSMAP: "XENFEAT_auto_translated_physmap",
            SUPERVISOR_MODE_KERNEL: "XENFEAT_supervisor_mode_kernel",
            PAE_PGDIR_ABOVE_4GB: "XENFEAT_pae_pgdir_above_4gb",
            MMU_PT_UPDATE_PRESERVE_AD: "XENFEAT_mmu_pt_update_preserve_ad",
            HIGHMEM_ASSIST: "XENFEAT_highmem_assist",
            GNTTAB_MAP_AVAIL_BITS: "XENFEAT_gnttab_map_avail_bits",
            HVM_CALLBACK_VECTOR: "XENFEAT_hvm_callback_vector",
            HVM_SAFE_PVCLOCK: "XENFEAT_hvm_safe_pvclock",
            HVM_PIRQS: "XENFEAT_hvm_pirqs",
            DOM0: "XENFEAT_dom0",
            MEMORY_OP_VNODE_SUPPORTED: "XENFEAT_memory_op_vnode_supported",
            LINUX_RSDP_UNRESTRICTED: "XENFEAT_linux_rsdp_unrestricted",
            NOT_DIRECT_MAPPED: "XENFEAT_not_direct_mapped",
            DIRECT_MAPPED: "XENFEAT_direct_mapped",
        }
    );
    constants!(
        all,
        errno {
            EPERM: ("XEN_EPERM", "EPERM"),
            ENOENT: ("XEN_ENOENT", "ENOENT"),
            ESRCH: ("XEN_ESRCH", "ESRCH"),
            EIO: ("XEN_EIO", "EIO"),
            ENXIO: ("XEN_ENXIO", "ENXIO"),
            E2BIG: ("XEN_E2BIG", "E2BIG"),
            ENOEXEC: ("XEN_ENOEXEC", "ENOEXEC"),
            EBADF: ("XEN_EBADF", "EBADF"),
            ECHILD: ("XEN_ECHILD", "ECHILD"),
            EAGAIN: ("XEN_EAGAIN", "EAGAIN"),
            EWOULDBLOCK: ("XEN_EWOULDBLOCK", "EWOULDBLOCK"),
            ENOMEM: ("XEN_ENOMEM", "ENOMEM"),
            EACCES: ("XEN_EACCES", "EACCES"),
            EFAULT: ("XEN_EFAULT", "EFAULT"),
            EBUSY: ("XEN_EBUSY", "EBUSY"),
            EEXIST: ("XEN_EEXIST", "EEXIST"),
            EXDEV: ("XEN_EXDEV", "EXDEV"),
            ENODEV: ("XEN_ENODEV", "ENODEV"),
            ENOTDIR: ("XEN_ENOTDIR", "ENOTDIR"),
            EISDIR: ("XEN_EISDIR", "EISDIR"),
            EINVAL: ("XEN_EINVAL", "EINVAL"),
            ENFILE: ("XEN_ENFILE", "ENFILE"),
            EMFILE: ("XEN_EMFILE", "EMFILE"),
            ENOSPC: ("XEN_ENOSPC", "ENOSPC"),
            EROFS: ("XEN_EROFS", "EROFS"),
            EMLINK: ("XEN_EMLINK", "EMLINK"),
            EDOM: ("XEN_EDOM", "EDOM"),
            ERANGE: ("XEN_ERANGE", "ERANGE"),
            EDEADLK: ("XEN_EDEADLK", "EDEADLK"),
            EDEADLOCK: ("XEN_EDEADLOCK", "EDEADLOCK"),
            ENAMETOOLONG: ("XEN_ENAMETOOLONG", "ENAMETOOLONG"),
            ENOLCK: ("XEN_ENOLCK", "ENOLCK"),
            ENOSYS: ("XEN_ENOSYS", "ENOSYS"),
            ENOTEMPTY: ("XEN_ENOTEMPTY", "ENOTEMPTY"),
            ENODATA: ("XEN_ENODATA", "ENODATA"),
            ETIME: ("XEN_ETIME", "ETIME"),
            EBADMSG: ("XEN_EBADMSG", "EBADMSG"),
            EOVERFLOW: ("XEN_EOVERFLOW", "EOVERFLOW"),
            EILSEQ: ("XEN_EILSEQ", "EILSEQ"),
            ENOTSOCK: ("XEN_ENOTSOCK", "ENOTSOCK"),
            EMSGSIZE: ("XEN_EMSGSIZE", "EMSGSIZE"),
            EOPNOTSUPP: ("XEN_EOPNOTSUPP", "EOPNOTSUPP"),
            EADDRINUSE: ("XEN_EADDRINUSE", "EADDRINUSE"),
            EADDRNOTAVAIL: ("XEN_EADDRNOTAVAIL", "EADDRNOTAVAIL"),
            ENOBUFS: ("XEN_ENOBUFS", "ENOBUFS"),
            EISCONN: ("XEN_EISCONN", "EISCONN"),
            ENOTCONN: ("XEN_ENOTCONN", "ENOTCONN"),
            ETIMEDOUT: ("XEN_ETIMEDOUT", "ETIMEDOUT"),
            ECONNREFUSED: ("XEN_ECONNREFUSED", "ECONNREFUSED"),
        }
    );
    constants!(
        all,
        event_channel::op {
            BIND_INTERDOMAIN: "EVTCHNOP_bind_interdomain",
            BIND_VIRQ: "EVTCHNOP_bind_virq",
            BIND_PIRQ: "EVTCHNOP_bind_pirq",
            CLOSE: "EVTCHNOP_close",
            SEND: "EVTCHNOP_send",
            STATUS: "EVTCHNOP_status",
            ALLOC_UNBOUND: "EVTCHNOP_alloc_unbound",
            BIND_IPI: "EVTCHNOP_bind_ipi",
            BIND_VCPU: "EVTCHNOP_bind_vcpu",
            UNMASK: "EVTCHNOP_unmask",
            RESET: "EVTCHNOP_reset",
            INIT_CONTROL: "EVTCHNOP_init_control",
            EXPAND_ARRAY: "EVTCHNOP_expand_array",
            SET_PRIORITY: "EVTCHNOP_set_priority",
        }
    );
    constants!(
        all,
        event_channel::status {
            CLOSED: "EVTCHNSTAT_closed",
            UNBOUND: "EVTCHNSTAT_unbound",
            INTERDOMAIN: "EVTCHNSTAT_interdomain",
            PIRQ: "EVTCHNSTAT_pirq",
            VIRQ: "EVTCHNSTAT_virq",
            IPI: "EVTCHNSTAT_ipi",
        }
    );
    constants!(
        all,
        event_channel {
            BIND_PIRQ_WILL_SHARE: "BIND_PIRQ__WILL_SHARE",
            NR_CHANNELS_2L: "EVTCHN_2L_NR_CHANNELS",
        }
    );
    constants!(
        all,
        event_channel::fifo {
            PRIORITY_MAX: "EVTCHN_FIFO_PRIORITY_MAX",
            PRIORITY_DEFAULT: "EVTCHN_FIFO_PRIORITY_DEFAULT",
            PRIORITY_MIN: "EVTCHN_FIFO_PRIORITY_MIN",
            MAX_QUEUES: "EVTCHN_FIFO_MAX_QUEUES",
            PENDING: "EVTCHN_FIFO_PENDING",
            MASKED: "EVTCHN_FIFO_MASKED",
            LINKED: "EVTCHN_FIFO_LINKED",
            BUSY: "EVTCHN_FIFO_BUSY",
            LINK_BITS: "EVTCHN_FIFO_LINK_BITS",
            LINK_MASK: "EVTCHN_FIFO_LINK_MASK",
            NR_CHANNELS: "EVTCHN_FIFO_NR_CHANNELS",
        }
    );
    constants!(
        all,
        grant_table::reserved {
            COUNT: "GNTTAB_NR_RESERVED_ENTRIES",
            CONSOLE: "GNTTAB_RESERVED_CONSOLE",
            XENSTORE: "GNTTAB_RESERVED_XENSTORE",
        }
    );
    constants!(
        all,
        grant_table::flag {
            INVALID: "GTF_invalid",
            PERMIT_ACCESS: "GTF_permit_access",
            ACCEPT_TRANSFER: "GTF_accept_transfer",
            TRANSITIVE: "GTF_transitive",
            TYPE_MASK: "GTF_type_mask",
            READONLY: "GTF_readonly",
            READING: "GTF_reading",
            WRITING: "GTF_writing",
            PWT: "GTF_PWT",
            PCD: "GTF_PCD",
            PAT: "GTF_PAT",
            SUB_PAGE: "GTF_sub_page",
            TRANSFER_COMMITTED: "GTF_transfer_committed",
            TRANSFER_COMPLETED: "GTF_transfer_completed",
        }
    );
    constants!(
        all,
        grant_table::status {
            OKAY: "GNTST_okay",
            GENERAL_ERROR: "GNTST_general_error",
            BAD_DOMAIN: "GNTST_bad_domain",
            BAD_GNTREF: "GNTST_bad_gntref",
            BAD_HANDLE: "GNTST_bad_handle",
            BAD_VIRT_ADDR: "GNTST_bad_virt_addr",
            BAD_DEV_ADDR: "GNTST_bad_dev_addr",
            NO_DEVICE_SPACE: "GNTST_no_device_space",
            PERMISSION_DENIED: "GNTST_permission_denied",
            BAD_PAGE: "GNTST_bad_page",
            BAD_COPY_ARG: "GNTST_bad_copy_arg",
            ADDRESS_TOO_BIG: "GNTST_address_too_big",
            EAGAIN: "GNTST_eagain",
            NO_SPACE: "GNTST_no_space",
        }
    );
    constants!(
        all,
        grant_table::op {
            MAP_GRANT_REF: "GNTTABOP_map_grant_ref",
            UNMAP_GRANT_REF: "GNTTABOP_unmap_grant_ref",
            SETUP_TABLE: "GNTTABOP_setup_table",
            DUMP_TABLE: "GNTTABOP_dump_table",
            TRANSFER: "GNTTABOP_transfer",
            COPY: "GNTTABOP_copy",
            QUERY_SIZE: "GNTTABOP_query_size",
            UNMAP_AND_REPLACE: "GNTTABOP_unmap_and_replace",
            SET_VERSION: "GNTTABOP_set_version",
            GET_STATUS_FRAMES: "GNTTABOP_get_status_frames",
            GET_VERSION: "GNTTABOP_get_version",
            SWAP_GRANT_REF: "GNTTABOP_swap_grant_ref",
            CACHE_FLUSH: "GNTTABOP_cache_flush",
        }
    );
    constants!(
        all,
        grant_table::op::map_flag {
            DEVICE_MAP: "GNTMAP_device_map",
            HOST_MAP: "GNTMAP_host_map",
            READONLY: "GNTMAP_readonly",
            APPLICATION_MAP: "GNTMAP_application_map",
            CONTAINS_PTE: "GNTMAP_contains_pte",
            GUEST_AVAIL_MASK: "GNTMAP_guest_avail_mask",
        }
    );
    constants!(
        all,
        grant_table::op::copy_flag {
            SOURCE_GREF: "GNTCOPY_source_gref",
            DEST_GREF: "GNTCOPY_dest_gref",
        }
    );
    constants!(
        all,
        grant_table::op::cache_flag {
            CLEAN: "GNTTAB_CACHE_CLEAN",
            INVAL: "GNTTAB_CACHE_INVAL",
            SOURCE_GREF: "GNTTAB_CACHE_SOURCE_GREF",
        }
    );
    constants!(
        all,
        io::ring {
            REQ_PROD: "offsetof(struct blkif_sring, req_prod)",
            REQ_EVENT: "offsetof(struct blkif_sring, req_event)",
            RSP_PROD: "offsetof(struct blkif_sring, rsp_prod)",
            RSP_EVENT: "offsetof(struct blkif_sring, rsp_event)",
            SLOTS: "offsetof(struct blkif_sring, ring)",
        }
    );
    constants!(all, io::blkif::op {
        READ: "BLKIF_OP_READ",
        WRITE: "BLKIF_OP_WRITE",
        WRITE_BARRIER: "BLKIF_OP_WRITE_BARRIER",
        FLUSH_DISKCACHE: "BLKIF_OP_FLUSH_DISKCACHE",
        RESERVED_1: (xen "BLKIF_OP_RESERVED_1"),
        DISCARD: "BLKIF_OP_DISCARD",
        INDIRECT: "BLKIF_OP_INDIRECT",
    });
    constants!(
        all,
        io::blkif::rsp {
            OKAY: "BLKIF_RSP_OKAY",
            ERROR: "BLKIF_RSP_ERROR",
            EOPNOTSUPP: "BLKIF_RSP_EOPNOTSUPP",
        }
    );
    constants!(
        all,
        io::blkif::vdisk {
            CDROM: "VDISK_CDROM",
            REMOVABLE: "VDISK_REMOVABLE",
            READONLY: "VDISK_READONLY",
        }
    );
    constants!(all, io::blkif::major {
        IDE0: (linux "XEN_IDE0_MAJOR"),
        IDE1: (linux "XEN_IDE1_MAJOR"),
        SCSI_DISK0: (linux "XEN_SCSI_DISK0_MAJOR"),
        SCSI_DISK1: (linux "XEN_SCSI_DISK1_MAJOR"),
        SCSI_DISK7: (linux "XEN_SCSI_DISK7_MAJOR"),
        SCSI_DISK8: (linux "XEN_SCSI_DISK8_MAJOR"),
        SCSI_DISK15: (linux "XEN_SCSI_DISK15_MAJOR"),
    });
    constants!(
        all,
        io::blkif {
            DISCARD_SECURE: "BLKIF_DISCARD_SECURE",
            MAX_SEGMENTS_PER_REQUEST: "BLKIF_MAX_SEGMENTS_PER_REQUEST",
            MAX_INDIRECT_PAGES_PER_REQUEST: "BLKIF_MAX_INDIRECT_PAGES_PER_REQUEST",
            SEGMENTS_PER_INDIRECT_PAGE: "4096 / sizeof(struct blkif_request_segment)",
        }
    );
    constants!(
        all,
        io::netif {
            NR_SLOTS_MIN: "XEN_NETIF_NR_SLOTS_MIN",
            MAX_TX_SIZE: "XEN_NETIF_MAX_TX_SIZE",
            MAX_XDP_HEADROOM: (linux "XEN_NETIF_MAX_XDP_HEADROOM"),
            GREF_READONLY: (xen "XEN_NETIF_CTRLF_GREF_readonly"),
        }
    );
    constants!(
        all,
        io::netif::tx_flag {
            CSUM_BLANK: ("NETTXF_csum_blank", "XEN_NETTXF_csum_blank"),
            DATA_VALIDATED: ("NETTXF_data_validated", "XEN_NETTXF_data_validated"),
            MORE_DATA: ("NETTXF_more_data", "XEN_NETTXF_more_data"),
            EXTRA_INFO: ("NETTXF_extra_info", "XEN_NETTXF_extra_info"),
        }
    );
    constants!(
        all,
        io::netif::rx_flag {
            DATA_VALIDATED: ("NETRXF_data_validated", "XEN_NETRXF_data_validated"),
            CSUM_BLANK: ("NETRXF_csum_blank", "XEN_NETRXF_csum_blank"),
            MORE_DATA: ("NETRXF_more_data", "XEN_NETRXF_more_data"),
            EXTRA_INFO: ("NETRXF_extra_info", "XEN_NETRXF_extra_info"),
            GSO_PREFIX: ("NETRXF_gso_prefix", "XEN_NETRXF_gso_prefix"),
        }
    );
    constants!(all, io::netif::extra {
        NONE: "XEN_NETIF_EXTRA_TYPE_NONE",
        GSO: "XEN_NETIF_EXTRA_TYPE_GSO",
        MCAST_ADD: "XEN_NETIF_EXTRA_TYPE_MCAST_ADD",
        MCAST_DEL: "XEN_NETIF_EXTRA_TYPE_MCAST_DEL",
        HASH: "XEN_NETIF_EXTRA_TYPE_HASH",
        XDP: (linux "XEN_NETIF_EXTRA_TYPE_XDP"),
        MAX: (linux "XEN_NETIF_EXTRA_TYPE_MAX"),
        FLAG_MORE: "XEN_NETIF_EXTRA_FLAG_MORE",
    });
    constants!(
        all,
        io::netif::gso {
            NONE: "XEN_NETIF_GSO_TYPE_NONE",
            TCPV4: "XEN_NETIF_GSO_TYPE_TCPV4",
            TCPV6: "XEN_NETIF_GSO_TYPE_TCPV6",
        }
    );
    constants!(
        all,
        io::netif::hash_type {
            IPV4: "_XEN_NETIF_CTRL_HASH_TYPE_IPV4",
            IPV4_TCP: "_XEN_NETIF_CTRL_HASH_TYPE_IPV4_TCP",
            IPV6: "_XEN_NETIF_CTRL_HASH_TYPE_IPV6",
            IPV6_TCP: "_XEN_NETIF_CTRL_HASH_TYPE_IPV6_TCP",
        }
    );
    constants!(
        all,
        io::netif::hash_flag {
            IPV4: "XEN_NETIF_CTRL_HASH_TYPE_IPV4",
            IPV4_TCP: "XEN_NETIF_CTRL_HASH_TYPE_IPV4_TCP",
            IPV6: "XEN_NETIF_CTRL_HASH_TYPE_IPV6",
            IPV6_TCP: "XEN_NETIF_CTRL_HASH_TYPE_IPV6_TCP",
        }
    );
    constants!(
        all,
        io::netif::hash_algorithm {
            NONE: "XEN_NETIF_CTRL_HASH_ALGORITHM_NONE",
            TOEPLITZ: "XEN_NETIF_CTRL_HASH_ALGORITHM_TOEPLITZ",
        }
    );
    constants!(all, io::netif::ctrl {
        INVALID: "XEN_NETIF_CTRL_TYPE_INVALID",
        GET_HASH_FLAGS: "XEN_NETIF_CTRL_TYPE_GET_HASH_FLAGS",
        SET_HASH_FLAGS: "XEN_NETIF_CTRL_TYPE_SET_HASH_FLAGS",
        SET_HASH_KEY: "XEN_NETIF_CTRL_TYPE_SET_HASH_KEY",
        GET_HASH_MAPPING_SIZE: "XEN_NETIF_CTRL_TYPE_GET_HASH_MAPPING_SIZE",
        SET_HASH_MAPPING_SIZE: "XEN_NETIF_CTRL_TYPE_SET_HASH_MAPPING_SIZE",
        SET_HASH_MAPPING: "XEN_NETIF_CTRL_TYPE_SET_HASH_MAPPING",
        SET_HASH_ALGORITHM: "XEN_NETIF_CTRL_TYPE_SET_HASH_ALGORITHM",
        GET_GREF_MAPPING_SIZE: (xen "XEN_NETIF_CTRL_TYPE_GET_GREF_MAPPING_SIZE"),
        ADD_GREF_MAPPING: (xen "XEN_NETIF_CTRL_TYPE_ADD_GREF_MAPPING"),
        DEL_GREF_MAPPING: (xen "XEN_NETIF_CTRL_TYPE_DEL_GREF_MAPPING"),
    });
    constants!(
        all,
        io::netif::ctrl_status {
            SUCCESS: "XEN_NETIF_CTRL_STATUS_SUCCESS",
            NOT_SUPPORTED: "XEN_NETIF_CTRL_STATUS_NOT_SUPPORTED",
            INVALID_PARAMETER: "XEN_NETIF_CTRL_STATUS_INVALID_PARAMETER",
            BUFFER_OVERFLOW: "XEN_NETIF_CTRL_STATUS_BUFFER_OVERFLOW",
        }
    );
    constants!(
        all,
        io::netif::rsp {
            DROPPED: ("NETIF_RSP_DROPPED", "XEN_NETIF_RSP_DROPPED"),
            ERROR: ("NETIF_RSP_ERROR", "XEN_NETIF_RSP_ERROR"),
            OKAY: ("NETIF_RSP_OKAY", "XEN_NETIF_RSP_OKAY"),
            NULL: ("NETIF_RSP_NULL", "XEN_NETIF_RSP_NULL"),
        }
    );
    constants!(
        all,
        io::pciif::op {
            CONF_READ: "XEN_PCI_OP_conf_read",
            CONF_WRITE: "XEN_PCI_OP_conf_write",
            ENABLE_MSI: "XEN_PCI_OP_enable_msi",
            DISABLE_MSI: "XEN_PCI_OP_disable_msi",
            ENABLE_MSIX: "XEN_PCI_OP_enable_msix",
            DISABLE_MSIX: "XEN_PCI_OP_disable_msix",
            AER_DETECTED: "XEN_PCI_OP_aer_detected",
            AER_RESUME: "XEN_PCI_OP_aer_resume",
            AER_MMIO: "XEN_PCI_OP_aer_mmio",
            AER_SLOTRESET: "XEN_PCI_OP_aer_slotreset",
        }
    );
    constants!(
        all,
        io::pciif::err {
            SUCCESS: "XEN_PCI_ERR_success",
            DEV_NOT_FOUND: "XEN_PCI_ERR_dev_not_found",
            INVALID_OFFSET: "XEN_PCI_ERR_invalid_offset",
            ACCESS_DENIED: "XEN_PCI_ERR_access_denied",
            NOT_IMPLEMENTED: "XEN_PCI_ERR_not_implemented",
            OP_FAILED: "XEN_PCI_ERR_op_failed",
        }
    );
    constants!(
        all,
        io::pciif::flag {
            FRONT_ACTIVE: "_XEN_PCIF_active",
            AER_HANDLER: "_XEN_PCIB_AERHANDLER",
            BACK_ACTIVE: "_XEN_PCIB_active",
        }
    );
    constants!(
        all,
        io::pciif {
            MAX_VECTORS: "SH_INFO_MAX_VEC",
        }
    );
    constants!(
        all,
        io::xs_wire::msg {
            CONTROL: "XS_CONTROL",
            DIRECTORY: "XS_DIRECTORY",
            READ: "XS_READ",
            GET_PERMS: "XS_GET_PERMS",
            WATCH: "XS_WATCH",
            UNWATCH: "XS_UNWATCH",
            TRANSACTION_START: "XS_TRANSACTION_START",
            TRANSACTION_END: "XS_TRANSACTION_END",
            INTRODUCE: "XS_INTRODUCE",
            RELEASE: "XS_RELEASE",
            GET_DOMAIN_PATH: "XS_GET_DOMAIN_PATH",
            WRITE: "XS_WRITE",
            MKDIR: "XS_MKDIR",
            RM: "XS_RM",
            SET_PERMS: "XS_SET_PERMS",
            WATCH_EVENT: "XS_WATCH_EVENT",
            ERROR: "XS_ERROR",
            IS_DOMAIN_INTRODUCED: "XS_IS_DOMAIN_INTRODUCED",
            RESUME: "XS_RESUME",
            SET_TARGET: "XS_SET_TARGET",
            RESET_WATCHES: "XS_RESET_WATCHES",
            DIRECTORY_PART: "XS_DIRECTORY_PART",
            COUNT: "XS_TYPE_COUNT",
            INVALID: "XS_INVALID",
        }
    );
    constants!(
        all,
        io::console::connection {
            CONNECTED: (linux "XENCONSOLE_CONNECTED"),
            DISCONNECTED: (linux "XENCONSOLE_DISCONNECTED"),
        }
    );
    constants!(
        all,
        io::xs_wire {
            PAYLOAD_MAX: "XENSTORE_PAYLOAD_MAX",
            ABS_PATH_MAX: "XENSTORE_ABS_PATH_MAX",
            REL_PATH_MAX: "XENSTORE_REL_PATH_MAX",
            RING_SIZE: "XENSTORE_RING_SIZE",
        }
    );
    constants!(
        all,
        io::xs_wire::server_feature {
            RECONNECTION: "XENSTORE_SERVER_FEATURE_RECONNECTION",
            ERROR: "XENSTORE_SERVER_FEATURE_ERROR",
        }
    );
    constants!(
        all,
        io::xs_wire::connection {
            CONNECTED: "XENSTORE_CONNECTED",
            RECONNECT: "XENSTORE_RECONNECT",
        }
    );
    constants!(
        all,
        io::xs_wire::error {
            NONE: "XENSTORE_ERROR_NONE",
            COMM: "XENSTORE_ERROR_COMM",
            RINGIDX: "XENSTORE_ERROR_RINGIDX",
            PROTO: "XENSTORE_ERROR_PROTO",
        }
    );
    constants!(
        all,
        io::xenbus::State {
            Unknown: "XenbusStateUnknown",
            Initialising: "XenbusStateInitialising",
            InitWait: "XenbusStateInitWait",
            Initialised: "XenbusStateInitialised",
            Connected: "XenbusStateConnected",
            Closing: "XenbusStateClosing",
            Closed: "XenbusStateClosed",
            Reconfiguring: "XenbusStateReconfiguring",
            Reconfigured: "XenbusStateReconfigured",
        }
    );
    constants!(
        all,
        hvm::dm_op::op {
            SET_PCI_INTX_LEVEL: (xen "XEN_DMOP_set_pci_intx_level"),
            SET_ISA_IRQ_LEVEL: (xen "XEN_DMOP_set_isa_irq_level"),
            INJECT_MSI: (xen "XEN_DMOP_inject_msi"),
            REMOTE_SHUTDOWN: (xen "XEN_DMOP_remote_shutdown"),
            SET_IRQ_LEVEL: (xen "XEN_DMOP_set_irq_level"),
        }
    );
    constants!(
        all,
        hvm::ioreq::state {
            NONE: "STATE_IOREQ_NONE",
            READY: "STATE_IOREQ_READY",
            INPROCESS: "STATE_IOREQ_INPROCESS",
            RESP_READY: "STATE_IORESP_READY",
        }
    );
    constants!(
        all,
        hvm::ioreq::kind {
            PIO: "IOREQ_TYPE_PIO",
            COPY: "IOREQ_TYPE_COPY",
            PCI_CONFIG: "IOREQ_TYPE_PCI_CONFIG",
            TIMEOFFSET: "IOREQ_TYPE_TIMEOFFSET",
            INVALIDATE: "IOREQ_TYPE_INVALIDATE",
        }
    );
    constants!(
        all,
        hvm::ioreq::direction {
            WRITE: "IOREQ_WRITE",
            READ: "IOREQ_READ",
        }
    );
    string!(all, io::protocols::{ X86_32: "XEN_IO_PROTO_ABI_X86_32" });
    string!(all, io::protocols::{ X86_64: "XEN_IO_PROTO_ABI_X86_64" });
    string!(all, io::protocols::{ ARM: "XEN_IO_PROTO_ABI_ARM" });
    all
}
