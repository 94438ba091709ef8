// SPDX-License-Identifier: GPL-2.0

//! A queue of bytes with a fixed capacity, for output and input that waits.

/// A queue of up to `N` bytes.
pub struct ByteQueue<const N: usize> {
    bytes: [u8; N],
    /// Where the first byte is.
    first: usize,
    len: usize,
}

impl<const N: usize> ByteQueue<N> {
    /// Without bytes.
    pub const fn new() -> Self {
        Self {
            bytes: [0; N],
            first: 0,
            len: 0,
        }
    }

    /// Appends bytes. Without room for all of them, none is appended and the result is false.
    pub fn push(&mut self, bytes: &[u8]) -> bool {
        if bytes.len() > N - self.len {
            return false;
        }
        for byte in bytes {
            self.bytes[(self.first + self.len) % N] = *byte;
            self.len += 1;
        }
        true
    }

    /// Removes the first bytes, as many as fit into `to`; returns how many.
    pub fn pop(&mut self, to: &mut [u8]) -> usize {
        let count = to.len().min(self.len);
        for to in &mut to[..count] {
            *to = self.bytes[self.first];
            self.first = (self.first + 1) % N;
        }
        self.len -= count;
        count
    }
}

impl<const N: usize> Default for ByteQueue<N> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    proptest! {
        #[test]
        fn bytes_come_out_in_order(steps in proptest::collection::vec((any::<bool>(), 0usize..20), 1..100)) {
            let (mut queue, mut model) = (ByteQueue::<32>::new(), VecDeque::new());
            let mut next = 0u8;
            for (pushes, count) in steps {
                if pushes {
                    let bytes: Vec<u8> = (0..count).map(|at| next.wrapping_add(at as u8)).collect();
                    next = next.wrapping_add(count as u8);
                    let fits = model.len() + count <= 32;
                    prop_assert_eq!(queue.push(&bytes), fits);
                    if fits {
                        model.extend(bytes);
                    }
                } else {
                    let mut to = vec![0; count];
                    let got = queue.pop(&mut to);
                    let wanted: Vec<u8> = model.drain(..count.min(model.len())).collect();
                    prop_assert_eq!(&to[..got], &wanted[..]);
                }
            }
        }
    }
}
