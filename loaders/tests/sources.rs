//! What users name as input, and what they are told when it cannot be read.

mod common;

use slackwater_dataflow::{Error, Result};
use slackwater_loaders::format::text::{BLOCK_BYTES, TextReader, read_whole};
use slackwater_loaders::source::resolve_with;
use slackwater_loaders::{Compression, InputFile, ReadLimits, ResolveOptions, Split, resolve};
use std::fs;
use std::path::Path;

fn names(inputs: &[&Path]) -> Result<Vec<String>> {
    let files = resolve(inputs, &ResolveOptions::default())?;
    Ok(files.iter().map(|f| Path::new(f.name()).file_name().unwrap().to_str().unwrap().to_string()).collect())
}

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::create_dir_all(dir.path().join(name).parent().unwrap()).unwrap();
        fs::write(dir.path().join(name), text).unwrap();
    }
    dir
}

#[test]
fn files_patterns_and_folders() {
    let dir = folder(&[
        ("b.svm", "1 1:1\n"),
        ("a.svm", "1 1:1\n"),
        ("c.txt", ""),
        (".hidden.svm", ""),
        ("_mark.svm", ""),
        ("x[1].svm", "1 1:1\n"),
        ("out/part-00001", ""),
        ("out/part-00000.gz", "1 1:1\n"),
        ("out/part-100000", ""),
        ("out/part-99999", ""),
        ("out/_SUCCESS", ""),
        ("out/.part-00000.crc", ""),
        ("out/notes.txt", ""),
        ("empty/_SUCCESS", ""),
    ]);
    let at = |name: &str| dir.path().join(name);
    assert_eq!(names(&[&at("b.svm"), &at("a.svm")]).unwrap(), ["b.svm", "a.svm"], "in the order given");
    assert_eq!(names(&[&at("*.svm")]).unwrap(), ["a.svm", "b.svm", "x[1].svm"]);
    assert_eq!(names(&[&at("?.svm")]).unwrap(), ["a.svm", "b.svm"]);
    assert_eq!(names(&[&at("[b-c].*")]).unwrap(), ["b.svm", "c.txt"]);
    assert_eq!(names(&[&at("_*.svm")]).unwrap(), ["_mark.svm"]);
    assert_eq!(names(&[&at("x[1].svm")]).unwrap(), ["x[1].svm"], "a file that exists is meant literally");
    let parts = ["part-00000.gz", "part-00001", "part-99999", "part-100000"];
    assert_eq!(names(&[&at("out")]).unwrap(), parts);
    assert_eq!(names(&[&at("o*t")]).unwrap(), parts);
    assert_eq!(names(&[&at("out/part-0*")]).unwrap(), ["part-00000.gz", "part-00001"]);
    assert!(names(&[&at("empty")]).unwrap().is_empty(), "an empty dataset");
    let file = &resolve(&[at("a.svm")], &ResolveOptions::default()).unwrap()[0];
    assert_eq!((file.bytes(), file.compression()), (6, Compression::None));
}

#[test]
fn what_cannot_be_read() {
    let dir = folder(&[("data/a.svm", "1 1:1\n")]);
    let shown = dir.path().display();
    let fails = |path: String| -> Error {
        let e = resolve(&[&path], &ResolveOptions::default()).unwrap_err();
        assert_eq!(e.exit_code(), 3, "{e}");
        assert!(!e.is_retryable());
        e
    };
    let missing = fails(format!("{shown}/no.svm")).to_string();
    assert_eq!(missing, format!("cannot open {shown}/no.svm: No such file or directory (os error 2)"));
    assert_eq!(
        fails(format!("{shown}/*.csv")).to_string(),
        format!(
            "no file matches `{shown}/*.csv`\n  hint: `*` and `?` match within one folder, `**/` matches folders"
        )
    );
    assert_eq!(
        fails(format!("{shown}/data")).to_string(),
        format!(
            "`{shown}/data` is a folder, and it has no files named part-*\n  hint: name the files, for example `{shown}/data/*.svm`"
        )
    );
    assert!(fails(format!("{shown}/d*")).to_string().contains("is a folder"));
    assert!(fails(format!("{shown}/a[")).to_string().contains("is not a pattern"));
    assert!(fails(format!("{shown}/data/a.svm/b")).to_string().starts_with("cannot open"));
    assert!(fails(String::new()).to_string().starts_with("cannot open"));
    assert_eq!(resolve::<&str>(&[], &ResolveOptions::default()).unwrap_err().exit_code(), 3);
    assert_eq!(InputFile::from_path(dir.path()).unwrap_err().exit_code(), 3);
}

#[cfg(unix)]
#[test]
fn files_without_permission() {
    use std::os::unix::fs::PermissionsExt;
    let dir = folder(&[("a.svm", "1 1:1\n")]);
    let path = dir.path().join("a.svm");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o0)).unwrap();
    if fs::File::open(&path).is_ok() {
        eprintln!("skipped: this user may read everything");
        return;
    }
    let e = resolve(&[&path], &ResolveOptions::default()).unwrap_err();
    assert_eq!(e.to_string(), format!("cannot open {}: Permission denied (os error 13)", path.display()));
    assert_eq!(e.exit_code(), 3);
}

