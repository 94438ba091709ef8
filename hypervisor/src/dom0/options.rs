// SPDX-License-Identifier: GPL-2.0

//! The hypervisor's command line, in Xen's words.

use log::LevelFilter;

/// What was asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// `dom0_mem=SIZE[,max:SIZE]`, in bytes.
    pub dom0_memory: Option<u64>,
    /// `dom0_max_vcpus=N`.
    pub dom0_vcpus: Option<usize>,
    /// `loglvl=all|debug|info|warning|error|none`.
    pub level: Option<LevelFilter>,
    /// `noreboot`: halt after a crash.
    pub stay: bool,
    /// `crash-test`: a crash of the hypervisor once it has started, to see its report.
    pub crash: bool,
}

impl Options {
    /// Reads a command line; what is not understood is said and left out.
    pub fn parse(line: &str) -> Self {
        let mut options = Self::default();
        for word in line.split_whitespace() {
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            let understood = match name {
                "dom0_mem" => {
                    let first = value.split(',').find(|part| !part.contains(':'));
                    let first = first.or_else(|| value.strip_prefix("max:"));
                    options.dom0_memory = first.and_then(size);
                    options.dom0_memory.is_some()
                }
                "dom0_max_vcpus" => {
                    options.dom0_vcpus = value.parse().ok().filter(|&count| count > 0);
                    options.dom0_vcpus.is_some()
                }
                "loglvl" => {
                    options.level = match value.split('/').next() {
                        Some("all" | "debug") => Some(LevelFilter::Debug),
                        Some("info") => Some(LevelFilter::Info),
                        Some("warning") => Some(LevelFilter::Warn),
                        Some("error") => Some(LevelFilter::Error),
                        Some("none") => Some(LevelFilter::Off),
                        _ => None,
                    };
                    options.level.is_some()
                }
                // The only console there is, at the rate it has.
                "console" => value == "com1",
                "com1" => value.starts_with("115200"),
                "dom0" => value == "pvh",
                // What GRUB's configuration of Debian puts in the place of the image's name, which Xen wants there.
                "placeholder" => value.is_empty(),
                "noreboot" => {
                    options.stay = true;
                    true
                }
                "crash-test" => {
                    options.crash = true;
                    true
                }
                _ => false,
            };
            if !understood {
                log::warn!("command line: {word} is not understood and left out");
            }
        }
        options
    }
}

/// A number with a unit: none is KiB, as in Xen.
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
