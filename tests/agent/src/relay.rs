// SPDX-License-Identifier: GPL-2.0

//! Dom0's part in talking to guests: channels of the host's connection, each tied to a guest's mailbox.

use std::collections::HashMap;
use std::io;
use std::sync::mpsc::SyncSender;

use crate::mailbox::{Mailbox, Side};
use crate::message::Reply;

/// The open channels.
#[derive(Default)]
pub struct Relay(HashMap<u32, Mailbox>);

impl Relay {
    /// Opens a channel to a domain, or moves an open one to the domain's new number.
    pub fn open(
        &mut self,
        channel: u32,
        domid: u32,
        replies: &SyncSender<Reply>,
    ) -> io::Result<()> {
        if let Some(mailbox) = self.0.get(&channel) {
            mailbox.move_to(domid);
            return Ok(());
        }
        let sink = replies.clone();
        let deliver = move |data| sink.send(Reply::Data { channel, data }).is_ok();
        let sink = replies.clone();
        let failed = move |error: io::Error| {
            // Without a connection to the host there is nobody to tell.
            let _ = sink.send(Reply::Lost {
                channel,
                message: error.to_string(),
            });
        };
        let mailbox = Mailbox::start(Side::Dom0(domid), deliver, failed)?;
        self.0.insert(channel, mailbox);
        Ok(())
    }

    /// Passes bytes on to a guest.
    pub fn data(&self, channel: u32, data: Vec<u8>) {
        if let Some(mailbox) = self.0.get(&channel) {
            mailbox.send(data);
        }
    }

    /// Closes a channel.
    pub fn close(&mut self, channel: u32) {
        self.0.remove(&channel);
    }
}
