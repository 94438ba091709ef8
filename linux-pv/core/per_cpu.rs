// SPDX-License-Identifier: GPL-2.0

//! Per-CPU variables (`linux/percpu-defs.h`): one value for each possible CPU, which every CPU can
//! read.
//!
//! Only static ones, and only by reference to a value that may be shared: words that change are
//! atomic, or belong to who has interrupts disabled.

use core::{
    cell::UnsafeCell,
    ptr::{
        addr_of,
        with_exposed_provenance, //
    },
    sync::atomic::{
        AtomicU32,
        Ordering::Relaxed, //
    },
};

use kernel::{
    bindings as kernel_bindings,
    cpu::{
        nr_cpu_ids,
        CpuId, //
    },
    cpumask::Cpumask,
    ffi::c_int, //
};

/// The number of a CPU that may exist (`cpu_possible_mask`), and so has per-CPU memory.
#[derive(Clone, Copy)]
pub struct PossibleCpu(u32);

impl PossibleCpu {
    /// The CPU that the kernel starts on, which always exists.
    pub const FIRST: Self = Self(0);

    /// The CPU with this number, as a C function got it as its argument.
    ///
    /// # Safety
    ///
    /// The CPU is in `cpu_possible_mask`.
    #[inline]
    pub unsafe fn from_raw(cpu: c_int) -> Self {
        Self(cpu as u32)
    }

    /// The CPU that this runs on, or, if the task can be preempted, ran on a moment ago.
    #[inline]
    pub fn current() -> Self {
        // SAFETY: Reads this CPU's value, which is written before the CPU runs anything else.
        Self(unsafe { of_this_cpu(addr_of!(kernel_bindings::cpu_number)).read() } as u32)
    }

    /// The number.
    #[inline]
    pub fn number(self) -> u32 {
        self.0
    }

    /// Whether the CPU is in a mask.
    #[inline]
    pub fn is_in(self, mask: &Cpumask) -> bool {
        CpuId::from_u32(self.0).is_some_and(|cpu| mask.test(cpu))
    }

    /// Whether the CPU is online now.
    #[inline]
    pub fn is_online(self) -> bool {
        // SAFETY: The mask is a variable of the kernel, which is only tested: by atomic reads.
        self.is_in(unsafe { Cpumask::from_raw(addr_of!(kernel_bindings::__cpu_online_mask)) })
    }

    /// All possible CPUs, in order. The mask is written early at boot.
    pub fn all() -> impl Iterator<Item = Self> {
        // SAFETY: The mask is a variable of the kernel that never changes after early boot, before
        // objects of this kind are called.
        let mask = unsafe { Cpumask::from_raw(addr_of!(kernel_bindings::__cpu_possible_mask)) };
        (0..nr_cpu_ids())
            .filter(move |cpu| CpuId::from_u32(*cpu).is_some_and(|cpu| mask.test(cpu)))
            .map(Self)
    }

    /// How far this CPU's values are from the ones in the kernel's image.
    #[inline]
    fn offset(self) -> usize {
        // SAFETY: The array has an element for each possible CPU. It is written once, at boot;
        // before, all elements are 0, for the image's own values.
        unsafe {
            addr_of!(kernel_bindings::__per_cpu_offset)
                .cast::<usize>()
                .add(self.0 as usize)
                .read_volatile()
        }
    }
}

/// A per-CPU variable. [`define_per_cpu!`](crate::define_per_cpu) makes one.
///
/// # Invariants
///
/// It is a static of section `.data..percpu`. So what is in the image is a template: each possible
/// CPU has a copy at its offset from there, which is never freed.
#[repr(transparent)]
pub struct PerCpu<T>(UnsafeCell<T>);

// SAFETY: Only shared references to values are given away, so a value needs to be `Sync` and no
// more.
unsafe impl<T: Sync> Sync for PerCpu<T> {}

impl<T: Sync> PerCpu<T> {
    /// A variable with this value at boot.
    ///
    /// # Safety
    ///
    /// The result is the initial value of a static in section `.data..percpu`.
    pub const unsafe fn new(value: T) -> Self {
        // INVARIANT: By the requirement of this function.
        Self(UnsafeCell::new(value))
    }

