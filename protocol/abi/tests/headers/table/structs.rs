// SPDX-License-Identifier: GPL-2.0

//! The structures: size, and offset and size of each field.

use super::{c, Entry, InC};
use zerocopy::FromZeros;

/// Lists a structure: its C type, the size's C type where another one has it, and all of its
/// fields, those that are padding in C behind `pad`.
macro_rules! structure {
    (
        $all:ident, $($module:ident)::+ :: { $name:ident = $c:tt }
        $(size $size:tt)?
        { $($field:ident: $field_c:tt,)* }
        pad { $($pad:ident,)* }
    ) => {{
        type Ours = xen_abi::$($module)::+::$name;
        let ours = Ours::new_zeroed();
        // Does not compile if a field is missing in the list.
        let Ours { $($field: _,)* $($pad: _,)* } = ours;
        let path = [$(stringify!($module),)+ stringify!($name)].join("::");
        let c: InC = c!($c);
        let size: InC = structure!(@size $c $($size)?);
        $all.push(Entry {
            what: format!("{path}: size"),
            value: size_of::<Ours>() as i128,
            c: size.map(|c| format!("sizeof({c})")),
        });
        $({
            let field: InC = c!($field_c);
            $all.push(Entry {
                what: format!("{path}.{}: offset", stringify!($field)),
                value: core::mem::offset_of!(Ours, $field) as i128,
                c: c.with(&field, |c, field| format!("offsetof({c}, {field})")),
            });
            // A copy, since not all structures keep their fields aligned.
            let value = ours.$field;
            $all.push(Entry {
                what: format!("{path}.{}: size", stringify!($field)),
                value: size_of_val(&value) as i128,
                c: c.with(&field, |c, field| format!("sizeof((({c} *)0)->{field})")),
            });
        })*
    }};
    (@size $c:tt) => { c!($c) };
    (@size $c:tt $size:tt) => { c!($size) };
}

pub(super) use structure;

pub fn entries() -> Vec<Entry> {
    let mut all = Vec::new();
    event_channel(&mut all);
    grant_table(&mut all);
    grant_table_op(&mut all);
    blkif(&mut all);
    netif(&mut all);
    others(&mut all);
    linux_evtchn(&mut all);
    linux_gntalloc(&mut all);
    linux_gntdev(&mut all);
    linux_privcmd(&mut all);
    hypercalls(&mut all);
    all
}

fn linux_evtchn(all: &mut Vec<Entry>) {
    structure!(all, linux::evtchn::{ BindVirq = (linux "struct ioctl_evtchn_bind_virq") } {
        virq: (linux "virq"),
    } pad {});
    structure!(all, linux::evtchn::{ BindInterdomain = (linux "struct ioctl_evtchn_bind_interdomain") } {
        remote_domain: (linux "remote_domain"), remote_port: (linux "remote_port"),
    } pad {});
    structure!(all, linux::evtchn::{ BindUnboundPort = (linux "struct ioctl_evtchn_bind_unbound_port") } {
        remote_domain: (linux "remote_domain"),
    } pad {});
    structure!(all, linux::evtchn::{ Port = (linux "struct ioctl_evtchn_unbind") } {
        port: (linux "port"),
    } pad {});
    structure!(all, linux::evtchn::{ Port = (linux "struct ioctl_evtchn_notify") } {
        port: (linux "port"),
    } pad {});
    structure!(all, linux::evtchn::{ Port = (linux "struct ioctl_evtchn_bind") } {
        port: (linux "port"),
    } pad {});
    structure!(all, linux::evtchn::{ RestrictDomid = (linux "struct ioctl_evtchn_restrict_domid") } {
        domid: (linux "domid"),
    } pad {});
}

