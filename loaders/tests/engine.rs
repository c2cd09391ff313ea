//! Datasets read from files and saved to folders, on running workers.

use slackwater_dataflow::block::{LabeledBlock, LabeledPoint};
use slackwater_dataflow::cluster::{Membership, Supervisor};
use slackwater_dataflow::{Config, Context, Dataset, OnBad};
use slackwater_loaders::format::libsvm::LibsvmOptions;
use slackwater_loaders::sink::Existing;
use slackwater_loaders::{InputFile, ReadExt, ReadLimits, SaveLibsvm, SaveText, Splitting};
use std::fs;
use std::path::{Path, PathBuf};

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// A file of `rows` rows, and how many values it has.
fn sample(dir: &Path, rows: usize) -> (PathBuf, usize) {
    let (mut text, mut nnz) = (String::new(), 0);
    for i in 0..rows {
        text.push_str(if i % 3 == 0 { "1" } else { "-1" });
        for j in 0..i % 9 {
            text.push_str(&format!(" {}:{}", j * 11 + i % 10 + 1, i as f64 / 8.0));
            nnz += 1;
        }
        text.push('\n');
    }
    let path = dir.join("sample.svm");
    fs::write(&path, text).unwrap();
    (path, nnz)
}

fn counts(blocks: &Dataset<LabeledBlock>) -> (usize, usize, usize) {
    let add = |a: &mut (usize, usize, usize), b: &LabeledBlock| {
        *a = (a.0 + b.rows(), a.1 + b.features.nnz(), a.2.max(b.features.columns()));
    };
    blocks.aggregate((0, 0, 0), add, |a, b| *a = (a.0 + b.0, a.1 + b.1, a.2.max(b.2))).unwrap()
}

#[test]
fn blocks_and_points_do_not_depend_on_workers() {
    let dir = folder();
    let (path, nnz) = sample(dir.path(), 50_000);
    let mut results = vec![];
    for workers in [1, 3] {
        let cx = Context::local(workers).unwrap();
        let blocks = cx.read_libsvm_blocks(&path).unwrap();
        assert!(blocks.num_partitions() >= cx.config().default_partitions);
        assert_eq!(counts(&blocks), (50_000, nnz, 87));
        let points = cx.read_libsvm(&path).unwrap();
        assert_eq!(points.num_partitions(), blocks.num_partitions());
        results.push((blocks.collect_partitions().unwrap(), points.collect_partitions().unwrap()));
    }
    assert!(results[0] == results[1]);
    let (blocks, points) = &results[0];
    for (blocks, points) in blocks.iter().zip(points) {
        let from_blocks: Vec<LabeledPoint> = blocks.iter().flat_map(|b| b.points(0)).collect();
        assert!(&from_blocks == points);
    }
}

#[test]
fn partitions_are_those_of_spark() {
    let dir = folder();
    let path = dir.path().join("a.txt");
    fs::write(&path, "one\ntwo\nthree\nfour\nfive\n").unwrap();
    let cx = Context::local(1).unwrap();
    // 24 bytes in 3: ranges of 8. "three" starts at 8, the end of the first range, and belongs to it.
    let lines = cx.read_text_with(&[&path], ReadLimits::default(), Splitting::Hadoop(3)).unwrap();
    let want: [&[&str]; 3] = [&["one", "two", "three"], &["four"], &["five"]];
    assert_eq!(lines.collect_partitions().unwrap(), want);
    let lines = cx.read_text_with(&[&path], ReadLimits::default(), Splitting::EvenAtLeast(3)).unwrap();
    assert_eq!(lines.num_partitions(), 1, "24 bytes are not divided");
}

#[test]
fn take_of_a_large_file_reads_its_start() {
    let dir = folder();
    let (path, _) = sample(dir.path(), 1000);
    let cx = Context::local(2).unwrap();
    let first = cx.read_libsvm(&path).unwrap().map_partitions(|rows| rows.take(2)).collect().unwrap();
    assert_eq!((first[0].label, first[1].label, first[1].features.size()), (1.0, -1.0, 87));
    let options = LibsvmOptions { num_features: Some(500), ..Default::default() };
    let wide = cx.read_libsvm_with(&[&path], options, Splitting::Even).unwrap();
    assert!(wide.collect().unwrap().iter().all(|p| p.features.size() == 500));
}

