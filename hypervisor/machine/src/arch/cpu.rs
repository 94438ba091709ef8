// SPDX-License-Identifier: GPL-2.0

//! Identification of the processor, and its control registers.

use arrayvec::ArrayString;
use raw_cpuid::{CpuId, CpuIdReaderNative};
use x86_64::registers::control::{Cr0, Cr0Flags, Cr4, Cr4Flags};

/// Reader of the processor's CPUID leaves.
pub fn id() -> CpuId<CpuIdReaderNative> {
    CpuId::new()
}

/// A CPUID leaf and subleaf of the processor: EAX, EBX, ECX, EDX.
pub fn leaf(leaf: u32, sub: u32) -> [u32; 4] {
    let result = raw_cpuid::native_cpuid::cpuid_count(leaf, sub);
    [result.eax, result.ebx, result.ecx, result.edx]
}

/// The processor's name.
pub fn brand() -> ArrayString<64> {
    let mut name = ArrayString::new();
    if let Some(brand) = id().get_processor_brand_string() {
        let _ = name.try_push_str(brand.as_str().trim());
    }
    name
}

/// Whether the machine is emulated by QEMU without help of the host's processor (TCG).
pub fn is_emulated_by_qemu() -> bool {
    const SIGNATURE: [u32; 3] = [
        u32::from_le_bytes(*b"TCGT"),
        u32::from_le_bytes(*b"CGTC"),
        u32::from_le_bytes(*b"GTCG"),
    ];
    let has_leaf = id().get_feature_info().is_some_and(|f| f.has_hypervisor());
    has_leaf && leaf(0x4000_0000, 0)[1..] == SIGNATURE
}

/// Whether page tables may have leaves of 1 GiB.
pub fn has_1g_pages() -> bool {
    id().get_extended_processor_and_feature_identifiers()
        .is_some_and(|f| f.has_1gib_pages())
}

/// Bits of a physical address.
pub fn physical_bits() -> u32 {
    let bits = leaf(0x8000_0008, 0)[0] & 0xff;
    if bits == 0 { 36 } else { bits.min(52) }
}

/// Enables write protection for ring 0, global pages, and SMEP and SMAP if the processor has them.
pub fn enable_protections() {
    let extended = id().get_extended_feature_info();
    let mut cr4 = Cr4Flags::PAGE_GLOBAL;
    if extended.as_ref().is_some_and(|f| f.has_smep()) {
        cr4 |= Cr4Flags::SUPERVISOR_MODE_EXECUTION_PROTECTION;
    }
    if extended.as_ref().is_some_and(|f| f.has_smap()) {
        cr4 |= Cr4Flags::SUPERVISOR_MODE_ACCESS_PREVENTION;
    }
    if id().get_feature_info().is_some_and(|f| f.has_xsave()) {
        cr4 |= Cr4Flags::OSXSAVE;
    }
    // SAFETY:
    // - There are no user pages, so SMEP and SMAP forbid nothing that the hypervisor does.
    // - The hypervisor's code uses no extended state, so enabling XSAVE and FXSAVE does not affect it.
    unsafe { Cr4::update(|flags| *flags |= cr4 | Cr4Flags::OSFXSR) };
    // SAFETY: the hypervisor writes to no read-only page, and x87 and cache control bits do not change what its code
    // does.
    unsafe {
        Cr0::update(|flags| {
            flags.insert(
                Cr0Flags::WRITE_PROTECT | Cr0Flags::NUMERIC_ERROR | Cr0Flags::MONITOR_COPROCESSOR,
            );
            flags.remove(Cr0Flags::EMULATE_COPROCESSOR | Cr0Flags::TASK_SWITCHED);
            flags.remove(Cr0Flags::CACHE_DISABLE | Cr0Flags::NOT_WRITE_THROUGH);
        });
    }
}

/// The time-stamp counter.
pub fn tsc() -> u64 {
    // SAFETY: RDTSC is always allowed in ring 0 and has no side effect.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// Writes the reset control register (Intel ICH9 data sheet, 13.7.5), which may reset the machine.
pub fn write_reset_control(value: u8) {
    // SAFETY: a write resets the machine, which ends this program, or only selects the kind of reset.
    unsafe { x86_64::instructions::port::Port::<u8>::new(0xcf9).write(value) };
}

/// Reboots the machine: by the reset control register, else by the keyboard controller.
pub fn reboot() -> ! {
    super::serial::write_deferred();
    write_reset_control(2);
    write_reset_control(6);
    // SAFETY: the command pulses the processor's reset line, which ends this program.
    unsafe { x86_64::instructions::port::Port::<u8>::new(0x64).write(0xfe) };
    super::halt_forever()
}