fn event_channel(all: &mut Vec<Entry>) {
    structure!(all, event_channel::{ AllocUnbound = "struct evtchn_alloc_unbound" } {
        dom: "dom", remote_dom: "remote_dom", port: "port",
    } pad {});
    structure!(all, event_channel::{ BindInterdomain = "struct evtchn_bind_interdomain" } {
        remote_dom: "remote_dom", remote_port: "remote_port", local_port: "local_port",
    } pad { pad, });
    structure!(all, event_channel::{ BindVirq = "struct evtchn_bind_virq" } {
        virq: "virq", vcpu: "vcpu", port: "port",
    } pad {});
    structure!(all, event_channel::{ BindPirq = "struct evtchn_bind_pirq" } {
        pirq: "pirq", flags: "flags", port: "port",
    } pad {});
    structure!(all, event_channel::{ BindIpi = "struct evtchn_bind_ipi" } {
        vcpu: "vcpu", port: "port",
    } pad {});
    structure!(all, event_channel::{ Port = "struct evtchn_close" } { port: "port", } pad {});
    structure!(all, event_channel::{ Port = "struct evtchn_send" } { port: "port", } pad {});
    structure!(all, event_channel::{ Port = "struct evtchn_unmask" } { port: "port", } pad {});
    structure!(all, event_channel::{ Status = "struct evtchn_status" } {
        dom: "dom", port: "port", status: "status", vcpu: "vcpu",
        detail: "u.pirq", remote_port: "u.interdomain.port",
    } pad { pad, });
    structure!(all, event_channel::{ BindVcpu = "struct evtchn_bind_vcpu" } {
        port: "port", vcpu: "vcpu",
    } pad {});
    structure!(all, event_channel::{ Reset = "struct evtchn_reset" } { dom: "dom", } pad {});
    structure!(all, event_channel::{ InitControl = "struct evtchn_init_control" } {
        control_gfn: "control_gfn", offset: "offset", vcpu: "vcpu", link_bits: "link_bits",
        pad: "_pad",
    } pad {});
    structure!(all, event_channel::{ ExpandArray = "struct evtchn_expand_array" } {
        array_gfn: "array_gfn",
    } pad {});
    structure!(all, event_channel::{ SetPriority = "struct evtchn_set_priority" } {
        port: "port", priority: "priority",
    } pad {});
    structure!(all, event_channel::{ FifoControlBlock = "struct evtchn_fifo_control_block" } {
        ready: "ready", reserved: "_rsvd", head: "head",
    } pad {});
}

fn grant_table(all: &mut Vec<Entry>) {
    structure!(all, grant_table::{ EntryV1 = "struct grant_entry_v1" } {
        flags: "flags", domid: "domid", frame: "frame",
    } pad {});
    structure!(all, grant_table::{ EntryV2 = "union grant_entry_v2" } {
        flags: "full_page.hdr.flags", domid: "full_page.hdr.domid", pad: "full_page.pad0",
        frame: "full_page.frame",
    } pad {});
    structure!(all, grant_table::{ EntryV2SubPage = "union grant_entry_v2" } {
        flags: "sub_page.hdr.flags", domid: "sub_page.hdr.domid",
        page_off: "sub_page.page_off", length: "sub_page.length", frame: "sub_page.frame",
    } pad {});
    structure!(all, grant_table::{ EntryV2Transitive = "union grant_entry_v2" } {
        flags: "transitive.hdr.flags", domid: "transitive.hdr.domid",
        trans_domid: "transitive.trans_domid", pad0: "transitive.pad0", gref: "transitive.gref",
    } pad { pad1, });
}

