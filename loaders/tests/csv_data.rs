//! Real tables, if there are any: `SLACKWATER_DATA` names a folder of public data sets. Without it these tests say that
//! they are skipped.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;
use arrow_select::concat::concat_batches;
use slackwater_loaders::format::csv::{CsvOptions, CsvTable, CsvWriteOptions, CsvWriter};
use slackwater_loaders::format::text::read_whole;
use slackwater_loaders::split::hadoop_splits;
use slackwater_loaders::table::{BatchWriter, Scan, TableSource};
use slackwater_loaders::{InputFile, Split};
use std::path::PathBuf;

fn data() -> Option<PathBuf> {
    let folder = std::env::var_os("SLACKWATER_DATA").map(PathBuf::from);
    if folder.is_none() {
        eprintln!("skipped: SLACKWATER_DATA does not name a folder of data sets");
    }
    folder
}

/// File, rows, columns, how many of them are boolean, integer, float, text, date or time, missing values, and the sum of
/// all numbers: as pandas reads them when it is told the same (integers that need 64 bits without a sign are floats here, and what has no value at all is text).
const SETS: &[(&str, usize, usize, [usize; 5], usize, f64)] = &[
    ("nycflights13/airlines.csv", 16, 2, [0, 0, 0, 2, 0], 0, 0.0),
    ("nycflights13/airports.csv.gz", 1458, 8, [0, 2, 2, 4, 0], 3, 1360536.838035672),
    ("nycflights13/planes.csv.gz", 3322, 9, [0, 4, 0, 5, 0], 3369, 7030287.0),
    ("nycflights13/weather.csv.gz", 26115, 15, [0, 5, 8, 1, 1], 23974, 87188844.18676002),
    ("nycflights13/flights.csv.gz", 336776, 19, [0, 14, 0, 4, 1], 46595, 3674857455.0),
    ("california_housing/cal_housing.data.gz", 20640, 9, [0, 0, 9, 0, 0], 0, 4373679297.5695),
    ("california_housing/housing.csv.gz", 20640, 10, [0, 0, 9, 1, 0], 207, 4373567391.5695),
    ("islp/College.csv", 777, 18, [0, 16, 1, 1, 0], 0, 28781654.7),
    ("islp/Hitters.csv", 322, 20, [0, 16, 1, 3, 0], 59, 1888325.507),
    ("mlbench/BostonHousing.csv", 506, 14, [0, 1, 13, 0, 0], 0, 472348.15522),
    ("mlbench/Glass.csv", 214, 10, [0, 1, 9, 0, 0], 0, 22293.030199999997),
    ("mlbench/Ionosphere.csv.gz", 351, 35, [0, 2, 32, 1, 0], 0, 2956.015969999999),
    ("mlbench/Sonar.csv.gz", 208, 61, [0, 0, 60, 1, 0], 0, 3510.8897000000006),
    ("mlbench/Vowel.csv", 990, 11, [0, 1, 9, 1, 0], 0, 4045.568),
    ("pmlb/225_puma8NH.tsv.gz", 8192, 9, [0, 0, 9, 0, 0], 0, 9693.6293292804),
    ("pmlb/344_mv.tsv.gz", 40768, 11, [0, 0, 11, 0, 0], 0, 55597994.08974352),
    ("pmlb/537_houses.tsv.gz", 20640, 9, [0, 0, 9, 0, 0], 0, 4373679297.569619),
    ("pmlb/574_house_16H.tsv.gz", 22784, 17, [0, 0, 17, 0, 0], 0, 1318911175.1368752),
    ("pmlb/adult.tsv.gz", 48842, 15, [0, 9, 6, 0, 0], 0, 9328162330.0),
    ("pmlb/mfeat_factors.tsv.gz", 2000, 217, [0, 1, 216, 0, 0], 0, 137503808.0),
    ("prostate_esl/prostate.csv", 97, 10, [1, 4, 5, 0, 0], 0, 9951.697927101748),
    ("spambase/spambase.csv.gz", 4601, 58, [0, 2, 55, 1, 0], 0, 1613082.538),
    ("sklearn_bundled/breast_cancer.csv", 569, 31, [0, 1, 30, 0, 0], 0, 1056831.4596356002),
    ("sklearn_bundled/diabetes_data_raw.csv.gz", 442, 10, [0, 4, 6, 0, 0], 0, 276404.2336),
    ("sklearn_bundled/diabetes_target.csv.gz", 442, 1, [0, 0, 1, 0, 0], 0, 67243.0),
    ("sklearn_bundled/digits.csv.gz", 1797, 65, [0, 65, 0, 0, 0], 0, 569788.0),
    ("sklearn_bundled/iris.csv", 150, 5, [0, 1, 4, 0, 0], 0, 2228.7),
    ("sklearn_bundled/linnerud_exercise.csv", 20, 3, [0, 3, 0, 0, 0], 0, 4506.0),
    ("sklearn_bundled/linnerud_physiological.csv", 20, 3, [0, 3, 0, 0, 0], 0, 5402.0),
    ("sklearn_bundled/wine_data.csv", 178, 14, [0, 3, 11, 0, 0], 0, 160142.295999),
    ("covtype_20k/covtype.20k.data.gz", 20000, 55, [0, 55, 0, 0, 0], 0, 165624483.0),
    ("kdd99/kddcup.data_10_percent.gz", 494021, 42, [0, 23, 15, 4, 0], 0, 2466072518.5400004),
    ("riboflavin/riboflavin.csv.gz", 71, 4089, [0, 0, 4089, 0, 0], 0, 2225425.519164503),
    ("alon_colon/alon_colon.csv.gz", 62, 2001, [0, 1, 2000, 0, 0], 0, 50069664.28999996),
    ("golub_leukemia/golub_leukemia.csv.gz", 72, 7130, [0, 7130, 0, 0, 0], 0, 318125072.0),
    ("wheat_cimmyt/wheat.csv.gz", 599, 1283, [0, 1279, 4, 0, 0], 0, 429532.99999999464),
    ("bardet_gglasso/bardet_gglasso.csv.gz", 120, 101, [0, 0, 101, 0, 0], 0, 3345.982810232529),
    ("birthwt_grpreg/birthwt.csv", 189, 18, [0, 11, 7, 0, 0], 0, 970.5269999995511),
    ("birthwt_grpreg/groups.csv", 16, 2, [0, 0, 0, 2, 0], 0, 0.0),
    ("ml-latest-small/movies.csv.gz", 9742, 3, [0, 1, 0, 2, 0], 0, 411115845.0),
    ("ml-latest-small/ratings.csv.gz", 100836, 4, [0, 3, 1, 0, 0], 0, 121604772681848.0),
    ("jester1/ratings.tsv.gz", 1810455, 3, [0, 2, 1, 0, 0], 0, 22748085496.74),
    ("webgraph_cnr-2000/cnr-2000.edges.tsv.gz", 3216152, 2, [0, 2, 0, 0, 0], 0, 1126426468713.0),
    ("sampson_monks/SAMPIN.csv", 18, 19, [0, 18, 0, 1, 0], 0, 106.0),
    ("arrow-testing/data/csv/aggregate_test_100.csv", 100, 13, [0, 8, 3, 2, 0], 0, 9.080839069205813e+20),
    (
        "arrow-testing/data/csv/aggregate_test_100_with_dates.csv",
        100,
        15,
        [0, 8, 3, 2, 2],
        0,
        9.080839069205813e+20,
    ),
    (
        "parquet-testing/data/delta_binary_packed_expect.csv",
        200,
        66,
        [0, 66, 0, 0, 0],
        0,
        2.397019722926815e+21,
    ),
    ("parquet-testing/data/delta_byte_array_expect.csv", 1000, 9, [0, 1, 0, 8, 0], 1202, 2391149714.0),
    (
        "parquet-testing/data/delta_encoding_optional_column_expect.csv",
        100,
        17,
        [0, 10, 0, 7, 0],
        37,
        817744009.0,
    ),
    (
        "parquet-testing/data/delta_encoding_required_column_expect.csv",
        100,
        17,
        [0, 10, 0, 7, 0],
        0,
        833869172.0,
    ),
];

