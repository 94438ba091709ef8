// SPDX-License-Identifier: GPL-2.0

//! The hypervisor's command line, with Xen's option names. An unknown or invalid option changes nothing and is
//! reported.

use crate::solo::MEMORY_UNIT;

/// I/O port of the only console: the first serial port.
pub const CONSOLE_PORT: u16 = 0x3f8;

/// Most pages of a processor's trace: 256 MiB.
const MAX_TRACE_PAGES: u64 = 65536;

/// The message for an unknown option.
const KNOWN: &str = "it knows dom0_mem=, dom0_max_vcpus=, dom0=pvh, console=com1, com1=, loglvl=, guest_loglvl=, tbuf_size=, noreboot, crash-test, solo, solo_mem=, solo_vcpus= and solo_exit=";

/// The log level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Nothing.
    None,
    /// Errors.
    Error,
    /// Warnings, too.
    Warning,
    /// Normal events, too.
    Info,
    /// What is of use to those who look for a fault, too.
    Debug,
}

/// The parsed command line; `None` stands for the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `dom0_mem=SIZE[,max:SIZE]`, in bytes.
    pub dom0_memory: Option<u64>,
    /// `dom0_max_vcpus=N`.
    pub dom0_vcpus: Option<usize>,
    /// `loglvl=all|debug|info|warning|error|none`.
    pub level: Option<LogLevel>,
    /// `guest_loglvl=…`, with the same values: up to which level guests' mistakes are logged.
    pub guest_level: Option<LogLevel>,
    /// `tbuf_size=N`: pages of each processor's trace, if there is one.
    pub trace_pages: Option<u64>,
    /// `noreboot`: halt after a crash.
    pub noreboot: bool,
    /// `crash-test`: crash once the hypervisor has started, to show the report.
    pub crash_test: bool,
    /// `solo`: start a guest in the place of dom0.
    pub solo: bool,
    /// `solo_mem=SIZE`, in bytes.
    pub solo_memory: Option<u64>,
    /// `solo_vcpus=N`.
    pub solo_vcpus: Option<u32>,
    /// `solo_exit=PORT`: the port of QEMU's `isa-debug-exit`, which gets how the guest has ended.
    pub solo_exit: Option<u16>,
}

impl Options {
    /// Parses a command line. `refused` is called with each word that is ignored, and the reason.
    pub fn parse<'line>(
        line: &'line str,
        mut refused: impl FnMut(&'line str, &'static str),
    ) -> Self {
        let mut options = Self::default();
        for word in line.split_whitespace() {
            if let Err(why) = options.parse_word(word) {
                refused(word, why);
            }
        }
        options
    }

    fn parse_word(&mut self, word: &str) -> Result<(), &'static str> {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        match name {
            "dom0_mem" => {
                let first = value.split(',').find(|part| !part.contains(':'));
                let first = first.or_else(|| value.strip_prefix("max:"));
                let bytes = first.and_then(size);
                let bytes = bytes
                    .ok_or("it takes a size, such as 2G or 2048M; without a unit it is in KiB")?;
                self.dom0_memory = Some(bytes);
            }
            "dom0_max_vcpus" => {
                let count = value.parse().ok().filter(|&count| count > 0);
                self.dom0_vcpus = Some(count.ok_or("it takes a number from 1 on")?);
            }
            "solo" if value.is_empty() => self.solo = true,
            "solo_mem" => {
                let bytes = size(value).filter(|bytes| *bytes >= MEMORY_UNIT);
                let bytes =
                    bytes.ok_or("it takes a size from 2M on; without a unit it is in KiB")?;
                self.solo_memory = Some(bytes);
            }
            "solo_vcpus" => {
                let count = value.parse().ok().filter(|&count| count > 0);
                self.solo_vcpus = Some(count.ok_or("it takes a number from 1 on")?);
            }
            "solo_exit" => {
                let port = value.strip_prefix("0x");
                let port = port.and_then(|digits| u16::from_str_radix(digits, 16).ok());
                self.solo_exit = Some(port.ok_or("it takes an I/O port, such as 0x501")?);
            }
            "tbuf_size" => {
                let pages = value.parse().ok().filter(|pages| *pages <= MAX_TRACE_PAGES);
                let pages: u64 = pages.ok_or("it takes a number of pages up to 65536, or 0")?;
                self.trace_pages = (pages > 0).then_some(pages);
            }
            "loglvl" => self.level = Some(level(value.split('/').next())?),
            // What follows the slash is, in Xen, what is logged with a limit. Here everything of guests has one.
            "guest_loglvl" => self.guest_level = Some(level(value.rsplit('/').next())?),
            "console" if value == "com1" => (),
            "console" => return Err("it takes com1: there is no other console"),
            "com1" => check_com1(value)?,
            "dom0" if value == "pvh" => (),
            "dom0" => return Err("it takes pvh: there are no PV domains"),
            // Debian's GRUB configuration puts this in place of the image's name.
            "placeholder" if value.is_empty() => (),
            "noreboot" => self.noreboot = true,
            "crash-test" => self.crash_test = true,
            _ => return Err(KNOWN),
        }
        Ok(())
    }
}

/// A level by its name.
fn level(name: Option<&str>) -> Result<LogLevel, &'static str> {
    match name {
        Some("all" | "debug") => Ok(LogLevel::Debug),
        Some("info") => Ok(LogLevel::Info),
        Some("warning") => Ok(LogLevel::Warning),
        Some("error") => Ok(LogLevel::Error),
        Some("none") => Ok(LogLevel::None),
        _ => Err("it takes all, debug, info, warning, error or none"),
    }
}

