//! What the tests share: a folder to run in, and runs.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// A folder of its own, with the program.
pub struct Place(TempDir);

/// What a run left behind.
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Place {
    pub fn new() -> Place {
        Place(tempfile::tempdir().unwrap())
    }
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> &Place {
        std::fs::write(self.path(name), content).unwrap();
        self
    }
    /// A folder of parts, each of which is a partition.
    pub fn write_parts<const N: usize>(&self, folder: &str, parts: [String; N]) -> &Place {
        std::fs::create_dir_all(self.path(folder)).unwrap();
        for (i, part) in parts.iter().enumerate() {
            self.write(&format!("{folder}/part-{i:05}"), part);
        }
        self
    }
    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }
    /// Names of what is there, sorted.
    pub fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<String> =
            entries.map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
    /// The program, in this folder, with nothing in its environment that changes what it does.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_slackwater"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("SLACKWATER_") {
                command.env_remove(name);
            }
        }
        command.args(arguments).current_dir(self.0.path()).env("COLUMNS", "100").stdin(Stdio::null());
        // What runs write down of themselves goes with the folder.
        command.env("XDG_RUNTIME_DIR", self.0.path());
        command
    }
    pub fn run(&self, arguments: &[&str]) -> Ran {
        ran(self.command(arguments).output().unwrap())
    }
    /// A run that goes well; its standard output.
    #[track_caller]
    pub fn ok(&self, arguments: &[&str]) -> String {
        let ran = self.run(arguments);
        assert_eq!(ran.code, Some(0), "{arguments:?}\n{}", ran.stderr);
        ran.stdout
    }
    /// A run that goes well; the document that it prints.
    #[track_caller]
    pub fn json(&self, arguments: &[&str]) -> serde_json::Value {
        let text = self.ok(&[arguments, &["--json"]].concat());
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}\n{text}"))
    }
    /// A run that fails with this code; its standard error.
    #[track_caller]
    pub fn fails(&self, code: i32, arguments: &[&str]) -> String {
        let ran = self.run(arguments);
        assert_eq!(ran.code, Some(code), "{arguments:?}\n{}{}", ran.stdout, ran.stderr);
        ran.stderr
    }
    /// The sample that comes with the program, as a file.
    pub fn with_sample(&self, name: &str) -> &Place {
        self.write(name, include_bytes!("../../src/sample/sample.svm"))
    }
}

pub fn ran(output: Output) -> Ran {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// A file below `SLACKWATER_DATA`; nothing, with a note, if the variable is not set.
pub fn data(path: &str) -> Option<String> {
    let Some(root) = std::env::var_os("SLACKWATER_DATA") else {
        eprintln!("skipped: SLACKWATER_DATA is not set, so {path} is not there");
        return None;
    };
    let path = Path::new(&root).join(path);
    assert!(path.exists(), "{} is not there", path.display());
    Some(path.to_string_lossy().into_owned())
}

/// Every file below a folder with its bytes, names sorted.
pub fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all = vec![];
    let mut todo = vec![folder.to_path_buf()];
    while let Some(at) = todo.pop() {
        for entry in std::fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                todo.push(path);
            } else {
                let bytes = std::fs::read(&path).unwrap();
                all.push((path.strip_prefix(folder).unwrap().to_path_buf(), bytes));
            }
        }
    }
    all.sort();
    all
}
