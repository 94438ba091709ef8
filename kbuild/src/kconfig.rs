// SPDX-License-Identifier: GPL-2.0

//! Reading kernel configuration files and fragments.

use std::collections::{BTreeMap, BTreeSet};

/// The line before an option that only some series of the kernel have.
const IF_THERE: &str = "# If there is such an option:";

/// The options of a `.config` or a fragment.
#[derive(Clone, Debug, Default)]
pub struct KConfig {
    options: BTreeMap<String, String>,
    /// Those that a fragment does not insist on.
    if_there: BTreeSet<String>,
}

impl KConfig {
    /// Reads `CONFIG_X=y` and `# CONFIG_X is not set` lines; everything else is comment, but for `# If there is such
    /// an option:` before an option that [`Self::unmet`] is not to insist on.
    pub fn parse(text: &str) -> Self {
        let mut config = Self::default();
        let mut before = "";
        for line in text.lines().map(str::trim) {
            if let Some((name, value)) = option(line) {
                if before == IF_THERE {
                    config.if_there.insert(name.to_owned());
                }
                config.options.insert(name.to_owned(), value.to_owned());
            }
            before = line;
        }
        config
    }

    /// Whether an option is `y` or `m`. The name is given without `CONFIG_`.
    pub fn is_set(&self, name: &str) -> bool {
        matches!(self.options.get(name).map(String::as_str), Some("y" | "m"))
    }

    /// An option's value without quotation marks.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.options.get(name).map(|value| value.trim_matches('"'))
    }

    /// The options wanted by this fragment that `config` does not have as wanted, one line each.
    pub fn unmet(&self, config: &KConfig) -> Vec<String> {
        self.options
            .iter()
            .filter(|(name, _)| !self.if_there.contains(*name))
            .filter_map(|(name, wanted)| {
                let got = config.options.get(name).map_or("n", String::as_str);
                (got != wanted).then(|| format!("CONFIG_{name}: wanted {wanted}, got {got}"))
            })
            .collect()
    }
}

/// The option that a line sets, without `CONFIG_`, and its value.
fn option(line: &str) -> Option<(&str, &str)> {
    if let Some(off) = line.strip_prefix("# CONFIG_") {
        return Some((off.strip_suffix(" is not set")?, "n"));
    }
    line.strip_prefix("CONFIG_")?.split_once('=')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read() {
        let config = KConfig::parse(
            "CONFIG_RUST=y\n# CONFIG_KASAN is not set\nCONFIG_V=\"a b\"\n# a note\n",
        );
        assert!(config.is_set("RUST") && !config.is_set("KASAN") && !config.is_set("XEN"));
        assert_eq!(config.text("V"), Some("a b"));
    }

    #[test]
    fn wishes_that_kconfig_dropped_are_named() {
        let wanted = KConfig::parse(
            "CONFIG_A=y\nCONFIG_B=m\n# CONFIG_C is not set\n# CONFIG_D is not set\n",
        );
        let got = KConfig::parse("CONFIG_A=y\nCONFIG_D=y\n");
        assert_eq!(
            wanted.unmet(&got),
            ["CONFIG_B: wanted m, got n", "CONFIG_D: wanted n, got y"]
        );
    }

    #[test]
    fn options_of_some_series_are_not_insisted_on() {
        let wanted = KConfig::parse("# If there is such an option:\nCONFIG_A=y\nCONFIG_B=y\n");
        assert!(wanted.is_set("A"));
        assert_eq!(
            wanted.unmet(&KConfig::default()),
            ["CONFIG_B: wanted y, got n"]
        );
    }
}
