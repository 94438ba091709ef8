// SPDX-License-Identifier: GPL-2.0

//! Module parameters that sysfs shows, and that can be changed at run time, as in C drivers. Those
//! of the kernel's own `module!` macro are not in sysfs.

use kernel::{
    bindings as k,
    sync::atomic::{
        Atomic,
        Relaxed, //
    },
};

/// A number (`unsigned int` in C).
#[repr(transparent)]
pub struct Number(Atomic<u32>);

impl Number {
    /// A parameter with a default value.
    pub const fn new(default: u32) -> Self {
        Self(Atomic::new(default))
    }

    /// The current value.
    pub fn get(&self) -> u32 {
        self.0.load(Relaxed)
    }
}

/// A flag (`bool` in C, which has the size and values of Rust's).
#[repr(transparent)]
pub struct Flag(Atomic<bool>);

impl Flag {
    /// A parameter with a default value.
    pub const fn new(default: bool) -> Self {
        Self(Atomic::new(default))
    }

    /// The current value.
    pub fn get(&self) -> bool {
        self.0.load(Relaxed)
    }
}

/// A `kernel_param`, for the macro.
#[doc(hidden)]
#[repr(transparent)]
pub struct Raw(pub k::kernel_param);

// SAFETY: Only the kernel's parameter code accesses it, under a lock.
unsafe impl Sync for Raw {}

/// Declares module parameters: type, default value, name, mode in sysfs, description.
///
/// # Examples
///
/// ```ignore
/// module_params! {
///     /// Maximum number of hardware queues of a disk.
///     MAX_QUEUES: u32 = 4, "max_queues", 0o444, "Maximum number of hardware queues";
///     /// Whether the backend is trusted.
///     TRUSTED: bool = true, "trusted", 0o644, "Is the backend trusted";
/// }
/// ```
///
/// The sections `__param` and `.modinfo` get what `module_param_named` and `MODULE_PARM_DESC` of
/// `include/linux/moduleparam.h` define. In a built-in driver, names are prefixed with the
/// module's.
#[macro_export]
macro_rules! module_params {
    (@type u32) => { $crate::param::Number };
    (@type bool) => { $crate::param::Flag };
    (@ops u32) => { ::kernel::bindings::param_ops_uint };
    (@ops bool) => { ::kernel::bindings::param_ops_bool };
    (@name u32) => { "uint" };
    (@name bool) => { "bool" };
    (@text $(#[$attribute:meta])* $var:ident = $text:expr) => {
        $(#[$attribute])*
        static $var: [u8;
            $crate::param::PREFIX.len(env!("RUST_MODFILE"), cfg!(MODULE)) + $text.len()] =
            $crate::param::PREFIX.before(env!("RUST_MODFILE"), cfg!(MODULE), $text);
    };
    ($(
        $(#[$doc:meta])*
        $var:ident: $type:tt = $default:expr, $name:literal, $mode:literal, $text:literal;
    )*) => {$(
        $(#[$doc])*
        pub(crate) static $var: $crate::module_params!(@type $type) =
            <$crate::module_params!(@type $type)>::new($default);

        const _: () = {
            $crate::module_params!(@text NAME = concat!($name, "\0"));
            $crate::module_params!(@text #[link_section = ".modinfo"] #[used(compiler)] TYPE =
                concat!("parmtype=", $name, ":", $crate::module_params!(@name $type), "\0"));
            $crate::module_params!(@text #[link_section = ".modinfo"] #[used(compiler)] TEXT =
                concat!("parm=", $name, ":", $text, "\0"));

            // `used(compiler)` as in the kernel's own macros: with plain `used`, newer compilers
            // make a section for each, of which modpost reads only one.
            #[link_section = "__param"]
            #[used(compiler)]
            static PARAM: $crate::param::Raw = $crate::param::Raw(::kernel::bindings::kernel_param {
                name: (&raw const NAME).cast(),
                #[cfg(MODULE)]
                mod_: (&raw const ::kernel::bindings::__this_module).cast_mut(),
                #[cfg(not(MODULE))]
                mod_: ::core::ptr::null_mut(),
                ops: &raw const $crate::module_params!(@ops $type),
                perm: $mode,
                level: -1,
                flags: 0,
                __bindgen_anon_1: ::kernel::bindings::kernel_param__bindgen_ty_1 {
                    arg: (&raw const $var).cast_mut().cast(),
                },
            });
        };
    )*};
}

/// Prefix of the names of parameters, for the macro: none in a module, and the module's name and a
/// dot in a built-in driver.
#[doc(hidden)]
pub struct Prefix;

#[doc(hidden)]
pub const PREFIX: Prefix = Prefix;

impl Prefix {
    /// Length of the prefix; `modfile` is the module's file without suffix.
    pub const fn len(&self, modfile: &str, module: bool) -> usize {
        if module {
            0
        } else {
            modfile.len() - start(modfile) + 1
        }
    }

    /// The prefix and `text`, `N` bytes in all.
    pub const fn before<const N: usize>(&self, modfile: &str, module: bool, text: &str) -> [u8; N] {
        let mut bytes = [b'.'; N];
        let prefix = self.len(modfile, module);
        let mut i = 0;
        while i + 1 < prefix {
            bytes[i] = modfile.as_bytes()[start(modfile) + i];
            i += 1;
        }
        i = prefix;
        while i < N {
            bytes[i] = text.as_bytes()[i - prefix];
            i += 1;
        }
        bytes
    }
}

/// The index of the file name in a path.
const fn start(path: &str) -> usize {
    let mut i = path.len();
    while i > 0 && path.as_bytes()[i - 1] != b'/' {
        i -= 1;
    }
    i
}
