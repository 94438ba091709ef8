// SPDX-License-Identifier: GPL-2.0

//! The end of a guest's domain, as the toolstack sees it: a guest that switches itself off is found at once, and not by its
//! silence.

use std::thread;
use std::time::Duration;

use anyhow::Result;

use crate::guest::Domain;
use crate::remote::Place;

/// How long the last output of the guest may be on its way. A panic that the console tells counts for more than the end of
/// the domain.
const LAST_OUTPUT: Duration = Duration::from_secs(1);

/// Follows what xl writes about a domain; dropping it ends that.
pub struct EndWatcher {
    kill: Option<Box<dyn FnOnce() + Send + Sync>>,
}

impl EndWatcher {
    /// Starts it for a domain that xl has just created and waits for. The domain's health tells of its end.
    pub fn start(dom0: &Place, domain: &Domain) -> Result<Self> {
        let log = format!("/var/log/xen/xl-{}.log", domain.name());
        let job = dom0.spawn(&format!("exec tail -n +1 -s 0.2 -F {log} 2>/dev/null"))?;
        let kill = job.kill_handle();
        let (health, pace) = (domain.health().clone(), dom0.pace().clone());
        thread::spawn(move || {
            let mut text = Vec::new();
            // The file is a few lines long.
            let _ = job.follow(|bytes| {
                text.extend_from_slice(bytes);
                if let Some(how) = end(&String::from_utf8_lossy(&text)) {
                    pace.sleep(LAST_OUTPUT);
                    health.died(format!("the domain has ended ({how})"));
                }
            });
        });
        Ok(Self {
            kill: Some(Box::new(kill)),
        })
    }
}

impl Drop for EndWatcher {
    fn drop(&mut self) {
        if let Some(kill) = self.kill.take() {
            kill();
        }
    }
}

/// How a domain has ended, by the log of the xl that waits for that: `Domain 3 has shut down, reason code 0 0x0`.
fn end(log: &str) -> Option<&'static str> {
    let code = log
        .lines()
        .find_map(|line| line.split_once("has shut down, reason code "));
    match code {
        // The reasons are SHUTDOWN_* of Xen's public/sched.h.
        Some((_, code)) => match code.split_whitespace().next()? {
            "0" => Some("poweroff"),
            "1" => Some("reboot"),
            "3" => Some("crash"),
            "4" => Some("watchdog"),
            // It is suspended, or starts a kernel of its own anew.
            _ => None,
        },
        None => log
            .contains("has been destroyed")
            .then_some("it was destroyed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_toolstacks_log_tells_how_a_domain_ended() {
        let begin = "Waiting for domain under-test (domid 3) to die [pid 812]\n";
        assert_eq!(end(begin), None);
        let with = |code: &str| {
            end(&format!(
                "{begin}Domain 3 has shut down, reason code {code}\nAction for shutdown reason code 0 is destroy\n\
                 Domain 3 needs to be cleaned up: destroying the domain\nDone. Exiting now\n"
            ))
        };
        assert_eq!(with("0 0x0"), Some("poweroff"));
        assert_eq!(with("3 0x3"), Some("crash"));
        assert_eq!(with("2 0x2"), None);
        let destroyed = format!("{begin}Domain 3 has been destroyed.\n");
        assert_eq!(end(&destroyed), Some("it was destroyed"));
    }
}
