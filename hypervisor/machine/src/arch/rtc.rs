// SPDX-License-Identifier: GPL-2.0

//! The real-time clock (Motorola MC146818), which is read once for the wall clock.

use super::legacy::{input, output};

fn register(index: u8) -> u8 {
    output(0x70, index);
    input(0x71)
}

/// Reads seconds, minutes, hours, day, month and year.
fn read_fields() -> [u8; 6] {
    while register(0x0a) & 0x80 != 0 {
        core::hint::spin_loop();
    }
    [0, 2, 4, 7, 8, 9].map(register)
}

/// Seconds since 1970, if the clock runs in UTC.
pub fn read() -> u64 {
    let mut fields = read_fields();
    // Two equal readings: there was no tick in between.
    for _ in 0..8 {
        let again = read_fields();
        if again == fields {
            break;
        }
        fields = again;
    }
    let mode = register(0x0b);
    let number = |value: u8| -> u64 {
        if mode & 4 != 0 {
            u64::from(value)
        } else {
            u64::from(value >> 4) * 10 + u64::from(value & 15)
        }
    };
    let hour = if mode & 2 != 0 {
        number(fields[2])
    } else {
        number(fields[2] & 0x7f) % 12 + u64::from(fields[2] >> 7) * 12
    };
    let (day, month, year) = (
        number(fields[3]),
        number(fields[4]),
        2000 + number(fields[5]),
    );
    // Days since 1970, with years that start in March.
    let (y, m) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days =
        365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day.saturating_sub(1) - 719_468;
    days * 86_400 + hour * 3600 + number(fields[1]) * 60 + number(fields[0])
}
