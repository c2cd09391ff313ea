//! What the examples share: small data that they make themselves.

use slackwater::dataflow::rng::{normal, stream, unit_f64};
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// The path that the program was called with, or a file of generated data in the temporary folder.
pub fn input(name: &str, make: impl FnOnce() -> String) -> std::io::Result<PathBuf> {
    if let Some(path) = std::env::args().nth(1) {
        return Ok(PathBuf::from(path));
    }
    let path = std::env::temp_dir().join(format!("slackwater-example-{name}"));
    // Written beside and renamed: several processes may run the same example.
    let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
    std::fs::write(&temporary, make())?;
    std::fs::rename(&temporary, &path)?;
    Ok(path)
}

/// Rows of two classes around two centres, as LIBSVM text with labels 0 and 1.
pub fn two_classes(rows: usize, columns: usize, seed: u64) -> String {
    let mut rng = stream(seed, 0);
    let mut text = String::new();
    for _ in 0..rows {
        let label = (unit_f64(&mut rng) < 0.5) as i32;
        write!(text, "{label}").expect("a string takes everything");
        for column in 1..=columns {
            let centre = if column % 3 == 0 { (2 * label - 1) as f64 } else { 0.0 };
            write!(text, " {column}:{:.4}", centre + normal(&mut rng)).expect("a string takes everything");
        }
        text.push('\n');
    }
    text
}

/// True if `path` is the generated file rather than the user's.
pub fn is_generated(path: &Path) -> bool {
    path.starts_with(std::env::temp_dir())
}
