// SPDX-License-Identifier: GPL-2.0

//! The hypercall instruction, which is behind the static call `xen_hypercall`: boot code has chosen
//! the one for this domain and processor, and patched it into all callers.

use core::{
    arch::asm,
    ptr, //
};

use xen_abi::{
    command::PlainCommand,
    xen::hypercall as number, //
};

use xen_hypercall::Hypervisor;

use crate::{
    call_counts::{
        self,
        How, //
    },
    domain, //
};

/// The code of a call: that of C (`asm/xen/hypercall.h`). The key's symbol has to be in the object,
/// for objtool to find it.
macro_rules! call {
    ($($operands:tt)*) => {
        asm!(
            ".global __SCK__xen_hypercall",
            "call __SCT__xen_hypercall",
            $($operands)*
        )
    };
}

/// Counts a call, while calls are counted.
#[inline(always)]
fn count(number: u32) {
    if call_counts::is_counting() {
        call_counts::add(number.into(), How::Direct);
    }
}

/// Makes a hypercall with two arguments, and returns what the hypervisor does. Any context.
///
/// # Safety
///
/// The kernel runs on Xen. The hypervisor may do what the call asks for: with memory, interrupts,
/// or whatever else it is about.
#[inline(always)]
pub unsafe fn call2(number: u32, arguments: [u64; 2]) -> i64 {
    count(number);
    // SAFETY: By the requirements of this function.
    unsafe { call2_uncounted(number, arguments) }
}

/// Likewise without being counted, for who does so.
///
/// # Safety
///
/// As [`call2`].
#[inline(always)]
pub unsafe fn call2_uncounted(number: u32, arguments: [u64; 2]) -> i64 {
    let result;
    // SAFETY: By the requirements of this function. All registers that the hypervisor may change
    // are outputs.
    unsafe {
        call!(
            inlateout("rax") u64::from(number) => result,
            inlateout("rdi") arguments[0] => _,
            inlateout("rsi") arguments[1] => _,
            lateout("rdx") _,
            lateout("r10") _,
            lateout("r8") _,
        );
    }
    result
}

/// As [`call2`] with three arguments.
///
/// # Safety
///
/// As [`call2`].
#[inline(always)]
pub unsafe fn call3(number: u32, arguments: [u64; 3]) -> i64 {
    count(number);
    let result;
    // SAFETY: By the requirements of this function. All registers that the hypervisor may change
    // are outputs.
    unsafe {
        call!(
            inlateout("rax") u64::from(number) => result,
            inlateout("rdi") arguments[0] => _,
            inlateout("rsi") arguments[1] => _,
            inlateout("rdx") arguments[2] => _,
            lateout("r10") _,
            lateout("r8") _,
        );
    }
    result
}

/// As [`call2_uncounted`] with five arguments, as many as there may be.
///
/// # Safety
///
/// As [`call2`].
#[inline(always)]
pub unsafe fn call5_uncounted(number: u32, arguments: [u64; 5]) -> i64 {
    let result;
    // SAFETY: By the requirements of this function. All registers that the hypervisor may change
    // are outputs.
    unsafe {
        call!(
            inlateout("rax") u64::from(number) => result,
            inlateout("rdi") arguments[0] => _,
            inlateout("rsi") arguments[1] => _,
            inlateout("rdx") arguments[2] => _,
            inlateout("r10") arguments[3] => _,
            inlateout("r8") arguments[4] => _,
        );
    }
    result
}

/// The hypervisor that the kernel runs on.
///
/// # Invariants
///
/// The kernel runs on Xen.
#[derive(Clone, Copy)]
pub struct Xen(());

impl Xen {
    /// The hypervisor, if it is Xen. Any context, from the kernel's first lines on.
    #[inline]
    pub fn get() -> Option<Self> {
        // INVARIANT: It was asked.
        domain::is_xen().then_some(Self(()))
    }
}

impl Hypervisor for Xen {
    #[inline]
    fn call<C: PlainCommand>(&self, argument: &mut C::Argument) -> i64 {
        let (command, argument) = (u64::from(C::NUMBER), ptr::from_mut(argument) as u64);
        // SAFETY:
        // - By the type invariant the kernel runs on Xen.
        // - The structure is that of the command, which touches no other memory.
        unsafe {
            match C::HYPERCALL {
                // A list of one.
                number::GRANT_TABLE_OP => call3(C::HYPERCALL, [command, argument, 1]),
                _ => call2(C::HYPERCALL, [command, argument]),
            }
        }
    }
}
