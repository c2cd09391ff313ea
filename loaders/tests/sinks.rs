//! Output is whole or not there.

use slackwater_loaders::sink::{AtomicFile, Existing, OutputFolder, Parts, part_name};
use slackwater_loaders::{ResolveOptions, resolve};
use std::fs;
use std::path::Path;

fn listing(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        folder.read_dir().unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn save(folder: &Path, existing: Existing, parts: &[&str]) -> slackwater_dataflow::Result<()> {
    let output = OutputFolder::create(folder, existing, "job-1")?;
    for (i, text) in parts.iter().enumerate() {
        let mut part = output.parts().writer(i)?;
        part.append(text.as_bytes())?;
        part.commit()?;
    }
    output.finish(parts.len())
}

#[test]
fn a_folder_of_parts() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("deep/out");
    save(&out, Existing::Refuse, &["a\n", "b\n", ""]).unwrap();
    assert_eq!(listing(&out), ["_SUCCESS", "part-00000", "part-00001", "part-00002"]);
    assert_eq!(fs::read(out.join("part-00001")).unwrap(), b"b\n");
    assert_eq!(resolve(&[&out], &ResolveOptions::default()).unwrap().len(), 3);
    assert_eq!(part_name(123_456), "part-123456");
}

#[test]
fn what_is_there_is_kept_until_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    save(&out, Existing::Refuse, &["old 0", "old 1", "old 2"]).unwrap();
    let e = save(&out, Existing::Refuse, &["new"]).unwrap_err();
    assert_eq!(
        e.to_string(),
        format!(
            "the folder `{}` is not empty\n  hint: choose another one, or allow it to be overwritten",
            out.display()
        )
    );
    assert_eq!(e.exit_code(), 3);

    fs::write(out.join("notes.txt"), "mine").unwrap();
    let output = OutputFolder::create(&out, Existing::Overwrite, "job-2").unwrap();
    let mut part = output.parts().writer(0).unwrap();
    part.append(b"new 0").unwrap();
    part.commit().unwrap();
    assert_eq!(fs::read(out.join("part-00000")).unwrap(), b"old 0");
    assert_eq!(resolve(&[&out], &ResolveOptions::default()).unwrap().len(), 3, "readers see the old parts");
    output.finish(1).unwrap();
    assert_eq!(
        listing(&out),
        ["_SUCCESS", "notes.txt", "part-00000"],
        "old parts are gone, other files are not"
    );
    assert_eq!(fs::read(out.join("part-00000")).unwrap(), b"new 0");
}

#[test]
fn an_output_that_is_dropped_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let output = OutputFolder::create(&out, Existing::Refuse, "j").unwrap();
    let mut part = output.parts().writer(0).unwrap();
    part.append(&[b'x'; 1 << 20]).unwrap();
    part.commit().unwrap();
    drop(output);
    assert!(!out.exists());
    // A folder that was there stays, as it was.
    fs::create_dir(&out).unwrap();
    drop(OutputFolder::create(&out, Existing::Refuse, "j").unwrap());
    assert_eq!(listing(&out), [""; 0]);
}

#[test]
fn a_part_that_is_missing_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let output = OutputFolder::create(&out, Existing::Refuse, "j").unwrap();
    output.parts().writer(0).unwrap().commit().unwrap();
    let mut dropped = output.parts().writer(1).unwrap();
    dropped.append(b"half").unwrap();
    drop(dropped);
    let e = output.finish(2).unwrap_err();
    assert!(e.to_string().starts_with("part-00001 of `"), "{e}");
    assert!(!out.exists());
}

#[test]
fn two_attempts_at_a_part_do_not_meet() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let output = OutputFolder::create(&out, Existing::Refuse, "j").unwrap();
    // As a task in another process finds them.
    let parts = Parts::of(&out, "j");
    let (mut a, mut b) = (parts.writer(0).unwrap(), parts.writer(0).unwrap());
    a.append(b"first, which does not finish").unwrap();
    b.append(b"same").unwrap();
    b.commit().unwrap();
    drop(a);
    output.finish(1).unwrap();
    assert_eq!(fs::read(out.join("part-00000")).unwrap(), b"same");
}

#[test]
fn leftovers_of_a_killed_process_are_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    fs::create_dir_all(out.join("_temporary-job-1")).unwrap();
    fs::write(out.join("_temporary-job-1/part-00007"), "half").unwrap();
    save(&out, Existing::Refuse, &["a"]).unwrap();
    assert_eq!(listing(&out), ["_SUCCESS", "part-00000"]);
}

#[test]
fn places_that_cannot_be_written() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "x").unwrap();
    assert!(
        save(&file, Existing::Overwrite, &[])
            .unwrap_err()
            .to_string()
            .ends_with("is a file\n  hint: name a folder")
    );
    assert!(
        save(&file.join("below"), Existing::Refuse, &[])
            .unwrap_err()
            .to_string()
            .starts_with("cannot create")
    );
    assert!(
        AtomicFile::create(dir.path(), Existing::Overwrite).unwrap_err().to_string().contains("is a folder")
    );
    assert!(AtomicFile::create(&file, Existing::Refuse).unwrap_err().to_string().contains("exists"));
    assert!(AtomicFile::create(dir.path().join("no/file"), Existing::Refuse).is_err());
}

#[test]
fn one_file_is_replaced_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model");
    fs::write(&path, "old").unwrap();
    let mut file = AtomicFile::create(&path, Existing::Overwrite).unwrap();
    file.append(b"half").unwrap();
    drop(file);
    assert_eq!((fs::read(&path).unwrap(), listing(dir.path())), (b"old".to_vec(), vec!["model".to_string()]));
    let mut file = AtomicFile::create(&path, Existing::Overwrite).unwrap();
    file.append(b"new").unwrap();
    file.commit().unwrap();
    assert_eq!((fs::read(&path).unwrap(), listing(dir.path())), (b"new".to_vec(), vec!["model".to_string()]));
}

#[cfg(unix)]
#[test]
fn links_and_devices() {
    let dir = tempfile::tempdir().unwrap();
    let (real, link) = (dir.path().join("real"), dir.path().join("link"));
    fs::write(&real, "old").unwrap();
    std::os::unix::fs::symlink(&real, &link).unwrap();
    let mut file = AtomicFile::create(&link, Existing::Overwrite).unwrap();
    file.append(b"new").unwrap();
    file.commit().unwrap();
    assert!(link.is_symlink());
    assert_eq!(fs::read(&real).unwrap(), b"new");
    let mut null = AtomicFile::create("/dev/null", Existing::Refuse).unwrap();
    null.append(b"gone").unwrap();
    null.commit().unwrap();
    assert!(Path::new("/dev/null").exists());
}
