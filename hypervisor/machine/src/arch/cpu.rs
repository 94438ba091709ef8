// SPDX-License-Identifier: GPL-2.0

//! What this processor is and can do, and the bits that turn its protections on.

use arrayvec::ArrayString;
use raw_cpuid::{CpuId, CpuIdReaderNative};
use x86_64::registers::control::{Cr0, Cr0Flags, Cr4, Cr4Flags};

/// The processor's identification leaves.
pub fn id() -> CpuId<CpuIdReaderNative> {
    CpuId::new()
}

/// A leaf and subleaf as they are: EAX, EBX, ECX, EDX.
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

/// Whether page tables may map 1 GiB at once.
pub fn has_1g_pages() -> bool {
    id().get_extended_processor_and_feature_identifiers()
        .is_some_and(|f| f.has_1gib_pages())
}

/// Bits of a physical address: no page table may say more.
pub fn physical_bits() -> u32 {
    let bits = leaf(0x8000_0008, 0)[0] & 0xff;
    if bits == 0 { 36 } else { bits.min(52) }
}

/// Write protection in the kernel, global pages, SMEP and SMAP where there are any.
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
    // SAFETY: the hypervisor writes to no read-only page, executes and reads no user page, and there are none; its
    // own code uses no extended state, XSAVE being enabled is for the guests'.
    unsafe { Cr4::update(|flags| *flags |= cr4 | Cr4Flags::OSFXSR) };
    // SAFETY: as above; caches are on as they always should be.
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
    // SAFETY: reading the counter has no precondition in ring 0.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// Writes the reset control register (Intel ICH9 data sheet, 13.7.5), as dom0 wants: the machine may start again.
pub fn write_reset_control(value: u8) {
    // SAFETY: a reset ends everything; other bits only say of what kind it will be.
    unsafe { x86_64::instructions::port::Port::<u8>::new(0xcf9).write(value) };
}

/// Starts the machine again: by the reset control register, else the keyboard controller, else a triple fault.
pub fn reboot() -> ! {
    write_reset_control(2);
    write_reset_control(6);
    // SAFETY: as above.
    unsafe { x86_64::instructions::port::Port::<u8>::new(0x64).write(0xfe) };
    super::halt_forever()
}
