// SPDX-License-Identifier: GPL-2.0

//! Evaluates C expressions over a set of headers: a header file defines a constant for each, and
//! bindgen, that is libclang, computes them.

use crate::table::InC;
use std::collections::BTreeMap;
use std::env::{temp_dir, var_os};
use std::fmt::Write;
use std::path::Path;
use std::process::{id, Command};

/// The sets of headers.
#[derive(Clone, Copy)]
pub enum Headers {
    Xen,
    Linux,
    /// Xen's, as 32-bit code sees them.
    Xen32,
}

/// What Xen's headers expect of the C library for some of their numbers.
const XEN_LIBC: &str = "
#include <errno.h>
#include <string.h>
";

/// A 32-bit compiler, without the C library: Debian has that of 64 bits.
const IN_32_BITS: [&str; 2] = ["--target=i686-unknown-linux-gnu", "-ffreestanding"];

const XEN: &str = "
/* The toolstack's interface, too. */
#define __XEN_TOOLS__ 1
#include <stddef.h>
#include <stdint.h>
/* The ring macros want barriers; none is expanded here. */
#define xen_mb() ((void)0)
#define xen_rmb() ((void)0)
#define xen_wmb() ((void)0)
/* Later versions of some structures than a client of old would get. */
#include <xen/xen-compat.h>
#undef __XEN_INTERFACE_VERSION__
#define __XEN_INTERFACE_VERSION__ __XEN_LATEST_INTERFACE_VERSION__
#include <xen/xen.h>
#include <xen/errno.h>
#include <xen/event_channel.h>
#include <xen/features.h>
#include <xen/grant_table.h>
#include <xen/memory.h>
#include <xen/physdev.h>
#include <xen/platform.h>
#include <xen/sched.h>
#include <xen/sysctl.h>
#include <xen/domctl.h>
#include <xen/vcpu.h>
#include <xen/version.h>
#include <xen/arch-x86/cpuid.h>
#include <xen/arch-x86/hvm/start_info.h>
#include <xen/hvm/dm_op.h>
#include <xen/hvm/hvm_op.h>
#include <xen/hvm/hvm_vcpu.h>
#include <xen/hvm/ioreq.h>
#include <xen/hvm/params.h>
#include <xen/hvm/save.h>
#include <xen/io/blkif.h>
#include <xen/io/console.h>
#include <xen/io/netif.h>
#include <xen/io/pciif.h>
#include <xen/io/protocols.h>
#include <xen/io/xenbus.h>
#include <xen/io/xs_wire.h>
";

/// The kernel's headers get the few types they take from elsewhere in the kernel from here, so
/// that neither a configuration nor generated headers are needed.
const LINUX: &str = "
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
typedef uint8_t u8, __u8;
typedef uint16_t u16, __u16;
typedef uint32_t u32, __u32;
typedef uint64_t u64, __u64;
typedef int8_t s8;
typedef int16_t s16, __s16;
typedef int32_t s32;
typedef int64_t s64;
#define __packed __attribute__((packed))
#define __maybe_unused __attribute__((unused))
#define __user
#define __DECLARE_FLEX_ARRAY(TYPE, NAME) struct { struct { } empty_##NAME; TYPE NAME[]; }
#define _LINUX_TYPES_H
#define __LINUX_COMPILER_H
#define __LINUX_SPINLOCK_H
typedef int spinlock_t;
#include <uapi/asm-generic/ioctl.h>
#include <xen/interface/xen.h>
#include <xen/interface/event_channel.h>
#include <xen/interface/features.h>
#include <xen/interface/grant_table.h>
#include <xen/interface/io/blkif.h>
#include <xen/interface/io/console.h>
#include <xen/interface/io/netif.h>
#include <xen/interface/io/pciif.h>
#include <xen/interface/io/protocols.h>
#include <xen/interface/io/xenbus.h>
#include <xen/interface/io/xs_wire.h>
#include <xen/interface/memory.h>
#include <xen/interface/physdev.h>
#include <xen/interface/hvm/dm_op.h>
#include <xen/interface/hvm/ioreq.h>
#include <uapi/xen/evtchn.h>
#include <uapi/xen/gntalloc.h>
#include <uapi/xen/gntdev.h>
#include <uapi/xen/privcmd.h>
";

