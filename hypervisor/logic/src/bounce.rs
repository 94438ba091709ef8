// SPDX-License-Identifier: GPL-2.0

//! The word on dom0's command line that makes its kernel bounce every transfer of a device (`swiotlb=force`).
//!
//! dom0's own memory has gfns that equal its mfns, so devices reach it. A mapped grant or foreign frame has a gfn of
//! dom0 and an mfn of another domain: without an IOMMU, a device that is given this gfn transfers from or to the machine
//! frame of that number, which may belong to the hypervisor or to any guest. With the word, devices are given dom0's
//! bounce buffers only, and dom0's processors copy. Linux's backends pass granted pages to disks and networks as they
//! are, so without it a guest's disk on a whole device is neither right nor safe.

use alloc::format;
use alloc::string::String;

/// Linux's option, whose value is `[slots][,areas][,force|noforce]`.
const OPTION: &str = "swiotlb=";

/// What dom0's command line says about bounce buffers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bouncing {
    /// Nothing: the line has the word added in front.
    Added(String),
    /// It forces them itself.
    Forced,
    /// It forbids them: devices must not be given pages of guests.
    Forbidden,
}

/// Looks for the word on a command line of Linux, and adds it if the line does not decide.
pub fn force(line: &str) -> Bouncing {
    // What follows `--` is for dom0's init.
    let words = line.split_ascii_whitespace();
    let words = words.take_while(|word| *word != "--");
    let decisions = words.filter_map(|word| word.strip_prefix(OPTION)?.split(',').next_back());
    // Linux lets the prohibition win over the order, wherever both stand.
    let mut forced = false;
    for decision in decisions {
        match decision {
            "noforce" => return Bouncing::Forbidden,
            "force" => forced = true,
            _ => {}
        }
    }
    match forced {
        true => Bouncing::Forced,
        // In front, so that neither a quotation mark nor `--` can swallow it.
        false => Bouncing::Added(format!("{OPTION}force {line}").trim_end().into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn added(line: &str) -> String {
        match force(line) {
            Bouncing::Added(line) => line,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn a_line_that_does_not_decide_gets_the_word() {
        assert_eq!(added(""), "swiotlb=force");
        assert_eq!(added("root=/dev/sda"), "swiotlb=force root=/dev/sda");
        // A size or Linux's other words leave the decision open.
        for line in [
            "swiotlb=65536",
            "swiotlb=65536,4",
            "swiotlb=track_hiwater quiet",
            "xswiotlb=force",
            "iommu=noforce",
        ] {
            assert_eq!(added(line), format!("swiotlb=force {line}"));
        }
    }

    #[test]
    fn a_line_that_decides_stays() {
        for line in [
            "swiotlb=force",
            "a swiotlb=1024,force",
            "swiotlb=1024,2,force b",
        ] {
            assert_eq!(force(line), Bouncing::Forced, "{line}");
        }
        for line in [
            "swiotlb=noforce",
            "swiotlb=force swiotlb=noforce",
            "swiotlb=1,noforce swiotlb=force",
        ] {
            assert_eq!(force(line), Bouncing::Forbidden, "{line}");
        }
    }

    #[test]
    fn words_for_init_do_not_decide() {
        assert_eq!(
            added("quiet -- swiotlb=noforce"),
            "swiotlb=force quiet -- swiotlb=noforce"
        );
    }
}
