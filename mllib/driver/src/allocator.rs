//! The allocator of the process.

use slackwater_dataflow::Config;
use std::os::unix::process::CommandExt;
use std::process::Command;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// For how many milliseconds what was freed is kept: the allocator reads it once, when the process begins.
const DELAY: &str = "MIMALLOC_PURGE_DELAY";
const DELAY_OF_LITTLE: &str = "10";
/// The budget of a process that may use a gigabyte.
const LITTLE_BYTES: u64 = 384 << 20;

/// Where there is little memory, gives back to the system soon what is freed: the allocator would keep it for a second, and have
/// up to twice as much. It costs time, so with more memory nothing is done; nor if the variable is set. The process
/// becomes itself once more.
pub fn follow_memory() {
    if std::env::var_os(DELAY).is_some() || Config::default().memory_budget_bytes > LITTLE_BYTES {
        return;
    }
    let mut args = std::env::args_os();
    let name = args.next();
    if let Ok(program) = std::env::current_exe() {
        // If it cannot, it goes on as it is.
        let _ = Command::new(program)
            .arg0(name.unwrap_or_default())
            .args(args)
            .env(DELAY, DELAY_OF_LITTLE)
            .exec();
    }
}
