// SPDX-License-Identifier: GPL-2.0

//! What a guest has in the processor that neither the VMCB nor the registers of [`super::enter`] hold: extended states
//! (x87, SSE, AVX, …), debug registers, TSC_AUX. The hypervisor itself uses none of them, so they stay in the processor
//! while the same vCPU runs there, and are saved when it leaves.

use core::arch::asm;

use crate::arch::frames::Frames;
use crate::arch::{cpu, msr, phys};

const TSC_AUX: u32 = 0xc000_0103;
/// Place of FCW and of MXCSR in the legacy area, and what they are after a reset (AMD APM volume 2, 11.4.4).
const FCW: (u64, u16) = (0, 0x37f);
const MXCSR: (u64, u32) = (24, 0x1f80);

/// Those of one vCPU while it does not run.
#[derive(Debug)]
pub struct Extended {
    /// The area of XSAVE: less than a page for the states that guests are given.
    area: Frames,
    /// The states that are kept: those guests are given and the processor has; 0 where it has no XSAVE.
    states: u64,
    /// The states that the guest has turned on.
    pub xcr0: u64,
    debug: [u64; 4],
    /// None where the processor has no such register.
    tsc_aux: Option<u64>,
}

impl Extended {
    /// As after a reset; `None` without memory.
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

    /// Takes them out of the processor.
    pub fn save(&mut self) {
        let area = phys::pointer::<u8>(self.area.start());
        if self.states == 0 {
            // SAFETY: the area is a page of ours; the instruction writes 512 bytes of it.
            unsafe { asm!("fxsave64 [{}]", in(reg) area, options(nostack)) };
        } else {
            write_xcr0(self.states);
            // SAFETY: the area is a page of ours, zeroed at first and written by this alone, aligned, and larger than all
            // states of `states` need.
            unsafe {
                asm!("xsave64 [{}]", in(reg) area, in("eax") self.states as u32, in("edx") 0, options(nostack));
            }
            // The vCPU may come back with nobody in between, and is not loaded then.
            write_xcr0(self.xcr0);
        }
        // SAFETY: reading debug registers changes nothing.
        unsafe {
            asm!(
                "mov {}, dr0", "mov {}, dr1", "mov {}, dr2", "mov {}, dr3",
                out(reg) self.debug[0], out(reg) self.debug[1], out(reg) self.debug[2], out(reg) self.debug[3],
                options(nomem, nostack, preserves_flags)
            );
        }
        self.tsc_aux = self.tsc_aux.and_then(|_| msr::read(TSC_AUX));
    }

    /// Puts them into the processor.
    pub fn load(&self) {
        let area = phys::pointer::<u8>(self.area.start());
        if self.states == 0 {
            // SAFETY: the area holds what FXSAVE or `new` left.
            unsafe { asm!("fxrstor64 [{}]", in(reg) area, options(nostack)) };
        } else {
            write_xcr0(self.states);
            // SAFETY: the area holds what XSAVE or `new` left: nothing that the instruction objects to. The hypervisor's
            // code uses none of these registers.
            unsafe {
                asm!("xrstor64 [{}]", in(reg) area, in("eax") self.states as u32, in("edx") 0, options(nostack));
            }
            write_xcr0(self.xcr0);
        }
        // SAFETY: breakpoints are off while the hypervisor runs: DR7 is the VMCB's in the guest and clear outside.
        unsafe {
            asm!(
                "mov dr0, {}", "mov dr1, {}", "mov dr2, {}", "mov dr3, {}",
                in(reg) self.debug[0], in(reg) self.debug[1], in(reg) self.debug[2], in(reg) self.debug[3],
                options(nomem, nostack, preserves_flags)
            );
        }
        if let Some(value) = self.tsc_aux {
            // SAFETY: only RDTSCP and RDPID read it, which the hypervisor does not use.
            unsafe { msr::write(TSC_AUX, value) };
        }
    }

    /// Turns states on and off for the guest, whose they are in the processor now. False if they do not go together.
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

/// Sets which extended states the calling processor keeps. The value is one that [`Extended::set_xcr0`] lets pass.
fn write_xcr0(value: u64) {
    // SAFETY: the value is one the processor accepts, and the hypervisor itself uses no extended state.
    unsafe {
        asm!("xsetbv", in("ecx") 0, in("eax") value as u32, in("edx") (value >> 32) as u32, options(nomem, nostack));
    }
}
