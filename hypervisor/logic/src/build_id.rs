// SPDX-License-Identifier: GPL-2.0

//! The linker's build id (`--build-id`), which lies in the image as an ELF note.

/// Type of the note: `NT_GNU_BUILD_ID`.
const TYPE: u32 = 3;
/// Name of the note.
const NAME: &[u8] = b"GNU\0";

/// The build id in a note, which has the sizes of its name and content and its type, 4 bytes each, and then both.
/// `None` if it is another note.
pub fn of(note: &[u8]) -> Option<&[u8]> {
    let word = |at: usize| -> Option<u32> {
        let bytes = note.get(at..at + 4)?;
        bytes.try_into().map(u32::from_le_bytes).ok()
    };
    if word(0)? as usize != NAME.len() || word(8)? != TYPE || note.get(12..16)? != NAME {
        return None;
    }
    let length = word(4)? as usize;
    note.get(16..)?.get(..length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_linkers_note_is_read() {
        let note = *b"\x04\0\0\0\x02\0\0\0\x03\0\0\0GNU\0\xab\xcd\0\0";
        assert_eq!(of(&note), Some(&b"\xab\xcd"[..]));
        for cut in 0..18 {
            assert_eq!(of(&note[..cut]), None, "{cut}");
        }
        for (at, wrong) in [(0, 5), (8, 1), (12, b'X'), (4, 200), (7, 255)] {
            let mut note = note;
            note[at] = wrong;
            assert_eq!(of(&note), None, "{at}");
        }
    }
}
