//! Packed files: every codec, in several parts, cut short, damaged, and bombs.

mod common;

use common::{bzip2, gzip, lz4, packed, read_file, read_text, snappy, zstd};
use proptest::prelude::*;
use slackwater_loaders::codec::Decoder;
use slackwater_loaders::format::libsvm::{LibsvmOptions, LibsvmReader};
use slackwater_loaders::format::text::read_whole;
use slackwater_loaders::{Compression, ExpansionLimit, InputFile, ReadLimits, Split};

/// Extension, codec, how to pack by it.
type Codec = (&'static str, Compression, fn(&[u8]) -> Vec<u8>);

const CODECS: [Codec; 5] = [
    ("gz", Compression::Gzip, gzip),
    ("zst", Compression::Zstd, zstd),
    ("bz2", Compression::Bzip2, bzip2),
    ("lz4", Compression::Lz4, lz4),
    ("snappy", Compression::Snappy, snappy),
];

fn sample() -> String {
    (0..20_000).map(|i| format!("{} {}:0.{} 700:{}\n", i % 2, i % 600 + 1, i * 7919 % 100_003, i)).collect()
}

fn unpack(file: &InputFile) -> slackwater_dataflow::Result<Vec<u8>> {
    let mut decoder = Decoder::open(file, ExpansionLimit::default())?;
    let (mut all, mut buffer) = (vec![], [0; 1000]);
    loop {
        match decoder.read(&mut buffer)? {
            0 => return Ok(all),
            n => all.extend_from_slice(&buffer[..n]),
        }
    }
}

#[test]
fn packed_files_have_the_rows_of_plain_ones() {
    let text = sample();
    let want = read_text(text.as_str());
    assert_eq!((want.0.len(), want.1.len()), (20_000, 0));
    let half = text[..text.len() / 2].rfind('\n').unwrap() + 1;
    // A line may go on from one part to the next.
    for cut in [half, half + 3] {
        for (extension, compression, pack) in CODECS {
            let (a, b) = text.as_bytes().split_at(cut);
            for (name, bytes) in [
                (format!("a.svm.{extension}"), pack(text.as_bytes())),
                ("named.txt".to_string(), pack(text.as_bytes())),
                ("parts".to_string(), [pack(a), pack(b)].concat()),
                ("empty parts".to_string(), [pack(b""), pack(a), pack(b""), pack(b)].concat()),
            ] {
                let file = InputFile::from_bytes(name.as_str(), bytes);
                assert_eq!(file.compression(), compression, "{name}");
                assert!(read_file(&file, &LibsvmOptions::default()).unwrap() == want, "{name} {extension}");
            }
        }
    }
    // A skippable Zstandard frame first, as some tools write it.
    let skippable = [b"\x50\x2a\x4d\x18\x03\0\0\0abc".to_vec(), zstd(text.as_bytes())].concat();
    let file = InputFile::from_bytes("skippable", skippable);
    assert!(read_file(&file, &LibsvmOptions::default()).unwrap() == want);
}

#[test]
fn plain_files_with_other_names_are_plain() {
    for name in ["a.gz", "a.zst", "a.bz2", "a.lz4", "a.snappy", "a.sz", "a.svm"] {
        let file = InputFile::from_bytes(name, "1 1:1\n");
        assert_eq!(file.compression(), Compression::None);
        assert_eq!(read_file(&file, &LibsvmOptions::default()).unwrap().0.len(), 1);
    }
    assert_eq!(InputFile::from_bytes("words", "BZh1 is not bzip2").compression(), Compression::None);
}

#[test]
fn bad_lines_of_packed_files_have_their_position() {
    let text = sample() + "1 0:1\n";
    let file = InputFile::from_bytes("a.svm.gz", gzip(text.as_bytes()));
    let (_, bad) = read_file(&file, &LibsvmOptions::default()).unwrap();
    assert_eq!((bad[0].source.as_str(), bad[0].line, bad[0].column), ("a.svm.gz", 20_001, 3));
}

#[test]
fn files_that_are_cut_short_are_errors() {
    let text = sample();
    for (extension, compression, pack) in CODECS {
        let bytes = pack(text.as_bytes());
        for keep in [0, 1, 3, 5, 9, 12, bytes.len() / 2, bytes.len() - 8, bytes.len() - 1] {
            let name = format!("cut.{extension}");
            let file = InputFile::from_bytes(name.as_str(), &bytes[..keep]);
            assert_eq!(file.compression(), compression, "{keep} bytes of {name}");
            let e = unpack(&file).expect_err(&format!("{keep} bytes of {name}"));
            let want = format!(
                "{name}: the {} data end too early: the file is cut short after byte {keep}\n  \
                 hint: the file was probably not copied or downloaded to its end",
                compression.name()
            );
            assert_eq!((e.to_string(), e.exit_code()), (want, 3));
        }
    }
}

#[test]
fn rows_before_the_cut_do_not_hide_the_error() {
    let bytes = gzip(sample().as_bytes());
    let file = InputFile::from_bytes("cut.svm.gz", &bytes[..bytes.len() / 2]);
    let mut reader =
        LibsvmReader::open(&Split::whole(file), &LibsvmOptions::default()).unwrap().block_nonzeros(100);
    let mut rows = 0;
    let e = loop {
        match reader.next_block(&mut |bad| panic!("{bad}")) {
            Ok(block) => rows += block.expect("an error comes before the end").rows(),
            Err(e) => break e,
        }
    };
    assert!(rows > 5000, "{rows}");
    assert!(e.to_string().contains("cut short"), "{e}");
}

#[test]
fn damaged_files_are_errors() {
    let text = sample();
    for (extension, compression, pack) in CODECS {
        let mut bytes = pack(text.as_bytes());
        let middle = bytes.len() / 2;
        bytes[middle..middle + 20].iter_mut().for_each(|b| *b ^= 0x55);
        let file = InputFile::from_bytes(format!("damaged.{extension}"), bytes);
        let e = unpack(&file).expect_err(extension);
        let want = format!("damaged.{extension}: the {} data ", compression.name());
        assert!(e.to_string().starts_with(&want), "{e}");
        // What follows the end and is no other part.
        let file = InputFile::from_bytes("tail", [pack(b"1 1:1\n"), b"something else".to_vec()].concat());
        assert!(unpack(&file).is_err(), "{extension}");
    }
    let mut checksum = gzip(text.as_bytes());
    let at = checksum.len() - 6;
    checksum[at] ^= 1;
    let e = unpack(&InputFile::from_bytes("crc.gz", checksum)).unwrap_err();
    assert!(e.to_string().contains("the gzip data are damaged"), "{e}");
}

#[test]
fn bombs_are_stopped_early() {
    let lines = "1 1:1\n".repeat(1 << 21);
    for (extension, compression, pack) in CODECS {
        // No 64 bytes of snappy are packed into fewer than three.
        let ratio_max = if compression == Compression::Snappy { 10 } else { 100 };
        let limit = ExpansionLimit { free_bytes: 1 << 20, ratio_max, bytes_max: u64::MAX };
        let file = InputFile::from_bytes(format!("bomb.{extension}"), pack(lines.as_bytes()));
        let limits = ReadLimits { expansion: limit, ..Default::default() };
        let options = LibsvmOptions { limits, ..Default::default() };
        let e = read_file(&file, &options).expect_err(extension);
        let text = e.to_string();
        assert!(text.contains(&format!("of {} data unpack to", compression.name())), "{text}");
        assert!(text.contains(&format!("more than {ratio_max} times as many\n  hint: ")), "{text}");
        assert_eq!(e.exit_code(), 3);
        // It is within the default, and within none.
        let rows = read_file(&file, &LibsvmOptions::default()).unwrap().0.len();
        assert_eq!(rows, 1 << 21, "12.6 MB are free");
        let limits =
            ReadLimits { expansion: ExpansionLimit { bytes_max: 1 << 20, ..ExpansionLimit::NONE }, ..limits };
        let e = read_whole(&file, u64::MAX, limits).unwrap_err();
        assert!(e.to_string().contains("unpacks to more than 1048576 bytes, the limit"), "{e}");
    }
}

/// Zeros have no line ends, so the limit on a line stops them too, in bounded memory.
#[test]
fn a_bomb_of_one_line_is_stopped_by_default() {
    let file = InputFile::from_bytes("zeros.zst", zstd(&vec![0; 80 << 20]));
    assert!(file.bytes() < 100_000);
    let e = read_file(&file, &LibsvmOptions::default()).unwrap_err();
    assert!(e.to_string().contains("Zstandard data unpack to"), "{e}");
}

proptest! {
    #[test]
    fn any_bytes_come_back(bytes: Vec<u8>, codec in 0usize..5) {
        let (_, compression, pack) = CODECS[codec];
        let file = InputFile::from_bytes("any", pack(&bytes));
        prop_assert_eq!(file.compression(), compression);
        prop_assert_eq!(unpack(&file).unwrap(), bytes);
    }

    #[test]
    fn damage_is_never_a_panic(at: prop::sample::Index, byte: u8, codec in 0usize..5) {
        let mut bytes = CODECS[codec].2(b"1 1:0.5 2:0.25\n-1 3:1\n1 1:0.5 2:0.25 4:2\n");
        let at = at.index(bytes.len());
        bytes[at] ^= byte;
        let _ = read_file(&InputFile::from_bytes("any", bytes), &LibsvmOptions::default());
    }
}

/// What the encoder writes is read, by the readers of others too, and the same bytes give the same file.
#[test]
fn packed_files_are_written() {
    let text = sample();
    for (extension, compression, pack) in CODECS {
        for content in ["", "x", text.as_str()] {
            let bytes = packed(content.as_bytes(), compression);
            let file = InputFile::from_bytes("any", bytes.clone());
            assert_eq!(
                (file.compression(), unpack(&file).unwrap()),
                (compression, content.as_bytes().to_vec())
            );
            assert_eq!(packed(content.as_bytes(), compression), bytes, "{extension}");
        }
        assert_eq!(Compression::from_extension(format!("a.txt.{extension}").as_ref()), compression);
        assert!(pack(text.as_bytes()).len() < text.len());
    }
    let (mut one, mut all) = (vec![], vec![]);
    for (into, reader) in [
        (
            &mut one,
            &mut flate2::read::GzDecoder::new(&packed(text.as_bytes(), Compression::Gzip)[..])
                as &mut dyn std::io::Read,
        ),
        (&mut all, &mut zstd::Decoder::new(&packed(text.as_bytes(), Compression::Zstd)[..]).unwrap()),
    ] {
        reader.read_to_end(into).unwrap();
    }
    assert!(one == text.as_bytes() && all == text.as_bytes());
    assert_eq!(packed(b"plain", Compression::None), b"plain");
}

/// An LZ4 frame and a snappy stream as their specifications write them: by hand, with blocks that are not packed.
#[test]
fn frames_written_by_hand() {
    // Flags: version 1, independent blocks, no checksums; blocks of up to 64 KiB; the description's checksum; "abc"; the end.
    let frame = b"\x04\x22\x4d\x18\x60\x40\x82\x03\0\0\x80abc\0\0\0\0";
    let file = InputFile::from_bytes("frame", frame.to_vec());
    assert_eq!((file.compression(), unpack(&file).unwrap()), (Compression::Lz4, b"abc".to_vec()));
    for keep in 4..frame.len() {
        let e = unpack(&InputFile::from_bytes("frame.lz4", &frame[..keep])).unwrap_err().to_string();
        assert!(
            e.contains(&format!("the LZ4 data end too early: the file is cut short after byte {keep}")),
            "{e}"
        );
    }
    // Padding between chunks is left out.
    let stream = [&b"\xff\x06\0\0sNaPpY"[..], b"\xfe\x02\0\0xx", &snappy(b"abc")].concat();
    let file = InputFile::from_bytes("stream", stream);
    assert_eq!((file.compression(), unpack(&file).unwrap()), (Compression::Snappy, b"abc".to_vec()));
}