    /// The value of a CPU. Any context.
    #[inline]
    pub fn of(&'static self, cpu: PossibleCpu) -> &'static T {
        // SAFETY: By the type invariant the CPU's copy is there and is never freed. It is only
        // referenced, by any CPU, as `T: Sync` allows; its first value is a copy of a valid one.
        unsafe { &*of_cpu(self.0.get(), cpu) }
    }

    /// The value of the CPU that this runs on, or, if the task can be preempted, ran on a moment
    /// ago. Any context, from the kernel's first lines on: before CPUs have copies, it is the one
    /// in the image.
    #[inline]
    pub fn of_this_cpu(&'static self) -> &'static T {
        // SAFETY: By the type invariant the CPU's copy is there and is never freed. It is only
        // referenced, by any CPU, as `T: Sync` allows; its first value is a copy of a valid one.
        unsafe { &*of_this_cpu(self.0.get()) }
    }
}

/// A CPU's copy of a variable, of which `template` is in the kernel's image.
#[inline]
fn of_cpu<T>(template: *const T, cpu: PossibleCpu) -> *const T {
    let mut address = template.expose_provenance();
    // SAFETY: No instruction. As `RELOC_HIDE` in C it keeps the compiler from concluding that the
    // result points into the template.
    unsafe {
        core::arch::asm!(
            "/* {0} */",
            inout(reg) address,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    with_exposed_provenance(address.wrapping_add(cpu.offset()))
}

/// This CPU's copy of a variable, of which `template` is in the kernel's image, or of memory that
/// was allocated for all CPUs (`alloc_percpu`). Any context.
#[inline]
pub fn of_this_cpu<T>(template: *const T) -> *const T {
    let mut address = template.expose_provenance();
    // SAFETY: Reads a word of this CPU's (`linux/percpu-defs.h`: `this_cpu_ptr`): how far its
    // values are from the image's.
    unsafe {
        core::arch::asm!(
            "add {0}, qword ptr gs:[rip + {1}]",
            inout(reg) address,
            sym kernel_bindings::this_cpu_off,
            options(readonly, nostack)
        );
    }
    with_exposed_provenance(address)
}

/// The number of a possible CPU that changes.
pub struct AtomicCpu(AtomicU32);

impl AtomicCpu {
    /// With this value.
    pub const fn new(cpu: PossibleCpu) -> Self {
        Self(AtomicU32::new(cpu.0))
    }

    /// Reads it.
    #[inline]
    pub fn load(&self) -> PossibleCpu {
        // Only numbers of possible CPUs are stored.
        PossibleCpu(self.0.load(Relaxed))
    }

    /// Overwrites it.
    #[inline]
    pub fn store(&self, cpu: PossibleCpu) {
        self.0.store(cpu.0, Relaxed);
    }
}

/// Something of a CPU's own, which only that CPU changes, with interrupts disabled.
#[repr(transparent)]
pub struct Own<T>(UnsafeCell<T>);

// SAFETY: By the requirements of `with` there is one user at a time.
unsafe impl<T: Send> Sync for Own<T> {}

impl<T> Own<T> {
    /// With this value.
    pub const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    /// Calls `with` with the value.
    ///
    /// # Safety
    ///
    /// There is no other user: this runs on the CPU that the value belongs to, with interrupts
    /// disabled, or that CPU is stopped. `with` does not call this for the same value.
    #[inline]
    pub unsafe fn with<R>(&self, with: impl FnOnce(&mut T) -> R) -> R {
        // SAFETY: By the requirements of this function no other reference exists.
        with(unsafe { &mut *self.0.get() })
    }
}

/// Reads a CPU's value of a per-CPU variable of C's.
///
/// # Safety
///
/// `variable` is the address of a variable that `DEFINE_PER_CPU` has made, and nobody writes this
/// CPU's value at the same time.
#[inline]
pub unsafe fn read_c<T: Copy>(variable: *const T, cpu: PossibleCpu) -> T {
    // SAFETY: A possible CPU has a copy, and by the requirement nobody writes it.
    unsafe { of_cpu(variable, cpu).read() }
}

/// Defines per-CPU variables: `static NAME: T = value;`. `T` has to be [`Sync`].
#[macro_export]
macro_rules! define_per_cpu {
    ($($(#[$attribute:meta])* $visible:vis static $name:ident: $type:ty = $value:expr;)*) => {$(
        $(#[$attribute])*
        #[link_section = ".data..percpu"]
        $visible static $name: $crate::per_cpu::PerCpu<$type> = {
            let value: $type = $value;
            // SAFETY: The static is in the section for it.
            unsafe { $crate::per_cpu::PerCpu::new(value) }
        };
    )*};
}
