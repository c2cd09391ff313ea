//! The secret that the processes of one cluster share.
//!
//! 32 bytes. Whoever knows them may join; they never go over the network, and no text that this program prints holds
//! them unless [`Secret::to_text`] was asked for. A file of it that others may read is refused, because then it is no
//! secret.
//!
//! A random secret cannot be guessed. A passphrase can: whoever records the beginning of one connection may try words
//! on it without anybody noticing. So a passphrase is stretched with PBKDF2-HMAC-SHA256, which costs about 20 ms once
//! a process, and as much for each word that is tried. Prefer [`Secret::random`].
//!
//! It fails with [`crate::ErrorKind::Config`] for a text that cannot be one, [`crate::ErrorKind::Input`] for a file
//! that must not be used, and [`crate::ErrorKind::Io`] for a file that cannot be.
//! The memory is not wiped when a secret is dropped.

use super::wire::{from_hex, to_hex};
use crate::error::{Error, Result};
use ring::pbkdf2;
use ring::rand::{SecureRandom, SystemRandom};
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::num::NonZeroU32;
use std::path::Path;

/// Bytes of a secret.
const BYTES: usize = 32;
/// A passphrase has at least so many bytes.
const PASSPHRASE_MIN: usize = 16;
/// A file of a secret has at most so many bytes.
const FILE_MAX: u64 = 4096;
/// Rounds of the passphrase's hash.
const ROUNDS: NonZeroU32 = NonZeroU32::new(100_000).expect("more than none");
/// Keeps a passphrase that is used elsewhere, too, from giving the same bytes there. All processes must come to the
/// same secret without having talked, so it cannot be random.
const SALT: &[u8] = b"slackwater cluster secret 1";

/// What the processes of one cluster share and nobody else knows: 32 bytes.
#[derive(Clone)]
pub struct Secret([u8; BYTES]);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Secret {
    /// A new secret from the operating system's source of randomness. Fails with [`crate::ErrorKind::Cluster`] if
    /// that has none to give.
    pub fn random() -> Result<Secret> {
        let mut bytes = [0; BYTES];
        SystemRandom::new().fill(&mut bytes).map_err(|_| {
            crate::ErrorKind::Cluster("the operating system gave no random bytes for a secret".to_string())
        })?;
        Ok(Secret(bytes))
    }

    /// The secret that a text stands for: 64 hexadecimal digits are its bytes; anything else is a passphrase of at
    /// least 16 bytes. White space around it does not count. Fails with [`crate::ErrorKind::Config`] if it is
    /// shorter.
    ///
    /// ```
    /// use slackwater_dataflow::cluster::Secret;
    /// let secret = Secret::random()?;
    /// assert_eq!(Secret::from_text(&secret.to_text())?.to_text(), secret.to_text());
    /// assert_eq!(format!("{secret:?}"), "Secret(..)");
    /// # Ok::<(), slackwater_dataflow::Error>(())
    /// ```
    pub fn from_text(text: &str) -> Result<Secret> {
        let text = text.trim();
        if let Some(bytes) = from_hex(text) {
            return Ok(Secret(bytes));
        }
        if text.len() < PASSPHRASE_MIN {
            let message = format!(
                "a secret is 64 hexadecimal digits, or a passphrase of at least {PASSPHRASE_MIN} bytes; this has {}",
                text.len()
            );
            return Err(Error::config("secret", message));
        }
        let mut bytes = [0; BYTES];
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, ROUNDS, SALT, text.as_bytes(), &mut bytes);
        Ok(Secret(bytes))
    }

    /// 64 hexadecimal digits. Whoever sees them may join the cluster.
    pub fn to_text(&self) -> String {
        to_hex(&self.0)
    }

    /// Reads a secret from a file that holds its text, at most 4096 bytes. Fails with [`crate::ErrorKind::Input`] if
    /// the file's group or others may read or write it, or if it is no plain file, and with
    /// [`crate::ErrorKind::Io`] if it cannot be read.
    pub fn read(path: impl AsRef<Path>) -> Result<Secret> {
        let path = path.as_ref();
        let name = path.display();
        // Asked first by name, because to open a pipe would wait for its writer.
        let kind = std::fs::metadata(path).map_err(|e| Error::io(path, "read", &e))?;
        if !kind.is_file() {
            return Err(Error::input(format!("{name}: the secret is not a plain file"), ""));
        }
        let file = File::open(path).map_err(|e| Error::io(path, "open", &e))?;
        private(&file, path)?;
        let mut bytes = Vec::new();
        file.take(FILE_MAX + 1).read_to_end(&mut bytes).map_err(|e| Error::io(path, "read", &e))?;
        if bytes.len() as u64 > FILE_MAX {
            return Err(Error::input(format!("{name}: a secret has at most {FILE_MAX} bytes"), ""));
        }
        let text = String::from_utf8(bytes).map_err(|_| {
            Error::input(format!("{name}: the secret is not text"), "write it in hexadecimal")
        })?;
        Secret::from_text(&text)
    }

    /// Writes the text of the secret to a new file that only its owner may read. Fails with
    /// [`crate::ErrorKind::Io`], also if there is such a file already: another process may be using it.
    pub fn write_new(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path).map_err(|e| Error::io(path, "create", &e))?;
        let written = writeln!(file, "{}", self.to_text()).and_then(|()| file.sync_all());
        written.map_err(|e| {
            // Half a secret is of no use, and it would be in the way of the next try.
            let _ = std::fs::remove_file(path);
            Error::io(path, "write", &e)
        })
    }

    /// The bytes, for the handshake.
    pub(super) fn bytes(&self) -> &[u8; BYTES] {
        &self.0
    }
}

