// SPDX-License-Identifier: GPL-2.0

//! The linker's digest of the image (`--build-id`), which tells builds apart, in the form in which it lies in the image:
//! an ELF note.

/// Type of the note (`NT_GNU_BUILD_ID`).
const TYPE: u32 = 3;
/// Whose note it is.
const NAME: &[u8] = b"GNU\0";

/// The digest in a note: sizes of name and content and a type, 4 bytes each, then name and content. None if it is no such
/// note.
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
