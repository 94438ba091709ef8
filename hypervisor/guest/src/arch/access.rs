// SPDX-License-Identifier: GPL-2.0

//! Instructions, most of which may fault: after a fault the guest continues behind them.

use core::arch::asm;

use misbehaving::options::End;
use misbehaving::random::Random;
use misbehaving::strings::PortString;

use super::traps::{RECOVER, faults};

/// An instruction that continues at label 2, also after a fault.
macro_rules! guarded {
    ($text:literal, $($operands:tt)*) => {
        // SAFETY:
        // - After a fault the trap handler continues behind the instruction with all registers restored.
        // - Callers choose operands by which the instruction does not change memory that Rust uses.
        unsafe {
            asm!(
                "lea {recover}, [rip + 2f]",
                "mov [rip + {place}], {recover}",
                $text,
                "2:",
                recover = out(reg) _,
                place = sym RECOVER,
                $($operands)*
            )
        }
    };
}

/// Makes a hypercall, by VMMCALL.
pub fn hypercall(number: u64, arguments: [u64; 5]) -> i64 {
    let result;
    let [a, b, c, d, e] = arguments;
    // SAFETY: the hypervisor writes where the arguments point: into the window, or into memory of the caller that is
    // passed as a raw pointer.
    unsafe {
        asm!(
            "vmmcall",
            inout("rax") number => result,
            in("rdi") a,
            in("rsi") b,
            in("rdx") c,
            in("r10") d,
            in("r8") e,
            options(nostack)
        )
    };
    result
}

/// Reads an MSR; `None` if that faults.
pub fn read_msr(number: u32) -> Option<u64> {
    let (mut low, mut high) = (0u32, 0u32);
    let faulted = faults(|| {
        guarded!("rdmsr", in("ecx") number, inout("eax") low, inout("edx") high, options(nostack));
    });
    (!faulted).then_some(u64::from(high) << 32 | u64::from(low))
}

/// Writes an MSR; false if that faults.
pub fn write_msr(number: u32, value: u64) -> bool {
    !faults(|| {
        guarded!(
            "wrmsr",
            in("ecx") number,
            in("eax") value as u32,
            in("edx") (value >> 32) as u32,
            options(nostack)
        );
    })
}

/// Reads from a port.
pub fn read_port(port: u16, size: u32) -> u32 {
    let mut value = 0u32;
    // SAFETY: the guest uses no devices, so no read of a port affects it.
    unsafe {
        match size {
            1 => asm!("in al, dx", in("dx") port, inout("eax") value, options(nostack)),
            2 => asm!("in ax, dx", in("dx") port, inout("eax") value, options(nostack)),
            _ => asm!("in eax, dx", in("dx") port, inout("eax") value, options(nostack)),
        }
    }
    value
}

/// Writes to a port.
pub fn write_port(port: u16, size: u32, value: u32) {
    // SAFETY: the library chooses ports that the hypervisor intercepts, or that no device has.
    unsafe {
        match size {
            1 => asm!("out dx, al", in("dx") port, in("eax") value, options(nostack)),
            2 => asm!("out dx, ax", in("dx") port, in("eax") value, options(nostack)),
            _ => asm!("out dx, eax", in("dx") port, in("eax") value, options(nostack)),
        }
    }
}

/// Executes INS or OUTS. Returns whether it faulted, and count and address afterwards.
pub fn port_string(of: &PortString) -> (bool, u64, u64) {
    let (mut count, mut address) = (of.count, of.address);
    let down = u32::from(of.down);
    macro_rules! one {
        ($text:literal, $index:tt) => {
            // SAFETY:
            // - After a fault the trap handler continues behind the instruction with RCX and the address as they are
            //   then.
            // - The library chooses ports that the hypervisor intercepts, and addresses in the window.
            unsafe {
                asm!(
                    "lea {recover}, [rip + 2f]",
                    "mov [rip + {place}], {recover}",
                    "test {down:e}, {down:e}",
                    "jz 3f",
                    "std",
                    "3:",
                    $text,
                    "2:",
                    "cld",
                    recover = out(reg) _,
                    place = sym RECOVER,
                    down = in(reg) down,
                    in("dx") of.port,
                    inout("rcx") count,
                    inout($index) address,
                    options(nostack)
                )
            }
        };
    }
    let faulted = faults(|| match (of.input, of.size, of.repeated) {
        (true, 1, true) => one!("rep insb", "rdi"),
        (true, 2, true) => one!("rep insw", "rdi"),
        (true, _, true) => one!("rep insd", "rdi"),
        (true, 1, false) => one!("insb", "rdi"),
        (true, 2, false) => one!("insw", "rdi"),
        (true, _, false) => one!("insd", "rdi"),
        (false, 1, true) => one!("rep outsb", "rsi"),
        (false, 2, true) => one!("rep outsw", "rsi"),
        (false, _, true) => one!("rep outsd", "rsi"),
        (false, 1, false) => one!("outsb", "rsi"),
        (false, 2, false) => one!("outsw", "rsi"),
        (false, _, false) => one!("outsd", "rsi"),
    });
    (faulted, count, address)
}