/// Checks that the value of `com1=`, with Xen's fields rate, frame, port and IRQ, describes [`CONSOLE_PORT`]. Empty
/// fields stand for the defaults.
fn check_com1(value: &str) -> Result<(), &'static str> {
    // The IRQ is not used for output, so 0 (polling) is accepted.
    let usual = [
        &["115200"][..],
        &["", "8n1"],
        &["", "0x3f8"],
        &["", "4", "0"],
    ];
    let mut fields = value.split(',');
    let fits = usual
        .iter()
        .all(|known| fields.next().is_none_or(|field| known.contains(&field)));
    match fits && fields.next().is_none() {
        true => Ok(()),
        false => Err(
            "it takes 115200,8n1,0x3f8,4 or the beginning of that: the console is the serial port at I/O port 0x3f8, \
                      and stays there",
        ),
    }
}

/// A size with a unit, by default KiB as in Xen.
fn size(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match text.get(digits.len()..)? {
        "B" | "b" => 0,
        "" | "K" | "k" => 10,
        "M" | "m" => 20,
        "G" | "g" => 30,
        "T" | "t" => 40,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is understood, and the words that are not.
    fn parse(line: &str) -> (Options, Vec<&str>) {
        let mut refused = Vec::new();
        let options = Options::parse(line, |word, why| {
            assert!(!why.is_empty());
            refused.push(word);
        });
        (options, refused)
    }

    #[test]
    fn the_guides_line_is_understood() {
        let guide = include_str!("../../../docs/guides/paravane-by-grub.md");
        let entry = guide.split_once("multiboot2 /boot/paravane ");
        let line = entry.and_then(|(_, rest)| rest.lines().next()).unwrap();
        let (options, refused) = parse(line);
        assert!(refused.is_empty(), "{refused:?}");
        assert_eq!(options.dom0_memory, Some(2 << 30));
        assert_eq!(options.level, Some(LogLevel::Debug));
    }

    #[test]
    fn the_reference_page_has_every_option_with_its_values() {
        let page = include_str!("../../../docs/reference/hypervisor-options.md");
        let rows = page
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
        let mut listed = Vec::new();
        for (option, rest) in rows {
            listed.push(option);
            let values = rest.split('|').nth(1).unwrap_or_default();
            let values = values.split('`').skip(1).step_by(2);
            // Others are placeholders, or parts of a value.
            let whole =
                |value: &&str| value.ends_with(char::is_alphanumeric) && !value.contains("SIZE");
            for value in values.filter(whole) {
                assert_eq!(parse(&format!("{option}{value}")).1, [""; 0]);
            }
        }
        let words = KNOWN
            .split([' ', ','])
            .filter(|word| !["", "it", "knows", "and"].contains(word));
        let mut known: Vec<_> = words
            .map(|word| word.split_inclusive('=').next().unwrap_or(word))
            .chain(["placeholder"])
            .collect();
        listed.sort_unstable();
        known.sort_unstable();
        assert_eq!(listed, known);
    }

    #[test]
    fn every_option_does_something() {
        let (options, refused) = parse(
            "placeholder dom0=pvh dom0_mem=1048576,max:4G dom0_max_vcpus=3 loglvl=warning/all guest_loglvl=none/info tbuf_size=2048 noreboot crash-test solo solo_mem=512M solo_vcpus=2 solo_exit=0x501",
        );
        assert!(refused.is_empty(), "{refused:?}");
        let wanted = Options {
            dom0_memory: Some(1 << 30),
            dom0_vcpus: Some(3),
            level: Some(LogLevel::Warning),
            guest_level: Some(LogLevel::Info),
            trace_pages: Some(2048),
            noreboot: true,
            crash_test: true,
            solo: true,
            solo_memory: Some(512 << 20),
            solo_vcpus: Some(2),
            solo_exit: Some(0x501),
        };
        assert_eq!(options, wanted);
        assert_eq!(parse("dom0_mem=max:512M").0.dom0_memory, Some(512 << 20));
    }

    #[test]
    fn a_console_elsewhere_is_refused() {
        for fine in [
            "115200",
            "115200,8n1",
            "115200,8n1,0x3f8,4",
            "115200,,0x3f8",
            "115200,8n1,,0",
        ] {
            assert_eq!(parse(&format!("com1={fine}")).1, [""; 0], "{fine}");
        }
        for bad in [
            "115200,8n1,0x2f8,3",
            "115200,8n1,0x3f8,5",
            "115200,8n1,pci",
            "1152000",
            "9600",
            "",
            "115200,8n1,,,1",
        ] {
            assert_eq!(parse(&format!("com1={bad}")).1.len(), 1, "{bad}");
        }
    }

    #[test]
    fn what_is_not_understood_changes_nothing() {
        let line = "iommu=on dom0_mem=much dom0_mem=-1G dom0_max_vcpus=0 loglvl=loud guest_loglvl=warning/ tbuf_size=1M tbuf_size=65537 console=vga dom0=pv placeholder=1 solo=1 solo_mem=1M solo_vcpus=0 solo_exit=501 solo_exit=0x10000";
        let (options, refused) = parse(line);
        assert_eq!(options, Options::default());
        assert_eq!(refused.join(" "), line);
        assert_eq!(
            parse("dom0_mem=99999999999T").1.len(),
            1,
            "more than there are addresses"
        );
    }
}
