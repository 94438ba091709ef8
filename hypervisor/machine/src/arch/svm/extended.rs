// SPDX-License-Identifier: GPL-2.0

//! State of a vCPU that neither the VMCB nor [`super::enter::GuestRegs`] holds: extended states (x87, SSE, AVX, …),
//! debug registers, TSC_AUX. The hypervisor uses none of them, so they stay in the processor across exits. They are
//! saved when the vCPU is descheduled.

use core::arch::asm;
use core::ops::Range;

use paravane::mem::{FrameTable, MachineMemory, PAGE_SIZE};
use paravane::system::vcpu::registers::is_valid_xcr0;

use crate::arch::frames::Frames;
use crate::arch::phys::Machine;
use crate::arch::{cpu, msr, phys};

const TSC_AUX: u32 = 0xc000_0103;
/// Offsets of FCW and MXCSR in the legacy area, and their reset values (AMD APM volume 2, 11.4.4).
const FCW: (u64, u16) = (0, 0x37f);
const MXCSR: (u64, u32) = (24, 0x1f80);

/// Bytes of the FXSAVE area, which is the beginning of an XSAVE area.
const FXSAVE: usize = 512;
/// The half of MXCSR that is reserved.
const MXCSR_HIGH: Range<usize> = 26..28;
/// Bytes of the legacy area and the header: where the other states begin.
const EXTENDED: usize = 576;
/// x87 and SSE, as bits of XSTATE_BV.
const XSTATE_FPU: u64 = 3;

/// What a saved XSAVE area has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SavedStates {
    /// The states that are saved at all.
    pub known: u64,
    /// Those that are not as after a reset.
    pub xstate_bv: u64,
}

/// The saved state of one vCPU.
#[derive(Debug)]
pub struct ExtendedState {
    /// The XSAVE area. The states that guests may have need less than a page.
    area: Frames,
    /// The states that are saved: those that guests may have and the processor has. 0 without XSAVE.
    states: u64,
    /// XCR0 of the guest.
    pub xcr0: u64,
    /// DR0 to DR3.
    pub debug: [u64; 4],
    /// TSC_AUX; `None` if the processor does not have it.
    pub tsc_aux: Option<u64>,
}

impl ExtendedState {
    /// The reset state; `None` without memory.
    pub fn new(table: &mut FrameTable) -> Option<Self> {
        let mut area = Frames::alloc_in(table, 1)?;
        area.write(FCW.0, &FCW.1.to_le_bytes());
        area.write(MXCSR.0, &MXCSR.1.to_le_bytes());
        let has_xsave = cpu::id().get_feature_info().is_some_and(|f| f.has_xsave());
        let [low, ..] = cpu::leaf(0xd, 0);
        Some(Self {
            area,
            states: if has_xsave {
                u64::from(low) & paravane::cpuid::XCR0
            } else {
                0
            },
            xcr0: 1,
            debug: [0; 4],
            tsc_aux: msr::read(TSC_AUX).map(|_| 0),
        })
    }

    /// The FXSAVE area: x87 and SSE. The vCPU is not on a processor.
    pub fn fpu(&self) -> [u8; FXSAVE] {
        let mut area = [0; FXSAVE];
        Machine.read(self.area.start(), &mut area);
        area
    }

    /// Replaces x87 and SSE by an FXSAVE area, or by the reset state. The vCPU is not on a processor.
    pub fn set_fpu(&mut self, area: Option<&[u8; FXSAVE]>) {
        let mut fpu = [0; FXSAVE];
        match area {
            Some(area) => {
                fpu.copy_from_slice(area);
                // Loading bits that the processor does not have would be a #GP.
                fpu[MXCSR_HIGH].fill(0);
            }
            None => {
                fpu[..2].copy_from_slice(&FCW.1.to_le_bytes());
                fpu[MXCSR.0 as usize..][..4].copy_from_slice(&MXCSR.1.to_le_bytes());
            }
        }
        self.area.write(0, &fpu);
        // The states that are valid; the rest of XSAVE's header is zero.
        let valid = self.xstate_bv() | XSTATE_FPU;
        self.area.write(FXSAVE as u64, &valid.to_le_bytes());
    }

    /// XSTATE_BV of the saved area: the states that it has.
    fn xstate_bv(&self) -> u64 {
        let mut valid = [0; 8];
        Machine.read(self.area.start() + FXSAVE as u64, &mut valid);
        u64::from_le_bytes(valid)
    }

    /// What the XSAVE area has; `None` without XSAVE. The vCPU is not on a processor.
    pub fn xsave_area(&self) -> Option<SavedStates> {
        (self.states != 0).then(|| SavedStates {
            known: self.states,
            xstate_bv: self.xstate_bv() & self.states,
        })
    }

