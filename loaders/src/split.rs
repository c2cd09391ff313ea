//! Dividing files into byte ranges: the partitions of a dataset that is read from files.
//!
//! Two rules. [`splits`] is ours: even ranges of at most 16 MiB, whose number depends on the sizes of the files and on
//! `min_splits`, never on how many workers there are. [`hadoop_splits`] is that of Hadoop's `TextInputFormat`, which
//! Spark's `textFile` uses: it puts every record into the partition where Spark puts it, so that results that depend
//! on partitions can be compared number by number.
//!
//! A line belongs to the range `(start, end]` that has its first byte; the first line of a file belongs to the range
//! that starts at 0. (A reader that starts in the middle cannot know whether it stands at the start of a line, so it
//! always skips to the next one, and the reader before it reads one line more. This is Hadoop's `LineRecordReader`.)
//! So every line is read once, whatever the ranges. One difference: only `\n` and `\r\n` end a line; Hadoop also takes
//! a lone `\r`.
//!
//! A packed file is one range, also a bzip2 file, which Hadoop would divide.

use crate::source::InputFile;

/// A part of a file: the lines that start in `(start, end]`, or in `[0, end]` if `start` is 0.
#[derive(Debug, Clone)]
pub struct Split {
    file: InputFile,
    start: u64,
    end: u64,
}

impl Split {
    /// The lines of `file` that belong to bytes `start..end`, as stored. A packed file is always read whole.
    pub fn new(file: InputFile, start: u64, end: u64) -> Split {
        if file.is_splittable() {
            let end = end.min(file.bytes());
            Split { start: start.min(end), end, file }
        } else {
            Split::whole(file)
        }
    }
    /// All of a file.
    pub fn whole(file: InputFile) -> Split {
        Split { start: 0, end: file.bytes(), file }
    }
    /// The file.
    pub fn file(&self) -> &InputFile {
        &self.file
    }
    /// First byte.
    pub fn start(&self) -> u64 {
        self.start
    }
    /// Byte after the last one.
    pub fn end(&self) -> u64 {
        self.end
    }
    /// Length in bytes as stored.
    pub fn bytes(&self) -> u64 {
        self.end - self.start
    }
}

/// Most bytes of a range: large enough that opening a file and starting a task are lost in it, small enough that the
/// last task of a stage does not keep the others waiting for long (20 ms of parsing).
pub const SPLIT_BYTES_MAX: u64 = 16 << 20;
/// No range is made smaller than this to reach `min_splits`: below it the fixed costs of a task prevail.
pub const SPLIT_BYTES_MIN: u64 = 64 << 10;

/// Even ranges of at most [`SPLIT_BYTES_MAX`], at least `min_splits` of them unless they would be smaller than
/// [`SPLIT_BYTES_MIN`]. Empty files give no range, but there is always at least one range.
///
/// ```
/// use slackwater_loaders::{InputFile, split::splits};
/// let file = InputFile::from_bytes("a.txt", "0123456789\n".repeat(100_000));
/// let ranges: Vec<_> = splits(&[file], 3).iter().map(|s| (s.start(), s.end())).collect();
/// assert_eq!(ranges, [(0, 366_666), (366_666, 733_333), (733_333, 1_100_000)]);
/// ```
pub fn splits(files: &[InputFile], min_splits: usize) -> Vec<Split> {
    let total: u64 = files.iter().map(InputFile::bytes).sum();
    let target = total.div_ceil(min_splits.max(1) as u64).clamp(SPLIT_BYTES_MIN, SPLIT_BYTES_MAX);
    let mut splits = vec![];
    for file in files.iter().filter(|f| f.bytes() > 0 || !f.is_splittable()) {
        if !file.is_splittable() {
            splits.push(Split::whole(file.clone()));
            continue;
        }
        let (bytes, pieces) = (file.bytes(), file.bytes().div_ceil(target));
        // 128 bits: the product passes 2^64 for files beyond 16 TiB.
        let cut = |k: u64| (u128::from(bytes) * u128::from(k) / u128::from(pieces)) as u64;
        splits.extend((0..pieces).map(|k| Split::new(file.clone(), cut(k), cut(k + 1))));
    }
    if splits.is_empty() {
        splits.extend(files.first().cloned().map(Split::whole));
    }
    splits
}

