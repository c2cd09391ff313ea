//! A network of its own for one process: a namespace, and a link to it that may be slow or down.

use super::{absent, run};
use std::sync::atomic::{AtomicU32, Ordering};

/// A namespace with one link. Both are removed when this is dropped.
pub struct Network {
    namespace: String,
    near: String,
    subnet: String,
}

impl Network {
    /// Nothing, and a word why, if this process may not make one.
    pub fn new() -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        // Few test processes run at once; two with the same number would not get the same name twice.
        let n = std::process::id() % 4096 * 4 + NEXT.fetch_add(1, Ordering::Relaxed) % 4;
        let (namespace, near, far) = (format!("swns{n}"), format!("swn{n}"), format!("swf{n}"));
        let subnet = format!("10.{}.{}", 100 + n / 256, n % 256);
        let network = Network { namespace: namespace.clone(), near: near.clone(), subnet: subnet.clone() };
        let (here, there) = (format!("{subnet}.1/30"), format!("{subnet}.2/30"));
        let steps: [&[&str]; 7] = [
            &["ip", "netns", "add", &namespace],
            &["ip", "link", "add", &near, "type", "veth", "peer", "name", &far, "netns", &namespace],
            &["ip", "addr", "add", &here, "dev", &near],
            &["ip", "link", "set", &near, "up"],
            &["ip", "-n", &namespace, "addr", "add", &there, "dev", &far],
            &["ip", "-n", &namespace, "link", "set", &far, "up"],
            &["ip", "-n", &namespace, "link", "set", "lo", "up"],
        ];
        if steps.iter().all(|step| run(step)) {
            return Some(network);
        }
        absent("network namespaces need `ip` and the right to use it");
        None
    }
    /// The address on this side.
    pub fn here(&self) -> String {
        format!("{}.1", self.subnet)
    }
    /// The address inside.
    pub fn inside(&self) -> String {
        format!("{}.2", self.subnet)
    }
    /// What runs a program inside.
    pub fn enter(&self) -> [&str; 4] {
        ["ip", "netns", "exec", &self.namespace]
    }
    /// Takes the link down, or up.
    pub fn set_up(&self, up: bool) {
        assert!(run(&["ip", "link", "set", &self.near, if up { "up" } else { "down" }]));
    }
    /// Bounds what goes in, in bits a second; false if the kernel cannot.
    pub fn limit(&self, rate: &str) -> bool {
        let words = ["tc", "qdisc", "replace", "dev", &self.near, "root", "tbf", "rate", rate];
        run(&[&words[..], &["burst", "16kb", "latency", "50ms"]].concat())
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        run(&["ip", "link", "del", &self.near]);
        run(&["ip", "netns", "del", &self.namespace]);
    }
}