/// Prefix of the constants that are evaluated.
const PREFIX: &str = "paravane_";

impl Headers {
    /// A name for files.
    fn name(self) -> &'static str {
        match self {
            Headers::Xen => "xen",
            Headers::Linux => "linux",
            Headers::Xen32 => "xen32",
        }
    }

    /// The environment variable that says where the headers are.
    pub fn variable(self) -> &'static str {
        match self {
            Headers::Xen | Headers::Xen32 => "PARAVANE_XEN_HEADERS",
            Headers::Linux => "PARAVANE_LINUX_HEADERS",
        }
    }

    /// The expression of an item in these headers, if they have it.
    pub fn of(self, c: &InC) -> Option<&str> {
        match self {
            Headers::Xen => c.xen.as_deref(),
            Headers::Linux => c.linux.as_deref(),
            Headers::Xen32 => c.xen32.as_deref(),
        }
    }

    /// The values of the expressions, in their order.
    pub fn evaluate(self, folder: &Path, expressions: &[&str]) -> Result<Vec<i128>, String> {
        let (prologue, include, options) = match self {
            Headers::Xen => ([XEN_LIBC, XEN], vec![folder.to_owned()], &[][..]),
            Headers::Xen32 => (["", XEN], vec![folder.to_owned()], &IN_32_BITS[..]),
            Headers::Linux => {
                let arch = folder.join("arch/x86/include");
                (["", LINUX], vec![folder.join("include"), arch], &[][..])
            }
        };
        // The folder with Xen's headers may be that of the C library, whose headers are for 64 bits.
        let how = match self {
            Headers::Xen32 => "-idirafter",
            Headers::Xen | Headers::Linux => "-I",
        };
        let mut header = prologue.concat();
        for (number, expression) in expressions.iter().enumerate() {
            // Strings never fail to be written to.
            let _ = writeln!(
                header,
                "static const long long {PREFIX}{number} = (long long)({expression});"
            );
        }
        let file = temp_dir().join(format!("paravane-{}-{}.h", self.name(), id()));
        std::fs::write(&file, header).map_err(|e| format!("{}: {e}", file.display()))?;
        let bindgen = var_os("PARAVANE_BINDGEN").unwrap_or_else(|| "bindgen".into());
        let output = Command::new(&bindgen)
            .args(["--formatter", "none", "--no-layout-tests"])
            .args(["--allowlist-var", &format!("{PREFIX}.*")])
            .arg(&file)
            .arg("--")
            .args(options)
            .args(
                include
                    .iter()
                    .flat_map(|dir| [how.as_ref(), dir.as_os_str()]),
            )
            .output()
            .map_err(|e| format!("{} cannot be run: {e}", bindgen.to_string_lossy()))?;
        let text = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            let log = String::from_utf8_lossy(&output.stderr);
            return Err(format!("bindgen failed on {}:\n{log}", file.display()));
        }
        let _ = std::fs::remove_file(&file);
        let values = constants(&text);
        let value = |number: usize| {
            values
                .get(&number)
                .copied()
                .ok_or_else(|| format!("bindgen did not evaluate {}", expressions[number]))
        };
        (0..expressions.len()).map(value).collect()
    }
}

/// Reads the constants from bindgen's output, `pub const paravane_7: c_longlong = -1;`, however
/// it is laid out.
fn constants(output: &str) -> BTreeMap<usize, i128> {
    let packed: String = output.split_whitespace().collect();
    let items = packed.split("pubconst").filter_map(|item| {
        let (name, rest) = item.strip_prefix(PREFIX)?.split_once(':')?;
        let (_, value) = rest.split_once('=')?;
        let (value, _) = value.split_once(';')?;
        Some((name.parse().ok()?, value.parse().ok()?))
    });
    items.collect()
}
