// SPDX-License-Identifier: GPL-2.0

//! State of a vCPU that neither the VMCB nor [`super::enter::GuestRegs`] holds: extended states (x87, SSE, AVX, …),
//! debug registers, TSC_AUX. The hypervisor uses none of them, so they stay in the processor across exits. They are
//! saved when the vCPU is descheduled.

use core::arch::asm;

use crate::arch::frames::Frames;
use crate::arch::{cpu, msr, phys};

const TSC_AUX: u32 = 0xc000_0103;
/// Offsets of FCW and MXCSR in the legacy area, and their reset values (AMD APM volume 2, 11.4.4).
const FCW: (u64, u16) = (0, 0x37f);
const MXCSR: (u64, u32) = (24, 0x1f80);

/// The saved state of one vCPU.
#[derive(Debug)]
pub struct ExtendedState {
    /// The XSAVE area. The states that guests may have need less than a page.
    area: Frames,
    /// The states that are saved: those that guests may have and the processor has. 0 without XSAVE.
    states: u64,
    /// XCR0 of the guest.
    pub xcr0: u64,
    debug: [u64; 4],
    /// TSC_AUX; `None` if the processor does not have it.
    tsc_aux: Option<u64>,
}

impl ExtendedState {
    /// The reset state; `None` without memory.
    pub fn new() -> Option<Self> {
        let mut area = Frames::one()?;
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
        // x87 always; AVX needs SSE; the three parts of AVX-512 go together and need AVX (Intel SDM volume 1, 13.3).
        let (avx, wide) = (value & 4 != 0, value & 0xe0);
        let consistent =
            value & 1 != 0 && (!avx || value & 2 != 0) && (wide == 0 || (wide == 0xe0 && avx));
        if value & !self.states != 0 || !consistent {
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