    /// Reads the states behind the legacy area and the header.
    pub fn read_states(&self, to: &mut [u8]) {
        let room = self.area_bytes().min(to.len());
        Machine.read(self.area.start() + EXTENDED as u64, &mut to[..room]);
    }

    /// Replaces all extended states and XCR0. States that are not saved are left out. The vCPU is not on a processor.
    pub fn set_xsave_area(&mut self, fpu: &[u8; FXSAVE], xstate_bv: u64, states: &[u8], xcr0: u64) {
        if self.states == 0 {
            return;
        }
        self.set_fpu(Some(fpu));
        let mut header = [0; EXTENDED - FXSAVE];
        header[..8].copy_from_slice(&(xstate_bv & self.states).to_le_bytes());
        self.area.write(FXSAVE as u64, &header);
        let room = self.area_bytes().min(states.len());
        self.area.write(EXTENDED as u64, &states[..room]);
        if self.is_valid_xcr0(xcr0) {
            self.xcr0 = xcr0;
        }
    }

    /// Bytes of the area behind the legacy area and the header.
    fn area_bytes(&self) -> usize {
        PAGE_SIZE as usize - EXTENDED
    }

    /// Whether the guest may set this XCR0.
    fn is_valid_xcr0(&self, value: u64) -> bool {
        value & !self.states == 0 && is_valid_xcr0(value)
    }

    /// Saves the processor's state.
    pub fn save(&mut self) {
        let area = phys::pointer::<u8>(self.area.start());
        if self.states == 0 {
            // SAFETY: the area is a page that `self` owns; FXSAVE writes 512 bytes.
            unsafe { asm!("fxsave64 [{}]", in(reg) area, options(nostack)) };
        } else {
            write_xcr0(self.states);
            // SAFETY: the area is an aligned page that `self` owns, which is larger than all states of `states`.
            unsafe {
                asm!("xsave64 [{}]", in(reg) area, in("eax") self.states as u32, in("edx") 0, options(nostack));
            }
            // If no other vCPU runs here in between, the state is not loaded again.
            write_xcr0(self.xcr0);
        }
        // SAFETY: reading debug registers has no side effect.
        unsafe {
            asm!(
                "mov {}, dr0", "mov {}, dr1", "mov {}, dr2", "mov {}, dr3",
                out(reg) self.debug[0], out(reg) self.debug[1], out(reg) self.debug[2], out(reg) self.debug[3],
                options(nomem, nostack, preserves_flags)
            );
        }
        self.tsc_aux = self.tsc_aux.and_then(|_| msr::read(TSC_AUX));
    }

    /// Loads the state into the processor.
    pub fn load(&self) {
        let area = phys::pointer::<u8>(self.area.start());
        if self.states == 0 {
            // SAFETY: the area has the format of FXSAVE, written by it or by `new`.
            unsafe { asm!("fxrstor64 [{}]", in(reg) area, options(nostack)) };
        } else {
            write_xcr0(self.states);
            // SAFETY: XSAVE or `new` has written the area, so it is valid for XRSTOR. The hypervisor's code does not
            // use these registers.
            unsafe {
                asm!("xrstor64 [{}]", in(reg) area, in("eax") self.states as u32, in("edx") 0, options(nostack));
            }
            write_xcr0(self.xcr0);
        }
        // SAFETY: breakpoints are disabled while the hypervisor runs: DR7 is cleared at each VMEXIT.
        unsafe {
            asm!(
                "mov dr0, {}", "mov dr1, {}", "mov dr2, {}", "mov dr3, {}",
                in(reg) self.debug[0], in(reg) self.debug[1], in(reg) self.debug[2], in(reg) self.debug[3],
                options(nomem, nostack, preserves_flags)
            );
        }
        if let Some(value) = self.tsc_aux {
            // SAFETY: only RDTSCP and RDPID return it, which the hypervisor does not use.
            unsafe { msr::write(TSC_AUX, value) };
        }
    }

    /// Sets XCR0 of the guest whose state is in the processor. False if the value is not allowed.
    pub fn set_xcr0(&mut self, value: u64) -> bool {
        if !self.is_valid_xcr0(value) {
            return false;
        }
        self.xcr0 = value;
        write_xcr0(value);
        true
    }
}

/// Writes XCR0. The value is one that [`ExtendedState::set_xcr0`] allows, or all states that are saved.
fn write_xcr0(value: u64) {
    // SAFETY: callers pass values that the processor accepts, and the hypervisor uses no extended state.
    unsafe {
        asm!("xsetbv", in("ecx") 0, in("eax") value as u32, in("edx") (value >> 32) as u32, options(nomem, nostack));
    }
}