/// Reads memory, by one move of 1, 2, 4 or 8 bytes. After a fault it is 0.
pub fn read(address: u64, size: u32) -> u64 {
    let mut value = 0u64;
    faults(|| match size {
        1 => {
            guarded!("movzx {v:e}, byte ptr [{a}]", a = in(reg) address, v = inout(reg) value, options(nostack))
        }
        2 => {
            guarded!("movzx {v:e}, word ptr [{a}]", a = in(reg) address, v = inout(reg) value, options(nostack))
        }
        4 => {
            guarded!("mov {v:e}, dword ptr [{a}]", a = in(reg) address, v = inout(reg) value, options(nostack))
        }
        _ => {
            guarded!("mov {v}, qword ptr [{a}]", a = in(reg) address, v = inout(reg) value, options(nostack))
        }
    });
    value
}

/// Writes memory, by one move. A fault is ignored.
pub fn write(address: u64, size: u32, value: u64) {
    faults(|| match size {
        1 => {
            guarded!("mov byte ptr [{a}], {v}", a = in(reg) address, v = in(reg_byte) value as u8, options(nostack))
        }
        2 => {
            guarded!("mov word ptr [{a}], {v:x}", a = in(reg) address, v = in(reg) value, options(nostack))
        }
        4 => {
            guarded!("mov dword ptr [{a}], {v:e}", a = in(reg) address, v = in(reg) value, options(nostack))
        }
        _ => {
            guarded!("mov qword ptr [{a}], {v}", a = in(reg) address, v = in(reg) value, options(nostack))
        }
    });
}

/// A CPUID leaf and subleaf.
pub fn cpuid(leaf: u32, sub: u32) -> [u32; 4] {
    let (mut a, mut b, mut c, mut d) = (leaf, 0u64, sub, 0u32);
    // SAFETY: CPUID only changes registers, and RBX, which the compiler reserves, is restored.
    unsafe {
        asm!(
            "xchg {b}, rbx",
            "cpuid",
            "xchg {b}, rbx",
            b = inout(reg) b,
            inout("eax") a,
            inout("ecx") c,
            inout("edx") d,
            options(nomem, nostack)
        )
    };
    [a, b as u32, c, d]
}

/// Writes invalid values to control and debug registers. Returns how many of the writes faulted. Registers that can be
/// changed are restored.
pub fn wild_control_registers(random: &mut Random) -> u32 {
    let mut count = 0;
    // XSETBV needs CR4.OSXSAVE.
    faults(|| guarded!("mov cr4, {v}", v = in(reg) 0x20u64 | 1 << 18, options(nostack)));
    for _ in 0..50 {
        let wild = random.next();
        let results = [
            faults(|| guarded!("mov cr8, {v}", v = in(reg) wild | 1 << 20, options(nostack))),
            faults(
                || guarded!("xsetbv", in("ecx") 0u32, in("eax") wild as u32 & !1, in("edx") (wild >> 32) as u32, options(nostack)),
            ),
            faults(
                || guarded!("xsetbv", in("ecx") wild as u32 | 1, in("eax") 1u32, in("edx") 0u32, options(nostack)),
            ),
        ];
        count += results.iter().filter(|&&faulted| faulted).count() as u32;
        for _ in 0..4 {
            // Any value is valid for an address.
            faults(|| guarded!("mov dr0, {v}", v = in(reg) wild, options(nostack)));
            faults(|| guarded!("mov cr2, {v}", v = in(reg) wild, options(nostack)));
        }
    }
    faults(|| guarded!("mov dr7, {v}", v = in(reg) 0x400u64, options(nostack)));
    count
}

