// SPDX-License-Identifier: GPL-2.0

//! Counting what an emulated machine executes, where clocks tell little.
//!
//! A program in a guest or in dom0 [marks](mark) the beginning and the end of its work by an instruction that does nothing.
//! QEMU's plugin (crate `counter-plugin`) sees these instructions wherever they are executed, counts every block of
//! instructions that any processor executes between them, and writes the result as a [record]. Who executed
//! a block follows from its addresses, which is for the reader of the record to say.
//!
//! What lives here: what the three have in common. What does not: QEMU's interface, which is the plugin's, and
//! the attribution, which is `vmtest::bench`'s.

pub mod mark;
pub mod record;
pub mod table;