#[test]
fn bad_records_go_where_the_policy_says() {
    let dir = folder();
    let path = dir.path().join("bad.svm");
    fs::write(&path, "1 1:1\n1 0:1\nx 1:1\n1 2:2\n").unwrap();
    let with = |on_bad: OnBad| Context::new(Config { on_bad, ..Config::local(2) }).unwrap();

    let e = with(OnBad::Fail).read_libsvm(&path).unwrap().count().unwrap_err();
    let want = format!("{}:2:3: index 0: indices start at 1", path.display());
    assert_eq!((e.to_string().lines().next(), e.exit_code()), (Some(want.as_str()), 3));

    let cx = with(OnBad::Skip);
    assert_eq!(cx.read_libsvm(&path).unwrap().count().unwrap(), 2);
    assert_eq!(
        cx.read_libsvm_blocks(&path).unwrap().aggregate(0, |n, b| *n += b.rows(), |a, b| *a += b).unwrap(),
        2
    );
    let (_, bad) = cx.bad_records();
    assert_eq!((bad[0].line, bad[1].line), (2, 3));

    let quarantine = dir.path().join("quarantine");
    assert_eq!(with(OnBad::Quarantine(quarantine.clone())).read_libsvm(&path).unwrap().count().unwrap(), 2);
    let files: Vec<_> = quarantine.read_dir().unwrap().collect();
    assert_eq!(files.len(), 1);
    assert_eq!(fs::read_to_string(files[0].as_ref().unwrap().path()).unwrap().lines().count(), 2);
}

#[test]
fn files_that_are_broken_fail_the_job_whatever_the_policy() {
    let dir = folder();
    let (path, _) = sample(dir.path(), 5000);
    let packed = zstd::encode_all(&fs::read(&path).unwrap()[..], 3).unwrap();
    let cut = dir.path().join("cut.svm.zst");
    fs::write(&cut, &packed[..packed.len() / 2]).unwrap();
    let cx = Context::new(Config { on_bad: OnBad::Skip, ..Config::local(2) }).unwrap();
    let e = cx.read_libsvm(&cut).unwrap().count().unwrap_err();
    assert!(e.to_string().contains("cut short"), "{e}");
    // The context stays usable; a file that goes away between opening and reading is an error too.
    let points = cx.read_libsvm(&path).unwrap();
    assert_eq!(points.count().unwrap(), 5000);
    fs::remove_file(&path).unwrap();
    let e = points.count().unwrap_err();
    assert_eq!(e.exit_code(), 3, "{e}");
}

#[test]
fn what_cannot_be_opened_is_said_at_once() {
    let dir = folder();
    let cx = Context::local(1).unwrap();
    assert_eq!(cx.read_libsvm(dir.path().join("no.svm")).unwrap_err().exit_code(), 3);
    let empty = dir.path().join("empty.svm");
    fs::write(&empty, "").unwrap();
    let e = cx.read_libsvm(&empty).unwrap_err();
    let want = format!(
        "`{}` is empty\n  hint: a data set has at least one row: `label index:value ...`",
        empty.display()
    );
    assert_eq!((e.to_string(), e.exit_code()), (want, 3));
    assert_eq!(cx.read_text(&empty).unwrap().count().unwrap(), 0, "an empty text has no lines");
    let options = LibsvmOptions { num_features: Some(0), ..Default::default() };
    assert_eq!(cx.read_libsvm_with(&[&empty], options, Splitting::Even).unwrap_err().exit_code(), 2);
}

#[test]
fn what_is_saved_reads_back() {
    let dir = folder();
    let (path, nnz) = sample(dir.path(), 20_000);
    let cx = Context::local(2).unwrap();
    let points = cx.read_libsvm(&path).unwrap();
    let out = dir.path().join("points");
    points.save_as_libsvm(&out).unwrap();
    assert!(out.join("_SUCCESS").exists());
    let parts = out.read_dir().unwrap().count();
    assert_eq!(parts, points.num_partitions() + 1);
    let want: Vec<u8> = (0..points.num_partitions())
        .flat_map(|i| fs::read(out.join(format!("part-{i:05}"))).unwrap())
        .collect();
    assert_eq!(want, fs::read(&path).unwrap(), "the sample is written as we write");

    let blocks = cx.read_libsvm_blocks(&out).unwrap();
    assert_eq!(counts(&blocks), (20_000, nnz, 87));
    assert_eq!(blocks.save_as_libsvm(&out).unwrap_err().exit_code(), 3, "not over what is there");
    // Reading what is being replaced: the old parts are there until the new ones are complete.
    blocks.filter(|b| b.rows() > 0).save_as_libsvm_with(&out, Existing::Overwrite).unwrap();
    assert_eq!(counts(&cx.read_libsvm_blocks(&out).unwrap()), (20_000, nnz, 87));
}

