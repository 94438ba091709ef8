// SPDX-License-Identifier: GPL-2.0

//! The codes of VMEXITs that are handled or asked for (APM volume 2, appendix C), and their names in a trace.

macro_rules! codes {
    ($($name:ident = $code:expr;)*) => {
        $(#[allow(missing_docs)] pub const $name: u64 = $code;)*

        /// What an exit is called, by the lower half of its code; `None` if it is not one of these.
        pub fn name(code: u32) -> Option<&'static str> {
            $(if code == $name as u32 {
                return Some(stringify!($name));
            })*
            None
        }
    };
}

codes! {
    WRITE_CR0 = 0x10;
    WRITE_CR4 = 0x14;
    EXCEPTION_DB = 0x41;
    EXCEPTION_AC = 0x51;
    INTR = 0x60;
    NMI = 0x61;
    SMI = 0x62;
    INIT = 0x63;
    VINTR = 0x64;
    RDPMC = 0x6f;
    CPUID = 0x72;
    IRET = 0x74;
    INVD = 0x76;
    HLT = 0x78;
    INVLPGA = 0x7a;
    IOIO = 0x7b;
    MSR = 0x7c;
    SHUTDOWN = 0x7f;
    VMRUN = 0x80;
    VMMCALL = 0x81;
    SKINIT = 0x86;
    ICEBP = 0x88;
    WBINVD = 0x89;
    MONITOR = 0x8a;
    MWAIT = 0x8b;
    MWAIT_ARMED = 0x8c;
    XSETBV = 0x8d;
    RDPRU = 0x8e;
    NPF = 0x400;
    INVALID = u64::MAX;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exits_have_the_manuals_names() {
        assert_eq!(name(0x81), Some("VMMCALL"));
        assert_eq!(name(0x400), Some("NPF"));
        assert_eq!(name(INVALID as u32), Some("INVALID"));
        assert_eq!(name(0x7d), None);
    }
}
