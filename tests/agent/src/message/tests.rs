// SPDX-License-Identifier: GPL-2.0

//! Messages go through their encoding and come back; bodies that are none are refused.

use super::*;

fn requests() -> Vec<Request> {
    vec![
        Request::Hello,
        Request::Spawn {
            job: 1,
            argv: vec!["sh".into(), "-c".into(), String::new()],
            timeout_ms: 5,
            stdin: true,
            pty: Some((24, 80)),
        },
        Request::Spawn {
            job: 2,
            argv: vec![],
            timeout_ms: 0,
            stdin: false,
            pty: None,
        },
        Request::Input {
            job: 1,
            data: vec![0, 255],
        },
        Request::Kill { job: 1, signal: 9 },
        Request::Write {
            job: 3,
            path: "/x".into(),
            mode: 0o755,
            append: true,
            data: vec![1],
        },
        Request::Read {
            job: 4,
            path: "/é".into(),
            offset: 1 << 40,
            len: 9,
        },
        Request::Open {
            channel: 7,
            domid: 12,
        },
        Request::Data {
            channel: 7,
            data: vec![],
        },
        Request::Close { channel: 7 },
    ]
}

fn replies() -> Vec<Reply> {
    vec![
        Reply::Hello {
            version: VERSION,
            kernel: "7.2".into(),
        },
        Reply::Started { job: 1, pid: 100 },
        Reply::Output {
            job: 1,
            stream: 2,
            data: vec![3; 70],
        },
        Reply::Exited {
            job: 1,
            exit: Exit::Code(255),
        },
        Reply::Exited {
            job: 1,
            exit: Exit::Signal(11),
        },
        Reply::Exited {
            job: 1,
            exit: Exit::TimedOut,
        },
        Reply::Failed {
            job: 1,
            message: "no".into(),
        },
        Reply::Done { job: 3 },
        Reply::Content {
            job: 4,
            data: vec![9],
        },
        Reply::Data {
            channel: 7,
            data: vec![1, 2],
        },
        Reply::Lost {
            channel: 7,
            message: "gone".into(),
        },
    ]
}

#[test]
fn messages_come_back_as_they_went() {
    for message in requests() {
        assert_eq!(Request::decode(&message.encode()), Ok(message));
    }
    for message in replies() {
        assert_eq!(Reply::decode(&message.encode()), Ok(message));
    }
}

#[test]
fn cut_and_padded_messages_are_refused() {
    for body in requests().iter().map(Request::encode) {
        assert_eq!(Request::decode(&body[..body.len() - 1]), Err(Malformed));
        assert_eq!(Request::decode(&[&body[..], &[0]].concat()), Err(Malformed));
    }
    for body in replies().iter().map(Reply::encode) {
        assert_eq!(Reply::decode(&body[..body.len() - 1]), Err(Malformed));
    }
    assert_eq!(Reply::decode(&[99]), Err(Malformed));
}