/// Does something that ends the guest, or that the processor refuses with a fault, after which this returns.
pub fn end(how: End) {
    faults(|| match how {
        End::TripleFault => super::triple_fault(),
        End::NoPhysicalExtension => {
            guarded!("mov cr4, {v}", v = in(reg) 0u64, options(nostack))
        }
        End::NoProtection => {
            guarded!("mov cr0, {v}", v = in(reg) 0x8000_0000u64, options(nostack))
        }
        End::ControlBits => {
            guarded!("mov cr4, {v}", v = in(reg) 0x20u64 | 1 << 63, options(nostack))
        }
        End::DebugBits => {
            guarded!("mov dr7, {v}", v = in(reg) 1u64 << 40, options(nostack))
        }
        End::ExchangeWithDevice => guarded!(
            "xchg dword ptr [{a}], {v:e}",
            a = in(reg) 0xfec0_0000u64,
            v = inout(reg) 0u64 => _,
            options(nostack)
        ),
        End::Nowhere => guarded!("jmp {a}", a = in(reg) 0xfe00_0000u64, options(nostack)),
    });
}

/// Instructions that are for hypervisors, or that one intercepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Instruction {
    Vmrun,
    Vmload,
    Vmsave,
    Stgi,
    Clgi,
    Skinit,
    Invlpga,
    Monitor,
    Mwait,
    Rdpmc,
    Wbinvd,
    Invd,
    Rsm,
    Rdtscp,
    Invlpg,
    Sgdt,
    Pause,
}

impl Instruction {
    /// All instructions.
    pub const ALL: [Self; 17] = [
        Self::Vmrun,
        Self::Vmload,
        Self::Vmsave,
        Self::Stgi,
        Self::Clgi,
        Self::Skinit,
        Self::Invlpga,
        Self::Monitor,
        Self::Mwait,
        Self::Rdpmc,
        Self::Wbinvd,
        Self::Invd,
        Self::Rsm,
        Self::Rdtscp,
        Self::Invlpg,
        Self::Sgdt,
        Self::Pause,
    ];

    /// Whether it has to fault in a guest without nested SVM.
    pub fn has_to_fault(self) -> bool {
        matches!(
            self,
            Self::Vmrun
                | Self::Vmload
                | Self::Vmsave
                | Self::Stgi
                | Self::Clgi
                | Self::Skinit
                | Self::Invlpga
                | Self::Monitor
                | Self::Mwait
                | Self::Rdpmc
                | Self::Rsm
        )
    }
}

/// Executes an instruction with a value in RAX. Returns whether it faulted.
pub fn run(instruction: Instruction, value: u64) -> bool {
    let mut room = [0u8; 16];
    let room = room.as_mut_ptr();
    macro_rules! one {
        ($text:literal) => {
            guarded!(
                $text,
                inout("rax") value => _,
                inout("rcx") value => _,
                inout("rdx") 0u64 => _,
                options(nostack)
            )
        };
    }
    faults(|| match instruction {
        Instruction::Vmrun => one!("vmrun rax"),
        Instruction::Vmload => one!("vmload rax"),
        Instruction::Vmsave => one!("vmsave rax"),
        Instruction::Stgi => one!("stgi"),
        Instruction::Clgi => one!("clgi"),
        Instruction::Skinit => one!("skinit eax"),
        Instruction::Invlpga => one!("invlpga rax, ecx"),
        Instruction::Monitor => one!("monitor"),
        Instruction::Mwait => one!("mwait"),
        Instruction::Rdpmc => one!("rdpmc"),
        Instruction::Wbinvd => one!("wbinvd"),
        Instruction::Invd => one!("invd"),
        Instruction::Rsm => one!("rsm"),
        Instruction::Rdtscp => one!("rdtscp"),
        Instruction::Invlpg => one!("invlpg [rax]"),
        Instruction::Sgdt => guarded!("sgdt [{room}]", room = in(reg) room, options(nostack)),
        Instruction::Pause => one!("pause"),
    })
}
