// SPDX-License-Identifier: GPL-2.0

//! Who opened a file.

use core::fmt;
use xen_bindings as bindings;

/// Bytes of a task's name (`TASK_COMM_LEN`), of which the last is zero.
const NAME_LEN: usize = 16;

/// A process that has opened a device file, which only root may unless the administrator says
/// otherwise. Shown by name and number: `xenstored[123]`. Others may have got the file since.
///
/// # Invariants
///
/// It was made in [`OpenFile::open`](super::OpenFile::open), for the process that opens the file.
pub struct Opener {
    name: [u8; NAME_LEN],
    process: i32,
}

impl Opener {
    /// The current process, which is opening a device file.
    pub(super) fn current() -> Self {
        let mut name = [0; NAME_LEN];
        // SAFETY: The shim writes `TASK_COMM_LEN` bytes.
        unsafe { bindings::xen_rs_current_comm(name.as_mut_ptr().cast()) };
        Self {
            name,
            process: kernel::current!().group_leader().pid(),
        }
    }

    /// Its name, as far as it is made of printable characters.
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