/// Block size of Hadoop's local file system (`fs.local.block.size`), in bytes.
pub const HADOOP_LOCAL_BLOCK_BYTES: u64 = 32 << 20;
/// How much larger than the others the last range may be.
const HADOOP_SPLIT_SLOP: f64 = 1.1;

/// The ranges of Hadoop's `TextInputFormat` on a local file system, as Spark 3.2 and later use them (without empty
/// ones). Spark's own default for `min_splits` is `min(cores, 2)`.
///
/// From: Hadoop 3, `mapred.FileInputFormat.getSplits`; `spark.hadoopRDD.ignoreEmptySplits`.
pub fn hadoop_splits(files: &[InputFile], min_splits: usize) -> Vec<Split> {
    let total: u64 = files.iter().map(InputFile::bytes).sum();
    let goal = total / min_splits.max(1) as u64;
    let size = goal.clamp(1, HADOOP_LOCAL_BLOCK_BYTES);
    let mut splits = vec![];
    for file in files.iter().filter(|f| f.bytes() > 0) {
        if !file.is_splittable() {
            splits.push(Split::whole(file.clone()));
            continue;
        }
        let mut left = file.bytes();
        while left as f64 / size as f64 > HADOOP_SPLIT_SLOP {
            let start = file.bytes() - left;
            splits.push(Split::new(file.clone(), start, start + size));
            left -= size;
        }
        if left > 0 {
            splits.push(Split::new(file.clone(), file.bytes() - left, file.bytes()));
        }
    }
    splits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(bytes: usize) -> InputFile {
        InputFile::from_bytes("f", vec![b'\n'; bytes])
    }

    fn ranges(splits: &[Split]) -> Vec<(u64, u64)> {
        splits.iter().map(|s| (s.start(), s.end())).collect()
    }

    /// Worked by hand from the rule in Java.
    #[test]
    fn hadoop_ranges() {
        // 104,736 bytes, the size of Spark's sample_libsvm_data.txt: goal 52,368, and 1.0 <= 1.1 ends it.
        assert_eq!(ranges(&hadoop_splits(&[file(104_736)], 2)), [(0, 52_368), (52_368, 104_736)]);
        // 10 bytes in 3: goal 3; 10/3, 7/3, 4/3 > 1.1, and 1 is left.
        assert_eq!(ranges(&hadoop_splits(&[file(10)], 3)), [(0, 3), (3, 6), (6, 9), (9, 10)]);
        // 21 in 2: goal 10; 2.1 > 1.1, 1.1 is not: the last range takes the slop.
        assert_eq!(ranges(&hadoop_splits(&[file(21)], 2)), [(0, 10), (10, 21)]);
        // Two files share the goal: (8 + 4) / 3 = 4.
        assert_eq!(ranges(&hadoop_splits(&[file(8), file(4)], 3)), [(0, 4), (4, 8), (0, 4)]);
        // More ranges than bytes: the size is at least 1.
        assert_eq!(ranges(&hadoop_splits(&[file(2)], 5)), [(0, 1), (1, 2)]);
        assert!(hadoop_splits(&[file(0)], 2).is_empty());
    }

    #[test]
    fn our_ranges_are_even_and_bounded() {
        assert_eq!(ranges(&splits(&[file(0)], 4)), [(0, 0)]);
        assert_eq!(ranges(&splits(&[file(1000)], 4)), [(0, 1000)], "not below 64 KiB");
        assert_eq!(ranges(&splits(&[file(0), file(5)], 1)), [(0, 5)]);
        let big = splits(&[file((SPLIT_BYTES_MAX * 2 + 1) as usize)], 1);
        assert_eq!(big.len(), 3);
        assert!(big.iter().all(|s| s.bytes() <= SPLIT_BYTES_MAX));
        assert!(big.windows(2).all(|w| w[0].end() == w[1].start()));
    }

    #[test]
    fn packed_files_are_one_range() {
        let packed = InputFile::from_bytes("f.gz", [b"\x1f\x8b\x08".as_slice(), &[0; 1 << 18]].concat());
        assert_eq!(splits(std::slice::from_ref(&packed), 4).len(), 1);
        assert_eq!(hadoop_splits(std::slice::from_ref(&packed), 4).len(), 1);
        assert_eq!(Split::new(packed, 10, 20).start(), 0);
    }
}
