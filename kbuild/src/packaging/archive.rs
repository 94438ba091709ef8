// SPDX-License-Identifier: GPL-2.0

//! The file `Packages`, which makes a folder an archive for apt.

/// Its name.
pub const LIST: &str = "Packages";

/// The list of a folder that had packages listed already and gets others, which replace files of their names.
pub fn merge(there: &str, new: &str) -> String {
    let replaced: Vec<_> = records(new).filter_map(file).collect();
    let kept =
        records(there).filter(|record| file(record).is_none_or(|of| !replaced.contains(&of)));
    kept.chain(records(new))
        .flat_map(|record| [record, "\n\n"])
        .collect()
}

fn records(list: &str) -> impl Iterator<Item = &str> {
    let records = list.split("\n\n").map(|record| record.trim_matches('\n'));
    records.filter(|record| !record.is_empty())
}

/// The file that a record is about.
fn file(record: &str) -> Option<&str> {
    record
        .lines()
        .find_map(|line| line.strip_prefix("Filename: "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_of_another_kernel_stay_in_the_list() {
        let record = |name: &str, size: u32| {
            format!("Package: {name}\nFilename: ./{name}.deb\nSize: {size}\n\n")
        };
        let first = [record("common", 1), record("modules-7.2", 2)].concat();
        let second = [record("common", 3), record("modules-7.3", 4)].concat();
        let both = merge(&first, &second);
        let expected = [record("modules-7.2", 2), second.clone()].concat();
        assert_eq!(both, expected);
        assert_eq!(merge("", &second), second);
        assert_eq!(merge(&both, &second), both);
    }
}
