// SPDX-License-Identifier: GPL-2.0

//! The process that opened a file.

use core::fmt;

use xen_bindings as bindings;

/// Bytes of a task's name with its terminator (`TASK_COMM_LEN`).
const NAME_LEN: usize = 16;

/// The process that opened a device file: its name and number, printed as `xenstored[123]`. The
/// file may have been passed to another process since.
///
/// # Invariants
///
/// Made for a call of [`OpenFile::open`](super::OpenFile::open): its process had the permission to
/// open the device file.
pub struct Opener {
    name: [u8; NAME_LEN],
    process: i32,
}

impl Opener {
    /// The current process, which is opening a device file.
    pub(super) fn current() -> Self {
        let mut name = [0; NAME_LEN];
        // SAFETY: The shim writes `TASK_COMM_LEN` bytes, for which there is room.
        unsafe { bindings::xen_rs_current_comm(name.as_mut_ptr().cast()) };
        Self {
            name,
            process: kernel::current!().group_leader().pid(),
        }
    }

    /// The name, up to the first character that is not printable.
    pub fn name(&self) -> &str {
        let printable = |byte: &u8| byte.is_ascii_graphic() || *byte == b' ';
        let len = self.name.iter().take_while(|byte| printable(byte)).count();
        core::str::from_utf8(self.name.get(..len).unwrap_or_default()).unwrap_or_default()
    }
}

impl fmt::Display for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]", self.name(), self.process)
    }
}
