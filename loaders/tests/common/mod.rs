//! What several test files need.
#![allow(dead_code)] // each test file uses a part

use slackwater_dataflow::{BadRecord, Result};
use slackwater_loaders::format::libsvm::{LibsvmOptions, LibsvmReader};
use slackwater_loaders::{InputFile, Split};
use std::io::Write;

/// Label bits, columns, bits of the values: compared exactly.
pub type Row = (u64, Vec<u32>, Vec<u64>);

/// All rows of some splits, and the bad records.
pub fn read_splits(splits: &[Split], options: &LibsvmOptions) -> Result<(Vec<Row>, Vec<BadRecord>)> {
    let (mut rows, mut bad) = (vec![], vec![]);
    for split in splits {
        let mut reader = LibsvmReader::open(split, options)?.block_nonzeros(7);
        while let Some(block) = reader.next_block(&mut |record| {
            bad.push(record);
            Ok(())
        })? {
            assert!(block.rows() > 0);
            // Rebuilding checks the invariants: ascending columns, offsets that fit.
            let features = &block.features;
            slackwater_dataflow::block::CsrBlock::from_parts(
                features.columns(),
                features.offsets().to_vec(),
                features.indices().to_vec(),
                features.values().to_vec(),
            )?;
            rows.extend(block.iter().map(|(label, row)| {
                let values = row.values.iter().map(|v| v.to_bits()).collect();
                (label.to_bits(), row.indices.to_vec(), values)
            }));
        }
    }
    Ok((rows, bad))
}

pub fn read_file(file: &InputFile, options: &LibsvmOptions) -> Result<(Vec<Row>, Vec<BadRecord>)> {
    read_splits(&[Split::whole(file.clone())], options)
}

pub fn read_text(text: impl Into<Vec<u8>>) -> (Vec<Row>, Vec<BadRecord>) {
    read_file(&InputFile::from_bytes("data.svm", text), &LibsvmOptions::default())
        .expect("the file can be read")
}

pub fn row(label: f64, features: &[(u32, f64)]) -> Row {
    (
        label.to_bits(),
        features.iter().map(|f| f.0).collect(),
        features.iter().map(|f| f.1.to_bits()).collect(),
    )
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(vec![], flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).unwrap()
}

pub fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(vec![], bzip2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Where real data sets are; `None`, with a word about it, where they are not.
pub fn data() -> Option<std::path::PathBuf> {
    let data = std::env::var_os("SLACKWATER_DATA").map(std::path::PathBuf::from);
    if data.is_none() {
        eprintln!("not run: SLACKWATER_DATA does not say where the data sets are");
    }
    data
}

/// Packed by our own encoder.
pub fn packed(bytes: &[u8], compression: slackwater_loaders::Compression) -> Vec<u8> {
    let mut encoder = slackwater_loaders::codec::Encoder::new(vec![], compression).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub fn lz4(bytes: &[u8]) -> Vec<u8> {
    packed(bytes, slackwater_loaders::Compression::Lz4)
}

pub fn snappy(bytes: &[u8]) -> Vec<u8> {
    packed(bytes, slackwater_loaders::Compression::Snappy)
}