fn grant_table_op(all: &mut Vec<Entry>) {
    structure!(all, grant_table::op::{ MapGrantRef = "struct gnttab_map_grant_ref" } {
        host_addr: "host_addr", flags: "flags", gref: "ref", dom: "dom", status: "status",
        handle: "handle", dev_bus_addr: "dev_bus_addr",
    } pad {});
    structure!(all, grant_table::op::{ UnmapGrantRef = "struct gnttab_unmap_grant_ref" } {
        host_addr: "host_addr", dev_bus_addr: "dev_bus_addr", handle: "handle", status: "status",
    } pad { pad, });
    structure!(all, grant_table::op::{ SetupTable = "struct gnttab_setup_table" } {
        dom: "dom", nr_frames: "nr_frames", status: "status", frame_list: "frame_list",
    } pad { pad0, pad1, });
    structure!(all, grant_table::op::{ DumpTable = "struct gnttab_dump_table" } {
        dom: "dom", status: "status",
    } pad {});
    structure!(all, grant_table::op::{ Transfer = "struct gnttab_transfer" } {
        mfn: "mfn", domid: "domid", gref: "ref", status: "status",
    } pad { pad0, pad1, });
    structure!(all, grant_table::op::{ CopyPtr = "struct gnttab_copy_ptr" } {
        frame_or_gref: "u", domid: "domid", offset: "offset",
    } pad { pad, });
    structure!(all, grant_table::op::{ Copy = "struct gnttab_copy" } {
        source: "source", dest: "dest", len: "len", flags: "flags", status: "status",
    } pad { pad, });
    structure!(all, grant_table::op::{ QuerySize = "struct gnttab_query_size" } {
        dom: "dom", nr_frames: "nr_frames", max_nr_frames: "max_nr_frames", status: "status",
    } pad { pad0, pad1, });
    structure!(all, grant_table::op::{ UnmapAndReplace = "struct gnttab_unmap_and_replace" } {
        host_addr: "host_addr", new_addr: "new_addr", handle: "handle", status: "status",
    } pad { pad, });
    structure!(all, grant_table::op::{ SetVersion = "struct gnttab_set_version" } {
        version: "version",
    } pad {});
    structure!(all, grant_table::op::{ GetStatusFrames = "struct gnttab_get_status_frames" } {
        nr_frames: "nr_frames", dom: "dom", status: "status", frame_list: "frame_list",
    } pad {});
    structure!(all, grant_table::op::{ GetVersion = "struct gnttab_get_version" } {
        dom: "dom", pad: "pad", version: "version",
    } pad {});
    structure!(all, grant_table::op::{ SwapGrantRef = "struct gnttab_swap_grant_ref" } {
        ref_a: "ref_a", ref_b: "ref_b", status: "status",
    } pad { pad, });
    structure!(all, grant_table::op::{ CacheFlush = "struct gnttab_cache_flush" } {
        dev_bus_addr_or_gref: "a", offset: "offset", length: "length", op: "op",
    } pad {});
}

fn blkif(all: &mut Vec<Entry>) {
    structure!(all, io::blkif::{ Segment = "struct blkif_request_segment" } {
        gref: "gref", first_sect: "first_sect", last_sect: "last_sect",
    } pad { pad, });
    // Linux packs all variants into one structure.
    structure!(all, io::blkif::{ Request = "struct blkif_request" } {
        operation: "operation",
        nr_segments: ("nr_segments", "u.rw.nr_segments"),
        handle: ("handle", "u.rw.handle"),
        id: ("id", "u.rw.id"),
        sector_number: ("sector_number", "u.rw.sector_number"),
        seg: ("seg", "u.rw.seg"),
    } pad { pad, });
    structure!(all, io::blkif::{
        DiscardRequest = ("struct blkif_request_discard", "struct blkif_request")
    } size (xen "struct blkif_request_discard") {
        operation: "operation",
        flag: ("flag", "u.discard.flag"),
        handle: ("handle", "u.discard._pad1"),
        id: ("id", "u.discard.id"),
        sector_number: ("sector_number", "u.discard.sector_number"),
        nr_sectors: ("nr_sectors", "u.discard.nr_sectors"),
    } pad { pad, });
    structure!(all, io::blkif::{
        IndirectRequest = ("struct blkif_request_indirect", "struct blkif_request")
    } size (xen "struct blkif_request_indirect") {
        operation: "operation",
        indirect_op: ("indirect_op", "u.indirect.indirect_op"),
        nr_segments: ("nr_segments", "u.indirect.nr_segments"),
        id: ("id", "u.indirect.id"),
        sector_number: ("sector_number", "u.indirect.sector_number"),
        handle: ("handle", "u.indirect.handle"),
        indirect_grefs: ("indirect_grefs", "u.indirect.indirect_grefs"),
    } pad { pad0, pad1, pad2, });
    structure!(all, io::blkif::{ Response = "struct blkif_response" } {
        id: "id", operation: "operation", status: "status",
    } pad { pad0, pad1, });
}

