// SPDX-License-Identifier: GPL-2.0

//! The initial state of a vCPU: its VMCB, reset and INIT, and the entry of a PVH kernel.

use super::inject::NmiState;
use super::{BlockedOn, SvmVcpu};
use crate::arch::cpu;
use crate::arch::svm::EFER_SVME;
use crate::arch::svm::enter::SvmContext;
use crate::arch::svm::extended::ExtendedState;
use crate::arch::svm::vmcb::{Segment, int_ctl, intercept_cr, intercept1, intercept2};
use crate::domain::{Domain, Vcpu};
use paravane::control::AllowedBits;
use paravane::system::vcpu::Runstate;

/// The PAT after a reset (AMD APM volume 2, 7.8.2).
const PAT_RESET: u64 = 0x0007_0406_0007_0406;
/// CR0 after a reset or INIT.
const CR0_RESET: u64 = 0x6000_0010;

impl SvmVcpu {
    /// The state of a vCPU after a reset; `None` without memory.
    pub fn new(domain: &'static Domain, vcpu: &'static Vcpu, next_rip: bool) -> Option<Self> {
        let mut context = SvmContext::new()?;
        let vmcb = context.vmcb();
        vmcb.intercept_1 = intercept1::INTR
            | intercept1::NMI
            | intercept1::SMI
            | intercept1::INIT
            | intercept1::RDPMC
            | intercept1::CPUID
            | intercept1::INVD
            | intercept1::HLT
            | intercept1::INVLPGA
            | intercept1::IOIO
            | intercept1::MSR
            | intercept1::SHUTDOWN;
        vmcb.intercept_2 = intercept2::VMRUN
            | intercept2::VMMCALL
            | intercept2::VMLOAD
            | intercept2::VMSAVE
            | intercept2::STGI
            | intercept2::CLGI
            | intercept2::SKINIT
            | intercept2::WBINVD
            | intercept2::MONITOR
            | intercept2::MWAIT
            | intercept2::MWAIT_ARMED
            | intercept2::XSETBV;
        vmcb.intercept_cr = intercept_cr::WRITE_CR0 | intercept_cr::WRITE_CR4;
        // Machine checks are the hypervisor's.
        vmcb.intercept_exceptions = 1 << 18;
        vmcb.iopm_base_pa = domain.ports.address();
        vmcb.msrpm_base_pa = domain.msrs.address();
        // One ASID is enough: the TLB is flushed when a processor switches to another vCPU.
        vmcb.asid = 1;
        vmcb.tlb_control = 1;
        vmcb.int_ctl = int_ctl::V_INTR_MASKING;
        vmcb.np_enable = 1;
        vmcb.n_cr3 = domain.root;
        let mut vcpu = Self {
            domain,
            vcpu,
            context,
            next_rip,
            blocked_on: BlockedOn::Nothing,
            state: Runstate::Offline,
            exception: None,
            nmi: NmiState::Unmasked,
            extended: ExtendedState::new()?,
            allowed_bits: AllowedBits { cr4: 0, efer: 0 },
            yielded: false,
        };
        vcpu.allowed_bits = AllowedBits::of(|leaf, sub| vcpu.cpuid_leaf(leaf, sub));
        vcpu.reset(0);
        Some(vcpu)
    }

    /// Resets the vCPU to the state after INIT and a start-up IPI: in real mode, at `page`.
    pub(super) fn reset(&mut self, page: u8) {
        let code = Segment {
            selector: u16::from(page) << 8,
            attributes: 0x9b,
            limit: 0xffff,
            base: u64::from(page) << 12,
        };
        let data = Segment {
            selector: 0,
            attributes: 0x93,
            limit: 0xffff,
            base: 0,
        };
        let table = Segment {
            selector: 0,
            attributes: 0,
            limit: 0xffff,
            base: 0,
        };
        let vmcb = self.context.vmcb();
        vmcb.cs = code;
        for segment in [
            &mut vmcb.ds,
            &mut vmcb.es,
            &mut vmcb.ss,
            &mut vmcb.fs,
            &mut vmcb.gs,
        ] {
            *segment = data;
        }
        vmcb.gdtr = table;
        vmcb.idtr = table;
        vmcb.ldtr = Segment {
            attributes: 0x82,
            ..table
        };
        vmcb.tr = Segment {
            attributes: 0x8b,
            ..table
        };
        vmcb.cpl = 0;
        vmcb.efer = EFER_SVME;
        vmcb.cr0 = CR0_RESET;
        vmcb.cr3 = 0;
        vmcb.cr4 = 0;
        vmcb.dr6 = 0xffff_0ff0;
        vmcb.dr7 = 0x400;
        vmcb.rflags = 2;
        vmcb.rip = 0;
        vmcb.rsp = 0;
        vmcb.rax = 0;
        vmcb.g_pat = PAT_RESET;
        vmcb.interrupt_shadow = 0;
        vmcb.eventinj = 0;
        vmcb.exitintinfo = 0;
        vmcb.clean = 0;
        self.context.registers = Default::default();
        self.context.registers.rdx = u64::from(cpu::leaf(1, 0)[0]);
        self.blocked_on = BlockedOn::Nothing;
        self.exception = None;
        self.nmi = NmiState::Unmasked;
        self.vmcb().intercept_1 &= !intercept1::IRET;
    }

    /// Sets the state in which a PVH kernel is entered (docs/misc/pvh.pandoc of Xen): 32-bit, flat segments, no paging.
    pub fn start_pvh(&mut self, entry: u32, start_info: u32) {
        self.reset(0);
        let flat = |attributes| Segment {
            selector: 0,
            attributes,
            limit: !0,
            base: 0,
        };
        let vmcb = self.context.vmcb();
        vmcb.cs = flat(0xc9b);
        vmcb.ds = flat(0xc93);
        vmcb.es = flat(0xc93);
        vmcb.ss = flat(0xc93);
        vmcb.tr = Segment {
            selector: 0,
            attributes: 0x8b,
            limit: 0x67,
            base: 0,
        };
        vmcb.cr0 = 0x11;
        vmcb.rip = u64::from(entry);
        self.context.registers.rbx = u64::from(start_info);
    }
}
