// SPDX-License-Identifier: GPL-2.0

//! The addresses of the hypervisor's image, by symbols of the linker script. All are page-aligned; virtual and physical
//! addresses differ by [`VIRT`].

/// Virtual minus physical addresses of the image.
pub const VIRT: u64 = 0xffff_ffff_8000_0000;

// Symbols of hypervisor.ld.
unsafe extern "C" {
    #[link_name = "image_start"]
    static IMAGE_START: u8;
    #[link_name = "text_end"]
    static TEXT_END: u8;
    #[link_name = "rodata_end"]
    static RODATA_END: u8;
    #[link_name = "image_end"]
    static IMAGE_END: u8;
    #[link_name = "symbols_start"]
    static SYMBOLS_START: u8;
    #[link_name = "symbols_end"]
    static SYMBOLS_END: u8;
    #[link_name = "build_id_start"]
    static BUILD_ID_START: u8;
    #[link_name = "build_id_end"]
    static BUILD_ID_END: u8;
}

fn address(symbol: *const u8) -> u64 {
    symbol as u64
}

/// Virtual address of the code's start.
pub fn start() -> u64 {
    address(&raw const IMAGE_START)
}

/// Virtual address where the code ends and the constants start.
pub fn text_end() -> u64 {
    address(&raw const TEXT_END)
}

/// Virtual address where the constants end and the data start.
pub fn rodata_end() -> u64 {
    address(&raw const RODATA_END)
}

/// Virtual address of the image's end.
pub fn end() -> u64 {
    address(&raw const IMAGE_END)
}

/// The bytes between two symbols of the linker script.
///
/// # Safety
///
/// Both symbols lie in `.rodata` or in a section behind it that is mapped read-only, the first one not behind the
/// second.
unsafe fn constants(start: *const u8, end: *const u8) -> &'static [u8] {
    // SAFETY: by the function's contract all bytes are constants of the image, which are mapped for ever and never
    // written.
    unsafe { core::slice::from_raw_parts(start, (address(end) - address(start)) as usize) }
}

/// The symbol table for crash reports, which kbuild writes into the image.
pub fn symbols() -> &'static [u8] {
    // SAFETY: the linker script defines both symbols in `.symbols`, which is in the read-only segment.
    unsafe { constants(&raw const SYMBOLS_START, &raw const SYMBOLS_END) }
}

/// The linker's build id note.
pub fn build_id() -> &'static [u8] {
    // SAFETY: the linker script defines both symbols in `.note`, which is in the read-only segment.
    unsafe { constants(&raw const BUILD_ID_START, &raw const BUILD_ID_END) }
}

/// Physical addresses of the image's frames.
pub fn physical() -> core::ops::Range<u64> {
    start() - VIRT..end() - VIRT
}
