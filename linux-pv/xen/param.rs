// SPDX-License-Identifier: GPL-2.0

//! Module parameters as C drivers have them: with a mode in sysfs, changeable at run time, and of type
//! `bool`, which the kernel's own `module!` macro does not offer.

use kernel::bindings as k;
use kernel::sync::atomic::{Atomic, Relaxed};

/// A number (`unsigned int` in C).
#[repr(transparent)]
pub struct Number(Atomic<u32>);

impl Number {
    /// With a default.
    pub const fn new(default: u32) -> Self {
        Self(Atomic::new(default))
    }

    /// The present value.
    pub fn get(&self) -> u32 {
        self.0.load(Relaxed)
    }
}

/// A parameter that is on or off (`bool` in C, which has the size and values of Rust's).
#[repr(transparent)]
pub struct Flag(core::sync::atomic::AtomicBool);

impl Flag {
    /// With a default.
    pub const fn new(default: bool) -> Self {
        Self(core::sync::atomic::AtomicBool::new(default))
    }

    /// The present value.
    pub fn get(&self) -> bool {
        self.0.load(core::sync::atomic::Ordering::Relaxed)
    }
}

/// A `kernel_param`, for the macro.
#[doc(hidden)]
#[repr(transparent)]
pub struct Raw(pub k::kernel_param);

// SAFETY: Only the kernel's parameter code uses it, under its own lock.
unsafe impl Sync for Raw {}

/// Declares module parameters:
///
/// ```ignore
/// module_params! {
///     /// Most queues of a disk.
///     MAX_QUEUES: u32 = 4, "max_queues", 0o444, "Maximum number of hardware queues";
///     /// Whether the back end is trusted.
///     TRUSTED: bool = true, "trusted", 0o644, "Is the backend trusted";
/// }
/// ```
#[macro_export]
macro_rules! module_params {
    (@type u32) => { $crate::param::Number };
    (@type bool) => { $crate::param::Flag };
    (@ops u32) => { ::kernel::bindings::param_ops_uint };
    (@ops bool) => { ::kernel::bindings::param_ops_bool };
    (@name u32) => { "uint" };
    (@name bool) => { "bool" };
    ($(
        $(#[$doc:meta])*
        $var:ident: $type:tt = $default:expr, $name:literal, $mode:literal, $text:literal;
    )*) => {$(
        $(#[$doc])*
        pub(crate) static $var: $crate::module_params!(@type $type) =
            <$crate::module_params!(@type $type)>::new($default);

        const _: () = {
            #[link_section = "__param"]
            #[used]
            static PARAM: $crate::param::Raw = $crate::param::Raw(::kernel::bindings::kernel_param {
                name: concat!($name, "\0").as_ptr().cast(),
                // SAFETY: The kernel makes this when it loads the module.
                mod_: unsafe { &raw const ::kernel::bindings::__this_module }.cast_mut(),
                // SAFETY: Only the address of a constant of the kernel is taken.
                ops: unsafe { &raw const $crate::module_params!(@ops $type) },
                perm: $mode,
                level: -1,
                flags: 0,
                __bindgen_anon_1: ::kernel::bindings::kernel_param__bindgen_ty_1 {
                    arg: (&raw const $var).cast_mut().cast(),
                },
            });

            const TYPE_TEXT: &str = concat!("parmtype=", $name, ":", $crate::module_params!(@name $type), "\0");
            const TEXT: &str = concat!("parm=", $name, ":", $text, "\0");
            #[link_section = ".modinfo"]
            #[used]
            static TYPE_INFO: [u8; TYPE_TEXT.len()] = $crate::param::bytes(TYPE_TEXT);
            #[link_section = ".modinfo"]
            #[used]
            static INFO: [u8; TEXT.len()] = $crate::param::bytes(TEXT);
        };
    )*};
}

/// The bytes of a text, for the macro.
#[doc(hidden)]
pub const fn bytes<const N: usize>(text: &str) -> [u8; N] {
    let mut bytes = [0; N];
    let mut i = 0;
    while i < N {
        bytes[i] = text.as_bytes()[i];
        i += 1;
    }
    bytes
}