fn options_for(name: &str) -> CsvOptions {
    let default = CsvOptions::default();
    match name {
        // scikit-learn's own first lines: rows, columns and names of classes.
        "sklearn_bundled/iris.csv"
        | "sklearn_bundled/wine_data.csv"
        | "sklearn_bundled/breast_cancer.csv" => CsvOptions { skip_lines: 1, ..default },
        n if n.contains("linnerud") || n.contains("diabetes_data_raw") => {
            CsvOptions { delimiter: Some(b' '), ..default }
        }
        n if n.contains("cnr-2000") => CsvOptions { comment: Some(b'#'), ..default },
        _ => default,
    }
}

fn batches(table: &CsvTable) -> Vec<RecordBatch> {
    let mut batches = vec![];
    for piece in 0..table.pieces() {
        let mut reader = table.open(piece, &Scan::default()).unwrap();
        while let Some(batch) = reader.next_batch(&mut |bad| panic!("{bad}")).unwrap() {
            batches.push(batch);
        }
    }
    batches
}

fn sum_of(column: &dyn Array) -> f64 {
    match column.data_type() {
        DataType::Int64 => column.as_primitive::<Int64Type>().iter().flatten().map(|x| x as f64).sum(),
        DataType::Float64 => column.as_primitive::<Float64Type>().iter().flatten().sum(),
        _ => 0.0,
    }
}