/// Refuses a file that others than its owner may read or write. It asks the open file, not its name, so that it
/// cannot be exchanged in between.
#[cfg(unix)]
fn private(file: &File, path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mode = file.metadata().map_err(|e| Error::io(path, "read", &e))?.permissions().mode() & 0o777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    let name = path.display();
    Err(Error::input(
        format!("{name}: others than its owner may use this secret (its mode is {mode:03o})"),
        format!("chmod 600 {name}"),
    ))
}

#[cfg(not(unix))]
fn private(_: &File, _: &Path) -> Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn random_secrets_differ_and_survive_their_text() {
        let (a, b) = (Secret::random().unwrap(), Secret::random().unwrap());
        assert_ne!(a.0, b.0);
        assert_eq!(a.to_text().len(), 64);
        assert_eq!(Secret::from_text(&a.to_text()).unwrap().0, a.0);
        assert_eq!(Secret::from_text(&format!(" {}\n", a.to_text().to_uppercase())).unwrap().0, a.0);
    }

    #[test]
    fn passphrases_are_hashed_the_same_everywhere() {
        let secret = Secret::from_text("correct horse battery staple").unwrap();
        // From another implementation: hashlib.pbkdf2_hmac("sha256", phrase, salt, 100000).
        assert_eq!(secret.to_text(), "20fbc3fab12d7861e5cde786ce5f940b320e0f189e37b824ebc2cbf1dbfbe72d");
        let other = Secret::from_text("correct horse battery stapler").unwrap();
        assert_ne!(secret.0, other.0);
        // 63 and 65 digits are passphrases, and so are 64 characters of which one is no digit.
        for text in ["a".repeat(63), "a".repeat(65), format!("{}g", "a".repeat(63))] {
            assert_ne!(Secret::from_text(&text).unwrap().0, [0xaa; BYTES]);
        }
    }

    #[test]
    fn short_passphrases_are_refused_without_being_shown() {
        assert!(Secret::from_text("0123456789abcdef").is_ok());
        let e = Secret::from_text("  swordfish-12345  ").unwrap_err();
        assert!(matches!(e.kind(), ErrorKind::Config { name, .. } if name == "secret"), "{e}");
        assert!(!e.to_string().contains("swordfish"), "{e}");
        assert!(e.to_string().contains("this has 15"), "{e}");
        assert!(Secret::from_text("").is_err());
    }

    #[test]
    fn debug_shows_nothing() {
        let secret = Secret([0xab; BYTES]);
        for shown in [format!("{secret:?}"), format!("{secret:#?}"), format!("{:?}", Some(&secret))] {
            assert!(!shown.contains("ab") && !shown.contains("171"), "{shown}");
        }
    }

    #[test]
    fn files_are_private_and_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        let secret = Secret::random().unwrap();
        secret.write_new(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(Secret::read(&path).unwrap().0, secret.0);
        let e = Secret::random().unwrap().write_new(&path).unwrap_err();
        assert!(matches!(e.kind(), ErrorKind::Io { .. }), "{e}");
        assert_eq!(Secret::read(&path).unwrap().0, secret.0);
        for mode in [0o640, 0o604, 0o660, 0o602, 0o644] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let e = Secret::read(&path).unwrap_err();
            assert!(matches!(e.kind(), ErrorKind::Input { .. }), "{mode:o}: {e}");
            assert!(e.to_string().contains(&format!("hint: chmod 600 {}", path.display())), "{e}");
        }
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o400)).unwrap();
        assert!(Secret::read(&path).is_ok());
    }

    #[test]
    fn files_that_are_no_secret_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(Secret::read(dir.path()).unwrap_err().kind(), ErrorKind::Input { .. }));
        let missing = Secret::read(dir.path().join("none")).unwrap_err();
        assert!(matches!(missing.kind(), ErrorKind::Io { input: true, .. }), "{missing}");
        for content in [vec![b'a'; FILE_MAX as usize + 1], vec![0xff; 40]] {
            let path = dir.path().join(format!("{}", content.len()));
            std::fs::write(&path, &content).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
            let e = Secret::read(&path).unwrap_err();
            assert!(matches!(e.kind(), ErrorKind::Input { .. }), "{e}");
        }
    }
}