#[test]
fn standard_input_is_read_to_a_limit() {
    let options = ResolveOptions { stream_bytes_max: 10, ..ResolveOptions::default() };
    let files = resolve_with(&["-"], &options, &mut &b"1 1:1\n"[..]).unwrap();
    assert_eq!((files[0].name(), files[0].bytes()), ("<stdin>", 6));
    let packed = common::gzip(b"1 1:1\n");
    let files = resolve_with(&["-"], &ResolveOptions::default(), &mut &packed[..]).unwrap();
    assert_eq!(files[0].compression(), Compression::Gzip);
    let e = resolve_with(&["-"], &options, &mut &[b'x'; 11][..]).unwrap_err();
    assert_eq!(
        e.to_string(),
        "<stdin> has more than 10 bytes, the limit for input that is not a file\n  \
         hint: write it to a file first: files are read in pieces, without a limit"
    );
    assert_eq!(resolve_with(&["-", "-"], &options, &mut &b""[..]).unwrap_err().exit_code(), 2);
}

#[cfg(target_os = "linux")]
#[test]
fn devices_are_read_to_the_same_limit() {
    assert_eq!(resolve(&["/dev/null"], &ResolveOptions::default()).unwrap()[0].bytes(), 0);
    let e =
        resolve(&["/dev/zero"], &ResolveOptions { stream_bytes_max: 1 << 16, ..ResolveOptions::default() })
            .unwrap_err();
    assert!(e.to_string().starts_with("/dev/zero has more than 65536 bytes"), "{e}");
}

#[test]
fn a_file_that_shrinks_is_an_error() {
    let dir = folder(&[("a.txt", &"line\n".repeat(100_000))]);
    let path = dir.path().join("a.txt");
    let file = InputFile::from_path(&path).unwrap();
    fs::write(&path, "line\n").unwrap();
    let mut reader = TextReader::open(&Split::whole(file), ReadLimits::default()).unwrap();
    let mut next = || reader.next_line(&mut |bad| panic!("{bad}"));
    let e = (0..3).find_map(|_| next().err()).unwrap();
    assert!(
        e.to_string().contains("the file became shorter while it was read: 500000 bytes then, 5 now"),
        "{e}"
    );
    assert_eq!(e.exit_code(), 4);
}

fn lines(text: &[u8]) -> (Vec<String>, Vec<String>) {
    let file = InputFile::from_bytes("a.txt", text);
    let (mut lines, mut bad) = (vec![], vec![]);
    let mut reader = TextReader::open(&Split::whole(file), ReadLimits::default()).unwrap();
    while let Some(line) = reader
        .next_line(&mut |record| {
            bad.push(record.to_string());
            Ok(())
        })
        .unwrap()
    {
        lines.push(line);
    }
    (lines, bad)
}

#[test]
fn lines_of_text() {
    assert_eq!(lines(b"").0, [""; 0]);
    assert_eq!(lines(b"\n").0, [""]);
    assert_eq!(
        lines("\u{feff}a\r\n\nb \u{e9}\rc\n\u{feff}d".as_bytes()).0,
        ["a", "", "b \u{e9}\rc", "\u{feff}d"]
    );
    let (good, bad) = lines(b"one\ntwo \xff\xfe\nthree\n\xe9");
    assert_eq!(good, ["one", "three"]);
    let hint = "\n  hint: convert the file to UTF-8, for example with `iconv -f latin1 -t utf-8`";
    assert_eq!(
        bad,
        [
            format!("a.txt:2:5: byte 0xff is not UTF-8\n  | \\xff\\xfe{hint}"),
            format!("a.txt:4:1: byte 0xe9 is not UTF-8\n  | \\xe9{hint}"),
        ]
    );
}

#[test]
fn blocks_of_text_have_the_same_lines() {
    let mut text: Vec<u8> = (0..40_000).flat_map(|i| format!("line {i} \u{e9}\r\n").into_bytes()).collect();
    text.extend_from_slice(b"bad \xff\nlast");
    let want = lines(&text);
    assert_eq!((want.0.len(), want.1.len()), (40_001, 1));
    let file = InputFile::from_bytes("a.txt", text);
    let mut got = (vec![], vec![]);
    for split in slackwater_loaders::split::splits(&[file], 5) {
        let mut reader = TextReader::open(&split, ReadLimits::default()).unwrap();
        while let Some(block) = reader
            .next_block(&mut |record| {
                got.1.push(record.to_string());
                Ok(())
            })
            .unwrap()
        {
            assert!(block.bytes() < BLOCK_BYTES + 100);
            got.0.extend(block.lines().map(str::to_string));
        }
    }
    assert_eq!(got, want);
}

#[test]
fn whole_files() {
    let read =
        |bytes: &[u8], max| read_whole(&InputFile::from_bytes("a.txt", bytes), max, ReadLimits::default());
    assert_eq!(read("\u{feff}a\r\nb".as_bytes(), 100).unwrap(), "a\r\nb");
    assert_eq!(read(&common::bzip2(b"packed"), 100).unwrap(), "packed");
    assert!(read(b"12345", 4).unwrap_err().to_string().starts_with("a.txt has more than 4 bytes"));
    assert!(read(b"a\nbc\xff", 9).unwrap_err().to_string().starts_with("a.txt:2:3: byte 0xff is not UTF-8"));
}