fn netif(all: &mut Vec<Entry>) {
    structure!(all, io::netif::{
        TxRequest = ("struct netif_tx_request", "struct xen_netif_tx_request")
    } {
        gref: "gref", offset: "offset", flags: "flags", id: "id", size: "size",
    } pad {});
    structure!(all, io::netif::{
        TxResponse = ("struct netif_tx_response", "struct xen_netif_tx_response")
    } {
        id: "id", status: "status",
    } pad {});
    structure!(all, io::netif::{
        RxRequest = ("struct netif_rx_request", "struct xen_netif_rx_request")
    } {
        id: "id", pad: "pad", gref: "gref",
    } pad {});
    structure!(all, io::netif::{
        RxResponse = ("struct netif_rx_response", "struct xen_netif_rx_response")
    } {
        id: "id", offset: "offset", flags: "flags", status: "status",
    } pad {});
    structure!(all, io::netif::{
        ExtraInfo = ("struct netif_extra_info", "struct xen_netif_extra_info")
    } {
        kind: "type", flags: "flags", detail: "u",
    } pad {});
    structure!(all, io::netif::{ CtrlRequest = "struct xen_netif_ctrl_request" } {
        id: "id", kind: "type", data: "data",
    } pad {});
    structure!(all, io::netif::{ CtrlResponse = "struct xen_netif_ctrl_response" } {
        id: "id", kind: "type", status: "status", data: "data",
    } pad {});
    structure!(all, io::netif::{ Gref = (xen "struct xen_netif_gref") } {
        gref: (xen "ref"), flags: (xen "flags"), status: (xen "status"),
    } pad {});
}

fn others(all: &mut Vec<Entry>) {
    structure!(all, xen::{ MulticallEntry = "struct multicall_entry" } {
        op: "op", result: "result", args: "args",
    } pad {});
    structure!(all, io::ring::{ Header = "struct blkif_sring" } {
        req_prod: "req_prod", req_event: "req_event",
        rsp_prod: "rsp_prod", rsp_event: "rsp_event",
        private: (xen "pvt"), pad: (xen "__pad"),
    } pad {});
    structure!(all, io::pciif::{ MsixEntry = "struct xen_msix_entry" } {
        vector: "vector", entry: "entry",
    } pad {});
    structure!(all, io::pciif::{ Op = "struct xen_pci_op" } {
        cmd: "cmd", err: "err", domain: "domain", bus: "bus", devfn: "devfn", offset: "offset",
        size: "size", value: "value", info: "info", msix_entries: "msix_entries",
    } pad {});
    structure!(all, io::pciif::{ AerOp = "struct xen_pcie_aer_op" } {
        cmd: "cmd", err: "err", domain: "domain", bus: "bus", devfn: "devfn",
    } pad {});
    structure!(all, io::pciif::{ SharedInfo = "struct xen_pci_sharedinfo" } {
        flags: "flags", op: "op", aer_op: "aer_op",
    } pad {});
    structure!(all, io::console::{ Interface = "struct xencons_interface" }
        size (linux "struct xencons_interface")
    {
        input: "in", out: "out", in_cons: "in_cons", in_prod: "in_prod",
        out_cons: "out_cons", out_prod: "out_prod", connection: (linux "connection"),
    } pad { pad, });
    structure!(all, io::xs_wire::{ Header = "struct xsd_sockmsg" } {
        kind: "type", req_id: "req_id", tx_id: "tx_id", len: "len",
    } pad {});
    structure!(all, io::xs_wire::{ Interface = "struct xenstore_domain_interface" } {
        req: "req", rsp: "rsp", req_cons: "req_cons", req_prod: "req_prod",
        rsp_cons: "rsp_cons", rsp_prod: "rsp_prod", server_features: "server_features",
        connection: "connection", error: "error",
    } pad {});
}

