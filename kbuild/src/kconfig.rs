// SPDX-License-Identifier: GPL-2.0

//! Reading kernel configuration files and fragments.

use std::collections::BTreeMap;

/// The options of a `.config` or a fragment.
#[derive(Clone, Debug, Default)]
pub struct KConfig(BTreeMap<String, String>);

impl KConfig {
    /// Reads `CONFIG_X=y` and `# CONFIG_X is not set` lines; everything else is comment.
    pub fn parse(text: &str) -> Self {
        let option = |line: &str| {
            let line = line.trim();
            if let Some(off) = line.strip_prefix("# CONFIG_") {
                return Some((off.strip_suffix(" is not set")?.to_owned(), "n".to_owned()));
            }
            let (name, value) = line.strip_prefix("CONFIG_")?.split_once('=')?;
            Some((name.to_owned(), value.to_owned()))
        };
        Self(text.lines().filter_map(option).collect())
    }

    /// Whether an option is `y` or `m`. The name is given without `CONFIG_`.
    pub fn is_set(&self, name: &str) -> bool {
        matches!(self.0.get(name).map(String::as_str), Some("y" | "m"))
    }

    /// An option's value without quotation marks.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.trim_matches('"'))
    }

    /// The options wanted by this fragment that `config` does not have as wanted, one line each.
    pub fn unmet(&self, config: &KConfig) -> Vec<String> {
        self.0
            .iter()
            .filter_map(|(name, wanted)| {
                let got = config.0.get(name).map_or("n", String::as_str);
                (got != wanted).then(|| format!("CONFIG_{name}: wanted {wanted}, got {got}"))
            })
            .collect()
    }
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
}
