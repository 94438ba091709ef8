// SPDX-License-Identifier: GPL-2.0

//! Messages between a client and the xenstore daemon, over a socket or the shared page.
//!
//! A message is a [`Header`] and up to 4096 bytes of payload, mostly strings that each end with a
//! NUL. Nothing is copied: a message borrows the buffer it was received in.

use core::fmt;
use xen_abi::errno;
use xen_abi::io::xs_wire::{msg, Header, PAYLOAD_MAX};
use zerocopy::{FromBytes, IntoBytes};

/// A message in a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// Type of the message, see [`msg`].
    pub kind: u32,
    /// Chosen by the client, echoed by the daemon; zero in a watch event.
    pub req_id: u32,
    /// Transaction, zero for none.
    pub tx_id: u32,
    /// At most [`PAYLOAD_MAX`] bytes.
    pub payload: &'a [u8],
}

/// The peer broke the wire protocol. The stream cannot be brought back into step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireError {
    /// A message announces a payload larger than [`PAYLOAD_MAX`].
    TooLong(u32),
    /// A message has a type that does not exist.
    UnknownKind(u32),
    /// A payload does not have the form its type asks for.
    BadPayload,
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WireError::TooLong(len) => write!(f, "a xenstore message of {len} bytes is too long"),
            WireError::UnknownKind(kind) => write!(f, "xenstore message type {kind} is unknown"),
            WireError::BadPayload => f.write_str("a xenstore message is not well-formed"),
        }
    }
}

impl core::error::Error for WireError {}

impl<'a> Message<'a> {
    /// Takes the first message off a buffer of received bytes. Returns it with the number of
    /// bytes it takes, or nothing if it has not arrived as a whole.
    pub fn parse(received: &'a [u8]) -> Result<Option<(Message<'a>, usize)>, WireError> {
        let Ok((header, rest)) = Header::read_from_prefix(received) else {
            return Ok(None);
        };
        // Judged by the header alone, lest a peer makes us wait for bytes that never come.
        if header.len as usize > PAYLOAD_MAX {
            return Err(WireError::TooLong(header.len));
        }
        if !is_known(header.kind) {
            return Err(WireError::UnknownKind(header.kind));
        }
        let Some(payload) = rest.get(..header.len as usize) else {
            return Ok(None);
        };
        let message = Message {
            kind: header.kind,
            req_id: header.req_id,
            tx_id: header.tx_id,
            payload,
        };
        Ok(Some((message, message.wire_len())))
    }

    /// Bytes the message takes on the wire.
    pub fn wire_len(&self) -> usize {
        size_of::<Header>() + self.payload.len()
    }

    /// Writes the message to the start of `out` and returns how many bytes it took; none if it
    /// does not fit or its payload is too long.
    pub fn write(&self, out: &mut [u8]) -> Option<usize> {
        write(out, self.kind, self.req_id, self.tx_id, &[self.payload])
    }

    /// The strings of the payload. A rest without a NUL is the last string, as in the reply to a
    /// read, whose value is raw bytes.
    pub fn strings(&self) -> impl Iterator<Item = &'a [u8]> {
        let payload = self.payload.strip_suffix(b"\0").unwrap_or(self.payload);
        let some = (!self.payload.is_empty()).then_some(payload);
        some.into_iter().flat_map(|p| p.split(|byte| *byte == 0))
    }

    /// The path and the token of a watch event.
    pub fn watch_event(&self) -> Result<(&'a [u8], &'a [u8]), WireError> {
        let mut strings = self.strings();
        let parts = (strings.next(), strings.next(), strings.next());
        match parts {
            (Some(path), Some(token), None)
                if self.kind == msg::WATCH_EVENT && self.payload.ends_with(b"\0") =>
            {
                Ok((path, token))
            }
            _ => Err(WireError::BadPayload),
        }
    }

    /// The error number of an error reply. A name we do not know is `EINVAL`, as in Linux.
    pub fn error(&self) -> Result<i32, WireError> {
        match (self.kind, self.payload.strip_suffix(b"\0")) {
            (msg::ERROR, Some(name)) => Ok(number_of(name).unwrap_or(errno::EINVAL)),
            _ => Err(WireError::BadPayload),
        }
    }
}

/// Writes a message whose payload is the `parts` in a row to the start of `out`. Returns how many
/// bytes it took; none if it does not fit or its payload is too long.
pub fn write(out: &mut [u8], kind: u32, req_id: u32, tx_id: u32, parts: &[&[u8]]) -> Option<usize> {
    let len = parts
        .iter()
        .try_fold(0usize, |len, part| len.checked_add(part.len()))
        .filter(|len| *len <= PAYLOAD_MAX)?;
    let whole = out.get_mut(..size_of::<Header>() + len)?;
    let header = Header {
        kind,
        req_id,
        tx_id,
        len: len as u32,
    };
    let (front, mut rest) = whole.split_at_mut_checked(size_of::<Header>())?;
    front.copy_from_slice(header.as_bytes());
    for part in parts {
        let (place, behind) = rest.split_at_mut_checked(part.len())?;
        place.copy_from_slice(part);
        rest = behind;
    }
    Some(size_of::<Header>() + len)
}