fn linux_gntalloc(all: &mut Vec<Entry>) {
    structure!(all, linux::gntalloc::{ AllocGref = (linux "struct ioctl_gntalloc_alloc_gref") } {
        domid: (linux "domid"), flags: (linux "flags"), count: (linux "count"),
        index: (linux "index"), gref_ids: (linux "gref_ids"),
    } pad { pad, });
    structure!(all, linux::gntalloc::{ DeallocGref = (linux "struct ioctl_gntalloc_dealloc_gref") } {
        index: (linux "index"), count: (linux "count"),
    } pad { pad, });
    structure!(all, linux::gntalloc::{ UnmapNotify = (linux "struct ioctl_gntalloc_unmap_notify") } {
        index: (linux "index"), action: (linux "action"),
        event_channel_port: (linux "event_channel_port"),
    } pad {});
}

fn linux_gntdev(all: &mut Vec<Entry>) {
    structure!(all, linux::gntdev::{ GrantRef = (linux "struct ioctl_gntdev_grant_ref") } {
        domid: (linux "domid"), reference: (linux "ref"),
    } pad {});
    structure!(all, linux::gntdev::{ MapGrantRef = (linux "struct ioctl_gntdev_map_grant_ref") } {
        count: (linux "count"), pad: (linux "pad"), index: (linux "index"), refs: (linux "refs"),
    } pad {});
    structure!(all, linux::gntdev::{ UnmapGrantRef = (linux "struct ioctl_gntdev_unmap_grant_ref") } {
        index: (linux "index"), count: (linux "count"), pad: (linux "pad"),
    } pad {});
    structure!(all, linux::gntdev::{ GetOffsetForVaddr = (linux "struct ioctl_gntdev_get_offset_for_vaddr") } {
        vaddr: (linux "vaddr"), offset: (linux "offset"), count: (linux "count"),
        pad: (linux "pad"),
    } pad {});
    structure!(all, linux::gntdev::{ CopySegment = (linux "struct gntdev_grant_copy_segment") } {
        source: (linux "source"), dest: (linux "dest"), len: (linux "len"),
        flags: (linux "flags"), status: (linux "status"),
    } pad { pad, });
    structure!(all, linux::gntdev::{ GrantCopy = (linux "struct ioctl_gntdev_grant_copy") } {
        count: (linux "count"), segments: (linux "segments"),
    } pad { pad, });
    structure!(all, linux::gntdev::{ DmabufExpFromRefs = (linux "struct ioctl_gntdev_dmabuf_exp_from_refs") } {
        flags: (linux "flags"), count: (linux "count"), fd: (linux "fd"), domid: (linux "domid"),
        refs: (linux "refs"),
    } pad {});
    structure!(all, linux::gntdev::{ DmabufExpWaitReleased = (linux "struct ioctl_gntdev_dmabuf_exp_wait_released") } {
        fd: (linux "fd"), wait_to_ms: (linux "wait_to_ms"),
    } pad {});
    structure!(all, linux::gntdev::{ DmabufImpToRefs = (linux "struct ioctl_gntdev_dmabuf_imp_to_refs") } {
        fd: (linux "fd"), count: (linux "count"), domid: (linux "domid"),
        reserved: (linux "reserved"), refs: (linux "refs"),
    } pad {});
    structure!(all, linux::gntdev::{ DmabufImpRelease = (linux "struct ioctl_gntdev_dmabuf_imp_release") } {
        fd: (linux "fd"), reserved: (linux "reserved"),
    } pad {});
}

