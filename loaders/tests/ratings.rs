//! Ratings: what a line may be, where a bad one is, and that the division of a file does not matter.

mod common;

use common::{bzip2, gzip, zstd};
use slackwater_dataflow::block::Rating;
use slackwater_dataflow::{BadRecord, Context};
use slackwater_loaders::format::ratings::RatingsReader;
use slackwater_loaders::split::splits;
use slackwater_loaders::{InputFile, ReadExt, ReadLimits, Split};

fn read(splits: &[Split]) -> (Vec<Rating>, Vec<BadRecord>) {
    let (mut all, mut bad) = (vec![], vec![]);
    for split in splits {
        let mut reader = RatingsReader::open(split, ReadLimits::default()).unwrap();
        while let Some(rating) = reader
            .next_rating(&mut |record| {
                bad.push(record);
                Ok(())
            })
            .unwrap()
        {
            all.push(rating);
        }
    }
    (all, bad)
}

fn read_text(text: impl Into<Vec<u8>>) -> (Vec<Rating>, Vec<BadRecord>) {
    read(&[Split::whole(InputFile::from_bytes("r.csv", text))])
}

fn pairs(text: &str) -> Vec<(u32, u32)> {
    let split = Split::whole(InputFile::from_bytes("r.csv", text));
    let mut reader = RatingsReader::open(&split, ReadLimits::default()).unwrap();
    std::iter::from_fn(|| reader.next_pair(&mut |bad| panic!("{bad}")).unwrap()).collect()
}

#[test]
fn pairs_of_rows() {
    let split = Split::whole(InputFile::from_bytes("r.csv", "i j\n0 7\n3,4\n5\n6\tx\n1 0 9\n"));
    let mut reader = RatingsReader::open(&split, ReadLimits::default()).unwrap();
    let (mut bad, mut pairs) = (vec![], vec![]);
    let mut note = |b: BadRecord| {
        bad.push(b.to_string());
        Ok(())
    };
    while let Some(pair) = reader.next_row_pair(&mut note).unwrap() {
        pairs.push(pair);
    }
    assert_eq!(pairs, [(0, 7), (3, 4), (1, 0)]);
    assert!(bad[0].starts_with("r.csv:4:2: the second row is missing"), "{bad:?}");
    assert!(bad[0].contains("numbers of two rows"), "{bad:?}");
    assert!(bad[1].starts_with("r.csv:5:3: the second row is not a whole number"), "{bad:?}");
}

#[test]
fn lines_of_every_kind() {
    let want = vec![Rating::new(1, 31, 2.5), Rating::new(7, 0, -1.0), Rating::new(2_147_483_647, 5, 4e-3)];
    for text in [
        "userId,movieId,rating,timestamp\n1,31,2.5,1260759144\n7,0,-1,1\n2147483647,5,4e-3,2\n",
        "1\t31\t2.5\t881250949\n7\t0\t-1\n2147483647\t5\t4e-3",
        "1 31 2.5\r\n\r\n  007  0   -1.0\r\n2147483647 5 .004 \r\n",
        "\u{feff}\"user\" , \"item\" , \"rating\"\n1 , 31 , 2.5\n\n7 ,0, -1,,x\n2147483647, 5 ,4E-3,\n",
        "_u i r\n1 31,2.5\n7,0 -1\n\t\n2147483647,5,0.004",
    ] {
        let (got, bad) = read_text(text);
        assert!(got == want && bad.is_empty(), "{text:?}: {got:?} {bad:?}");
        let want: Vec<_> = want.iter().map(|r| (r.user, r.item)).collect();
        assert_eq!(pairs(text), want);
    }
    assert_eq!(pairs("user,item\n1,2\n3\t4\n5 6 x"), [(1, 2), (3, 4), (5, 6)]);
    assert_eq!(read_text("").0, []);
    assert_eq!(read_text("user,item,rating\n").0, []);
}

#[test]
fn bad_lines_have_their_place() {
    for (line, column, message) in [
        ("x,2,3", 1, "the user is not a whole number of at least 0"),
        ("-1,2,3", 1, "the user is not a whole number of at least 0"),
        ("1,2.5,3", 3, "the item is not a whole number of at least 0"),
        ("2147483648 2 3", 1, "the user is larger than 2147483647, the largest there is"),
        ("1 99999999999999999999999999 3", 3, "the item is larger than 2147483647, the largest there is"),
        ("1,2", 4, "the rating is missing"),
        ("1,2,", 5, "the rating is missing"),
        ("1,,3", 3, "the item is missing"),
        (",1,3", 1, "the user is missing"),
        ("1", 2, "the item is missing"),
        ("1 2 good", 5, "the rating is not a number"),
        ("1 2 3x", 5, "the rating is not a number"),
        ("1 2 nan", 5, "the rating is NaN"),
        ("1 2 inf", 5, "the rating is infinite"),
        ("1 2 1e39", 5, "the rating is too large for a 32-bit float"),
        ("1 2\u{a0} 3", 4, "byte 0xc2 is not text"),
    ] {
        // The second line is no header, whatever it begins with.
        let (got, bad) = read_text(format!("5 5 5\n{line}\n6 6 6\n"));
        assert_eq!(got, [Rating::new(5, 5, 5.0), Rating::new(6, 6, 6.0)], "{line}");
        let said = bad[0].to_string();
        assert!(
            bad.len() == 1 && said.starts_with(&format!("r.csv:2:{column}: {message}")),
            "{line}: {said}"
        );
        assert!(said.contains("hint: "), "{said}");
    }
}

#[test]
fn division_and_packing_do_not_matter() {
    let mut text = String::from("user,item,rating\n");
    for i in 0u32..40_000 {
        match i % 997 {
            0 => text += "1,2,oops\n",
            _ => text += &format!("{},{},{}\n", i * 7 % 1013, i % 211, f64::from(i % 10) / 2.0),
        }
    }
    let plain = InputFile::from_bytes("r.csv", text.clone());
    let whole = read(&[Split::whole(plain.clone())]);
    assert_eq!((whole.0.len(), whole.1.len()), (40_000 - 41, 41));
    assert_eq!(whole.1[1].to_string().split(": ").next(), Some("r.csv:999:5"));
    for parts in [2, 3, 8] {
        let parts = splits(std::slice::from_ref(&plain), parts);
        assert!(parts.len() > 1);
        assert!(read(&parts).0 == whole.0);
        let said = |bad: &[BadRecord]| bad.iter().map(BadRecord::to_string).collect::<Vec<_>>();
        assert_eq!(said(&read(&parts).1), said(&whole.1));
    }
    for packed in [gzip(text.as_bytes()), zstd(text.as_bytes()), bzip2(text.as_bytes())] {
        assert!(read_text(packed).0 == whole.0);
    }
}

#[test]
fn datasets_of_ratings() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ratings.csv");
    let cx = Context::local(2).unwrap();
    std::fs::write(&path, "userId,movieId,rating\n1,2,3.5\n4,5,1\n").unwrap();
    let ratings = cx.read_ratings(&path).unwrap();
    assert_eq!(ratings.collect().unwrap(), [Rating::new(1, 2, 3.5), Rating::new(4, 5, 1.0)]);
    std::fs::write(&path, "1,2,3.5\n4,-5,1\n").unwrap();
    let e = cx.read_ratings(&path).unwrap().collect().unwrap_err();
    assert!(e.exit_code() == 3 && e.to_string().contains("ratings.csv:2:3: the item is not"), "{e}");
    std::fs::write(&path, "").unwrap();
    assert!(cx.read_ratings(&path).err().unwrap().to_string().contains("is empty"));
}
