// SPDX-License-Identifier: GPL-2.0

//! The initial state of a vCPU: its VMCB, reset and INIT, and the entry of a PVH kernel.

use alloc::sync::Arc;

use super::inject::NmiState;
use super::{BlockedOn, SvmVcpu};
use crate::arch::cpu;
use crate::arch::svm::enter::GuestRegs;
use crate::arch::svm::enter::SvmContext;
use crate::arch::svm::extended::ExtendedState;
use crate::arch::svm::vmcb::{
    Segment, int_ctl, intercept_cr, intercept_exception, intercept1, intercept2,
};
use crate::arch::svm::{self, EFER_SVME};
use crate::domain::{Domain, Vcpu};
use paravane::asid::VcpuAsid;
use paravane::control::AllowedBits;
use paravane::mem::FrameTable;
use paravane::start_state::{StartSegment, StartSegments, StartState};
use paravane::system::vcpu::Runstate;

/// The PAT after a reset (AMD APM volume 2, 7.8.2).
const PAT_RESET: u64 = 0x0007_0406_0007_0406;
/// CR0 after a reset or INIT.
const CR0_RESET: u64 = 0x6000_0010;

impl SvmVcpu {
    /// The state of a vCPU after a reset; `None` without memory in the frame table.
    pub fn new(table: &mut FrameTable, domain: Arc<Domain>, vcpu: Arc<Vcpu>) -> Option<Self> {
        let mut context = SvmContext::new(table)?;
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
            | intercept2::ICEBP
            | intercept2::WBINVD
            | intercept2::MONITOR
            | intercept2::MWAIT
            | intercept2::MWAIT_ARMED
            | intercept2::XSETBV
            | intercept2::RDPRU;
        vmcb.intercept_cr = intercept_cr::WRITE_CR0 | intercept_cr::WRITE_CR4;
        // Machine checks are the hypervisor's. A guest can make the delivery of the other two cause themselves again and
        // again, which the processor would not leave (XSA-156): with an exit in between, interrupts are taken.
        vmcb.intercept_exceptions = intercept_exception::DEBUG
            | intercept_exception::ALIGNMENT_CHECK
            | intercept_exception::MACHINE_CHECK;
        vmcb.iopm_base_pa = domain.iopm;
        vmcb.msrpm_base_pa = domain.msrpm;
        vmcb.int_ctl = int_ctl::V_INTR_MASKING;
        vmcb.np_enable = 1;
        vmcb.n_cr3 = domain.root.address();
        let mut vcpu = Self {
            domain,
            vcpu,
            context,
            next_rip: svm::has_next_rip(),
            blocked_on: BlockedOn::Nothing,
            state: Runstate::Offline,
            exception: None,
            offered: None,
            nmi: NmiState::Unmasked,
            extended: ExtendedState::new(table)?,
            asid: VcpuAsid::default(),
            extended_is_new: true,
            cpu_policy: None,
            allowed_bits: AllowedBits { cr4: 0, efer: 0 },
            yielded: false,
        };
        vcpu.update_cpu_policy();
        vcpu.reset(0);
        Some(vcpu)
    }

    /// Takes over the CPU policy of its domain. It has not run yet.
    pub fn update_cpu_policy(&mut self) {
        self.cpu_policy = self.domain.cpu_policy.lock().clone();
        self.allowed_bits = AllowedBits::of(|leaf, sub| self.cpuid_leaf(leaf, sub));
        *self.vcpu.allowed_bits.lock() = self.allowed_bits;
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
        // Translations of what it ran before are not used.
        self.asid.invalidate();
        self.context.registers = Default::default();
        self.context.registers.rdx = u64::from(cpu::leaf(1, 0)[0]);
        self.blocked_on = BlockedOn::Nothing;
        self.exception = None;
        self.offered = None;
        self.nmi = NmiState::Unmasked;
        self.vmcb().intercept_1 &= !intercept1::IRET;
    }

    /// Resets the vCPU, and sets the registers with which it starts.
    pub(super) fn set_start_state(&mut self, state: &StartState) {
        self.reset(0);
        let vmcb = self.context.vmcb();
        let segment = |start: &StartSegment| Segment {
            selector: 0,
            attributes: start.attributes,
            limit: start.limit,
            base: start.base.into(),
        };
        let StartSegments { cs, ds, es, ss, tr } = &state.segments;
        (vmcb.cs, vmcb.ds, vmcb.es) = (segment(cs), segment(ds), segment(es));
        (vmcb.ss, vmcb.tr) = (segment(ss), segment(tr));
        let control = &state.control;
        (vmcb.cr0, vmcb.cr3, vmcb.cr4) = (control.cr0, control.cr3, control.cr4);
        vmcb.efer = control.efer | EFER_SVME;
        vmcb.rflags = state.rflags;
        vmcb.rip = state.rip;
        (vmcb.rsp, vmcb.rax) = (state.rsp, state.rax);
        self.context.registers = GuestRegs {
            rbx: state.rbx,
            rcx: state.rcx,
            rdx: state.rdx,
            rsi: state.rsi,
            rdi: state.rdi,
            rbp: state.rbp,
            ..GuestRegs::default()
        };
    }
}
