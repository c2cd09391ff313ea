//! Files of about a mebibyte that unpack to gibibytes are refused, with little memory.

use slackwater_fuzz::memory::measured;
use slackwater_loaders::codec::Encoder;
use slackwater_loaders::table::Scan;
use slackwater_loaders::{Compression, Format, InputFile, TableOptions, open_table};
use std::io::Write;

/// Most that may be taken, over what there was before.
const PEAK_BYTES: u64 = 64 << 20;
const BOMB_BYTES: usize = 1 << 20;
const GIB: u64 = 1 << 30;

/// Part after part of the same packed bytes, about a mebibyte in all; and how much that unpacks to.
fn bomb(compression: Compression, content: &[u8], begin: &[u8]) -> (Vec<u8>, u64) {
    let pack = |bytes: &mut dyn Iterator<Item = &[u8]>| {
        let mut encoder = Encoder::new(vec![], compression).expect("an encoder");
        bytes.for_each(|b| encoder.write_all(b).expect("memory takes it"));
        encoder.finish().expect("memory takes it")
    };
    // bzip2 is slow to pack what repeats, and needs no long parts.
    let part_bytes = if compression == Compression::Bzip2 { 4 << 20 } else { 64 << 20 };
    let times = part_bytes / content.len();
    let part = pack(&mut std::iter::repeat_n(content, times));
    let parts = BOMB_BYTES.div_ceil(part.len());
    let mut bytes = pack(&mut std::iter::once(begin));
    (0..parts).for_each(|_| bytes.extend_from_slice(&part));
    (bytes, (parts * times * content.len()) as u64)
}

/// Reads all of a file, and says how many records were bad.
fn read(file: InputFile, format: Format) -> slackwater_dataflow::Result<u64> {
    let options = TableOptions { format: Some(format), ..TableOptions::default() };
    let table = open_table(&[file], &options, 4)?;
    let mut bad = 0;
    for piece in 0..table.pieces() {
        let mut reader = table.open(piece, &Scan::default())?;
        while reader
            .next_batch(&mut |_| {
                bad += 1;
                Ok(())
            })?
            .is_some()
        {}
    }
    Ok(bad)
}

fn bombs_are_refused(compression: Compression, unpacked_min: u64, ending: &str) {
    let lines = [b"0".repeat((64 << 10) - 1), b"\n".to_vec()].concat();
    let rows = b"1 1:1 2:1\n".repeat(1 << 12);
    let zeros = vec![0u8; 64 << 10];
    // A good stream, of many batches. The other files begin well and are damaged as well, but that is seen at their ends.
    let (stream, batch) = slackwater_fuzz::targets::arrow_stream_parts();
    let mut tested = 0;
    for (format, begin, content) in [
        (Format::Libsvm, &b"1 1:1\n"[..], &rows),
        (Format::Libsvm, b"1 1:1\n", &lines),
        (Format::Csv, b"a,b\n", &b"1,2\n".repeat(1 << 14)),
        (Format::Csv, b"a,b\n\"", &zeros),
        (Format::JsonLines, b"{\"a\":1}\n", &b"{\"a\":1}\n".repeat(1 << 13)),
        (Format::Text, b"", &lines),
        (Format::Text, b"", &zeros),
        (Format::WholeText, b"", &zeros),
        (Format::Parquet, b"PAR1", &zeros),
        (Format::Arrow, b"ARROW1\0\0", &zeros),
        (Format::ArrowStream, &stream, &batch),
        (
            Format::MatrixMarket,
            b"%%MatrixMarket matrix array real general\n65536 65536\n",
            &b"0\n".repeat(1 << 15),
        ),
        (Format::Idx, b"\0\0\x08\x02\x7f\xff\xff\xff\0\0\x01\0", &zeros),
    ] {
        let (bytes, unpacked) = bomb(compression, content, begin);
        let what =
            format!("{} bytes of {} that are {unpacked} as {format:?}", bytes.len(), compression.name());
        // gzip packs text of some structure 200 times: no bomb, but an ordinary file.
        if unpacked < 500 * bytes.len() as u64 {
            assert_eq!(compression, Compression::Gzip, "{what}");
            continue;
        }
        tested += 1;
        // What has structure packs a little less well than zeros.
        assert!(unpacked >= unpacked_min / 4, "{what}");
        let file = InputFile::from_bytes(format!("bomb.{}.{ending}", format.extension(None)), bytes);
        let (result, taken) = measured(|| read(file, format));
        let e = result.expect_err(&what);
        let text = e.to_string();
        assert_eq!(e.exit_code(), 3, "{what}: {text}");
        assert!(text.contains("times as many"), "{what}: {text}");
        assert!(taken <= PEAK_BYTES, "{what} took {taken:?}: {text}");
    }
    assert!(tested >= 6, "only {tested} are bombs");
}

#[test]
fn of_gzip() {
    bombs_are_refused(Compression::Gzip, GIB, "gz");
}

#[test]
fn of_zstandard() {
    bombs_are_refused(Compression::Zstd, 10 * GIB, "zst");
}

#[test]
fn of_bzip2() {
    bombs_are_refused(Compression::Bzip2, 10 * GIB, "bz2");
}

/// LZ4 makes at most 255 bytes of one and snappy 22, which is within what any file may do: no bombs, but read in little memory
/// all the same, as long as there are lines.
#[test]
fn of_lz4_and_snappy() {
    for (compression, ending, unpacked_min) in
        [(Compression::Lz4, "lz4", 128 << 20), (Compression::Snappy, "sz", 16 << 20)]
    {
        for (format, begin, content) in [
            (Format::Libsvm, &b"1 1:1\n"[..], &b"1 1:1 2:1\n".repeat(1 << 12)),
            (Format::Csv, b"a,b\n", &b"1,2\n".repeat(1 << 14)),
            (Format::Text, b"", &b"a\n".repeat(1 << 15)),
        ] {
            let (bytes, unpacked) = bomb(compression, content, begin);
            let what =
                format!("{} bytes of {} that are {unpacked} as {format:?}", bytes.len(), compression.name());
            assert!(unpacked >= unpacked_min, "{what}");
            let file = InputFile::from_bytes(format!("bomb.{ending}"), bytes);
            let (result, taken) = measured(|| read(file, format));
            assert_eq!(result.expect(&what), 0, "{what}");
            assert!(taken <= PEAK_BYTES, "{what} took {taken:?}");
        }
    }
}

/// The allowance is no way around the limit: a file that is read whole into memory may not take more than it either.
#[test]
fn what_is_read_whole_grows_with_what_is_there() {
    let (bytes, _) = bomb(Compression::Zstd, &[0; 1 << 16], b"PAR1");
    let cut = &bytes[..40];
    let file = InputFile::from_bytes("cut.parquet.zst", cut);
    let (result, taken) = measured(|| read(file, Format::Parquet));
    assert!(result.is_err());
    assert!(taken <= PEAK_BYTES, "{taken:?}");
}
