//! What `slackwater --version` says about the build.

use std::process::Command;

fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok().filter(|o| o.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_string())
}

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // A source archive has no repository, and that is no reason to fail.
    let commit = output("git", &["rev-parse", "--short=12", "HEAD"]).unwrap_or_else(|| "unknown".to_string());
    if let Some(log) = output("git", &["rev-parse", "--git-path", "logs/HEAD"]) {
        println!("cargo:rerun-if-changed={log}");
    }
    let compiler = std::env::var("RUSTC").ok().and_then(|rustc| output(&rustc, &["--version"]));
    println!("cargo:rustc-env=SLACKWATER_COMMIT={commit}");
    println!("cargo:rustc-env=SLACKWATER_RUSTC={}", compiler.unwrap_or_else(|| "rustc".to_string()));
    println!("cargo:rustc-env=SLACKWATER_TARGET={}", std::env::var("TARGET").unwrap_or_default());
    println!("cargo:rustc-env=SLACKWATER_PROFILE={}", std::env::var("PROFILE").unwrap_or_default());
}
