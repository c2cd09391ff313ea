//! Which program this is, so that processes of different builds do not work together.
//!
//! A checksum of the executable file with its length: closures are not sent, so two processes of one run must be the
//! same file. It costs one pass over the file, once a process. Where programs cannot be read it is the version.

use std::sync::OnceLock;

/// A fingerprint of the running program, which its processes must have in common: closures are not sent.
pub(crate) fn build() -> &'static str {
    static BUILD: OnceLock<String> = OnceLock::new();
    BUILD.get_or_init(|| {
        let program = std::fs::File::open("/proc/self/exe");
        let read = |mut file: std::fs::File| {
            let (mut buffer, mut hash, mut length) = (vec![0; 1 << 20], crc32fast::Hasher::new(), 0);
            loop {
                match std::io::Read::read(&mut file, &mut buffer)? {
                    0 => return Ok(format!("{:08x}-{length:x}", hash.finalize())),
                    n => {
                        hash.update(&buffer[..n]);
                        length += n;
                    }
                }
            }
        };
        // Where programs cannot be read, versions are compared.
        program.and_then(read).unwrap_or_else(|_: std::io::Error| env!("CARGO_PKG_VERSION").to_string())
    })
}