fn is_known(kind: u32) -> bool {
    // The number between these two belonged to an operation that was removed.
    kind <= msg::SET_TARGET || (msg::RESET_WATCHES..msg::COUNT).contains(&kind)
}

/// Errors as the wire names them (`xsd_errors`).
const ERRORS: [(&[u8], i32); 16] = [
    (b"EINVAL", errno::EINVAL),
    (b"EACCES", errno::EACCES),
    (b"EEXIST", errno::EEXIST),
    (b"EISDIR", errno::EISDIR),
    (b"ENOENT", errno::ENOENT),
    (b"ENOMEM", errno::ENOMEM),
    (b"ENOSPC", errno::ENOSPC),
    (b"EIO", errno::EIO),
    (b"ENOTEMPTY", errno::ENOTEMPTY),
    (b"ENOSYS", errno::ENOSYS),
    (b"EROFS", errno::EROFS),
    (b"EBUSY", errno::EBUSY),
    (b"EAGAIN", errno::EAGAIN),
    (b"EISCONN", errno::EISCONN),
    (b"E2BIG", errno::E2BIG),
    (b"EPERM", errno::EPERM),
];

fn number_of(name: &[u8]) -> Option<i32> {
    let (_, number) = ERRORS.iter().find(|(known, _)| *known == name)?;
    Some(*number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;
    use std::vec;
    use std::vec::Vec;

    fn message(kind: u32, payload: &[u8]) -> Message<'_> {
        Message {
            kind,
            req_id: 5,
            tx_id: 9,
            payload,
        }
    }

    #[test]
    fn a_message_is_taken_only_when_it_is_whole() {
        let mut buffer = [0u8; 64];
        let sent = message(msg::WRITE, b"/a/b\0value");
        let len = sent.write(&mut buffer).expect("it fits");
        assert_eq!(len, 26);
        for short in 0..len {
            assert_eq!(Message::parse(&buffer[..short]), Ok(None));
        }
        assert_eq!(Message::parse(&buffer), Ok(Some((sent, len))));
    }

    #[test]
    fn a_payload_is_refused_before_it_has_arrived() {
        let header = |kind, len| Header {
            kind,
            len,
            ..Header::default()
        };
        let long = header(msg::READ, 4097);
        let unknown = header(20, 0);
        assert_eq!(
            Message::parse(long.as_bytes()),
            Err(WireError::TooLong(4097))
        );
        assert_eq!(
            Message::parse(unknown.as_bytes()),
            Err(WireError::UnknownKind(20))
        );
    }

    #[test]
    fn what_does_not_fit_is_not_written() {
        let payload = vec![0; PAYLOAD_MAX + 1];
        let mut buffer = vec![0; 2 * PAYLOAD_MAX];
        assert_eq!(message(msg::WRITE, &payload).write(&mut buffer), None);
        let most = message(msg::WRITE, &payload[1..]);
        let len = 16 + PAYLOAD_MAX;
        assert_eq!(most.write(&mut buffer), Some(len));
        assert_eq!(Message::parse(&buffer), Ok(Some((most, len))));
        assert_eq!(most.write(&mut buffer[..16 + PAYLOAD_MAX - 1]), None);
    }

    #[test]
    fn strings_end_with_a_nul_or_the_payload() {
        let strings =
            |payload| -> Vec<&[u8]> { message(msg::DIRECTORY, payload).strings().collect() };
        assert_eq!(strings(b""), Vec::<&[u8]>::new());
        assert_eq!(strings(b"\0"), [b""]);
        assert_eq!(strings(b"a\0b\0"), [b"a", b"b"]);
        assert_eq!(strings(b"a\0b"), [b"a", b"b"]);
        assert_eq!(strings(b"a\0\0"), [b"a".as_slice(), b""]);
    }

    #[test]
    fn a_watch_event_has_a_path_and_a_token() {
        let event = |payload| message(msg::WATCH_EVENT, payload).watch_event();
        assert_eq!(event(b"a\0t\0"), Ok((b"a".as_slice(), b"t".as_slice())));
        for bad in [&b"a\0"[..], b"a\0t", b"a\0t\0u\0", b""] {
            assert_eq!(event(bad), Err(WireError::BadPayload));
        }
        let other = message(msg::READ, b"a\0t\0");
        assert_eq!(other.watch_event(), Err(WireError::BadPayload));
    }

    #[test]
    fn an_error_says_what_is_wrong_with_the_message() {
        for (error, text) in [
            (
                WireError::TooLong(4097),
                "a xenstore message of 4097 bytes is too long",
            ),
            (
                WireError::UnknownKind(20),
                "xenstore message type 20 is unknown",
            ),
            (
                WireError::BadPayload,
                "a xenstore message is not well-formed",
            ),
        ] {
            assert_eq!(error.to_string(), text);
        }
    }

    #[test]
    fn errors_come_by_name() {
        let error = |payload| message(msg::ERROR, payload).error();
        assert_eq!(error(b"ENOENT\0"), Ok(errno::ENOENT));
        assert_eq!(error(b"EWHAT\0"), Ok(errno::EINVAL));
        assert_eq!(error(b"ENOENT"), Err(WireError::BadPayload));
        assert_eq!(
            message(msg::READ, b"ENOENT\0").error(),
            Err(WireError::BadPayload)
        );
    }
}
