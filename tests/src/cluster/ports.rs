//! What the kernel knows of a process: the ports it listens on, and its memory.

use std::collections::HashSet;
use std::fs;

/// Ports on which a process listens, ascending; none if it is gone.
pub fn listening(pid: u32) -> Vec<u16> {
    let open = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let targets = open.filter_map(|e| Some(fs::read_link(e.path()).ok()?.to_string_lossy().into_owned()));
    let inodes: HashSet<String> =
        targets.filter_map(|t| Some(t.strip_prefix("socket:[")?.trim_end_matches(']').to_string())).collect();
    let table = fs::read_to_string(format!("/proc/{pid}/net/tcp")).unwrap_or_default();
    let mut ports: Vec<u16> = table
        .lines()
        .skip(1)
        .filter_map(|line| {
            // sl, local address, remote address, state, queues, timer, retransmits, uid, timeout, inode
            let fields: Vec<&str> = line.split_whitespace().collect();
            let (local, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
            let (_, port) = local.split_once(':')?;
            (*state == "0A" && inodes.contains(*inode)).then(|| u16::from_str_radix(port, 16).ok())?
        })
        .collect();
    ports.sort_unstable();
    ports
}

/// Memory that a process has in use, in bytes; 0 if it is gone.
pub fn resident_bytes(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
    let kib = line.and_then(|l| l.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
    kib.unwrap_or(0) << 10
}