#[test]
fn a_save_that_fails_leaves_nothing() {
    let dir = folder();
    let (path, _) = sample(dir.path(), 1000);
    let cx = Context::local(2).unwrap();
    let out = dir.path().join("out");
    let infinite = cx.read_libsvm(&path).unwrap().map(|p| LabeledPoint::new(p.label / 0.0, p.features));
    let e = infinite.save_as_libsvm(&out).unwrap_err();
    assert_eq!(e.to_string(), "LIBSVM text cannot hold this row: the label is inf");
    assert!(!out.exists());
    let panics = cx.range(0..1000, 4).map(|x| if x == 999 { panic!("at the end") } else { x });
    assert!(panics.save_as_text(&out).is_err());
    assert!(!out.exists());
    cx.range(0..1000, 4).save_as_text(&out).unwrap();
    assert_eq!(
        cx.read_text(&out).unwrap().map(|l| l.parse::<u64>().unwrap()).reduce(|a, b| a + b).unwrap(),
        Some(499_500)
    );
}

#[test]
fn words_are_counted_from_blocks_as_from_lines() {
    let dir = folder();
    let path = dir.path().join("words.txt");
    let text: String = (0..100_000).map(|i| format!("word{} of {}\n", i % 97, i % 7)).collect();
    fs::write(&path, &text).unwrap();
    let cx = Context::local(2).unwrap();
    let mut from_lines = cx
        .read_text(&path)
        .unwrap()
        .flat_map(|line| line.split(' ').map(|w| (w.to_string(), 1u64)).collect::<Vec<_>>())
        .reduce_by_key(|a, b| *a += b)
        .collect()
        .unwrap();
    let mut from_blocks = cx
        .read_text_blocks(&path)
        .unwrap()
        .flat_map(|block| {
            block.lines().flat_map(|l| l.split(' ').map(|w| (w.to_string(), 1u64))).collect::<Vec<_>>()
        })
        .reduce_by_key(|a, b| *a += b)
        .collect()
        .unwrap();
    from_lines.sort();
    from_blocks.sort();
    assert_eq!(from_lines.iter().map(|w| w.1).sum::<u64>(), 300_000);
    assert!(from_lines == from_blocks);
    let whole = cx.read_whole_files(dir.path().join("w*.txt")).unwrap().collect().unwrap();
    assert!(whole == [(path.display().to_string(), text)]);
}

/// Two members on threads of this process: a folder is written by both and finished by one.
#[test]
fn a_cluster_saves_one_folder() {
    let dir = folder();
    let (path, nnz) = sample(dir.path(), 20_000);
    let out = dir.path().join("out");
    let supervisor = Supervisor::start(2).unwrap();
    let members: Vec<Membership> = (0..2).map(|i| supervisor.membership(i)).collect();
    std::thread::scope(|scope| {
        for member in members {
            scope.spawn(|| {
                let cx = Context::new(Config { membership: Some(member), ..Config::local(1) }).unwrap();
                let blocks = cx.read_libsvm_blocks(&path).unwrap();
                blocks.save_as_libsvm(&out).unwrap();
                assert_eq!(counts(&cx.read_libsvm_blocks(&out).unwrap()), (20_000, nnz, 87));
                let e = blocks.save_as_libsvm(&out).unwrap_err();
                assert!(e.to_string().contains("is not empty"), "in both: {e}");
            });
        }
    });
}

#[test]
fn bytes_of_the_program_are_a_file() {
    let cx = Context::local(1).unwrap();
    let file = InputFile::from_program("<built in>", b"1 1:1\n-1 2:x\n");
    assert!(!file.is_in_memory(), "every process has it");
    let rows = cx.read_libsvm_files(&[file], LibsvmOptions::default(), Splitting::Even).unwrap();
    let error = rows.count().unwrap_err().to_string();
    assert!(error.starts_with("<built in>:2:6: "), "{error}");
}