#[test]
fn real_tables_have_their_counts() {
    let Some(data) = data() else { return };
    for &(name, rows, columns, kinds, nulls, sum) in SETS {
        let Ok(file) = InputFile::from_path(data.join(name)) else {
            eprintln!("skipped: {name} is not there");
            continue;
        };
        let table = CsvTable::of_files(&[file], 4, &options_for(name)).unwrap();
        let mut found = [0; 5];
        for field in table.schema().fields() {
            found[match field.data_type() {
                DataType::Boolean => 0,
                DataType::Int64 => 1,
                DataType::Float64 => 2,
                DataType::Utf8 => 3,
                _ => 4,
            }] += 1;
        }
        let batches = batches(&table);
        let count = batches.iter().map(RecordBatch::num_rows).sum::<usize>();
        let missing: usize = batches.iter().flat_map(|b| b.columns()).map(|c| c.null_count()).sum();
        assert_eq!(
            (count, table.schema().fields().len(), found, missing),
            (rows, columns, kinds, nulls),
            "{name}"
        );
        let total: f64 = batches.iter().flat_map(|b| b.columns()).map(|c| sum_of(c)).sum();
        assert!((total - sum).abs() <= 1e-9 * sum.abs(), "{name}: {total} instead of {sum}");
    }
}

/// Files of a few megabytes, whole, in many pieces, and written and read again.
#[test]
fn real_tables_survive_division_and_rewriting() {
    const BYTES_MAX: usize = 6 << 20;
    let Some(data) = data() else { return };
    for (name, ..) in SETS {
        let Ok(packed) = InputFile::from_path(data.join(name)) else { continue };
        let text = read_whole(&packed, 1 << 30, Default::default()).unwrap();
        if text.len() > BYTES_MAX {
            continue;
        }
        let options = options_for(name);
        let rows = |table: &CsvTable| concat_batches(table.schema(), &batches(table)).unwrap();
        // The name says that a file has tabs.
        let plain = InputFile::from_bytes(name.trim_end_matches(".gz"), text);
        let whole = rows(&CsvTable::open(vec![Split::whole(plain.clone())], &options).unwrap());
        for splits in [
            hadoop_splits(std::slice::from_ref(&plain), 13),
            hadoop_splits(std::slice::from_ref(&plain), 1000),
        ] {
            assert!(rows(&CsvTable::open(splits, &options).unwrap()) == whole, "{name}");
        }
        for delimiter in [b',', b'\t'] {
            let mut written = vec![];
            let write = CsvWriteOptions { delimiter, header: true };
            let mut writer = Box::new(CsvWriter::new("out", &mut written, &whole.schema(), &write).unwrap());
            writer.write(&whole).unwrap();
            writer.finish().unwrap();
            let file = InputFile::from_bytes("out", written);
            let options = CsvOptions { delimiter: Some(delimiter), header: Some(true), ..Default::default() };
            let again = CsvTable::of_files(&[file], 1, &options).unwrap();
            assert!(rows(&again) == whole, "{name} written with {delimiter}");
        }
    }
}

#[test]
fn files_that_are_no_tables_are_refused_in_order() {
    let Some(data) = data() else { return };
    let folder = data.join("arrow-testing/data/csv/fuzzing");
    let mut count = 0;
    for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
        for header in [None, Some(true), Some(false)] {
            let file = InputFile::from_path(entry.path()).unwrap();
            let options = CsvOptions { header, ..Default::default() };
            count += 1;
            let Ok(table) = CsvTable::of_files(&[file], 8, &options) else { continue };
            for piece in 0..table.pieces() {
                let Ok(mut reader) = table.open(piece, &Scan::default()) else { continue };
                while let Ok(Some(_)) = reader.next_batch(&mut |_| Ok(())) {}
            }
        }
    }
    // A panic is what this looks for.
    assert!(count >= 3 || !folder.exists(), "{} has files", folder.display());
}