fn linux_privcmd(all: &mut Vec<Entry>) {
    structure!(all, linux::privcmd::{ Hypercall = (linux "struct privcmd_hypercall") } {
        op: (linux "op"), arg: (linux "arg"), 
    } pad { });
    structure!(all, linux::privcmd::{ MmapEntry = (linux "struct privcmd_mmap_entry") } {
        va: (linux "va"), mfn: (linux "mfn"), npages: (linux "npages"), 
    } pad { });
    structure!(all, linux::privcmd::{ Mmap = (linux "struct privcmd_mmap") } {
        num: (linux "num"), dom: (linux "dom"), entry: (linux "entry"), 
    } pad { pad, });
    structure!(all, linux::privcmd::{ MmapBatch = (linux "struct privcmd_mmapbatch") } {
        num: (linux "num"), dom: (linux "dom"), addr: (linux "addr"), arr: (linux "arr"), 
    } pad { pad, });
    structure!(all, linux::privcmd::{ MmapBatchV2 = (linux "struct privcmd_mmapbatch_v2") } {
        num: (linux "num"), dom: (linux "dom"), addr: (linux "addr"), arr: (linux "arr"), err: (linux "err"), 
    } pad { pad, });
    structure!(all, linux::privcmd::{ DmOpBuf = (linux "struct privcmd_dm_op_buf") } {
        uptr: (linux "uptr"), size: (linux "size"), 
    } pad { });
    structure!(all, linux::privcmd::{ DmOp = (linux "struct privcmd_dm_op") } {
        dom: (linux "dom"), num: (linux "num"), ubufs: (linux "ubufs"), 
    } pad { pad, });
    structure!(all, linux::privcmd::{ MmapResource = (linux "struct privcmd_mmap_resource") } {
        dom: (linux "dom"), kind: (linux "type"), id: (linux "id"), idx: (linux "idx"), num: (linux "num"), addr: (linux "addr"), 
    } pad { pad, });
    structure!(all, linux::privcmd::{ Irqfd = (linux "struct privcmd_irqfd") } {
        dm_op: (linux "dm_op"), size: (linux "size"), fd: (linux "fd"), flags: (linux "flags"), dom: (linux "dom"), pad: (linux "pad"), 
    } pad { });
    structure!(all, linux::privcmd::{ Ioeventfd = (linux "struct privcmd_ioeventfd") } {
        ioreq: (linux "ioreq"), ports: (linux "ports"), addr: (linux "addr"), addr_len: (linux "addr_len"), event_fd: (linux "event_fd"), vcpus: (linux "vcpus"), vq: (linux "vq"), flags: (linux "flags"), dom: (linux "dom"), pad: (linux "pad"), 
    } pad { });
    structure!(all, linux::privcmd::{ PcidevGetGsi = (linux "struct privcmd_pcidev_get_gsi") } {
        sbdf: (linux "sbdf"), gsi: (linux "gsi"), 
    } pad { });
}

fn hypercalls(all: &mut Vec<Entry>) {
    structure!(all, memory::{ AcquireResource = "struct xen_mem_acquire_resource" } {
        domid: "domid", kind: "type", id: "id", nr_frames: "nr_frames", flags: ("pad", "flags"),
        frame: "frame", frame_list: "frame_list",
    } pad {});
    structure!(all, hvm::dm_op::{ DmOpBuf = "struct xen_dm_op_buf" } {
        h: "h", size: "size",
    } pad {});
    // The operation's argument follows, a union.
    structure!(all, hvm::dm_op::{ Header = (xen "struct xen_dm_op") }
        size (xen "char[offsetof(struct xen_dm_op, u)]")
    {
        op: (xen "op"), pad: (xen "pad"),
    } pad {});
    structure!(all, hvm::dm_op::{ RemoteShutdown = (xen "struct xen_dm_op_remote_shutdown") } {
        reason: (xen "reason"),
    } pad {});
    // C has bit fields for the status, which have no offset; what is before and after them does.
    structure!(all, hvm::ioreq::{ Ioreq = "struct ioreq" } {
        addr: "addr", data: "data", count: "count", size: "size", vp_eport: "vp_eport", kind: "type",
    } pad { pad, status, });
}
