//! Files of each kind, what is refused, and that pieces are the whole.

use super::super::testing::{cut, file, read_table};
use super::*;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type, TimestampMillisecondType};
use proptest::prelude::*;

fn open(text: &str) -> Result<ArffTable> {
    ArffTable::open(&[file(text)], ReadLimits::default(), 1)
}

/// Rows as text, and what was bad.
fn read(table: &ArffTable) -> (Vec<String>, Vec<String>) {
    let (batches, bad) = read_table(table, &Scan::default()).unwrap();
    let mut rows = vec![];
    for batch in batches {
        for i in 0..batch.num_rows() {
            let cells = batch.columns().iter().map(|column| {
                if column.is_null(i) {
                    return "?".to_string();
                }
                match column.data_type() {
                    DataType::Float64 => column.as_primitive::<Float64Type>().value(i).to_string(),
                    DataType::Utf8 => format!("{:?}", column.as_string::<i32>().value(i)),
                    DataType::Timestamp(..) => {
                        column.as_primitive::<TimestampMillisecondType>().value(i).to_string()
                    }
                    _ => {
                        let names = column.as_dictionary::<Int32Type>();
                        let number = names.keys().value(i);
                        format!("{number}:{}", names.values().as_string::<i32>().value(number as usize))
                    }
                }
            });
            rows.push(cells.collect::<Vec<_>>().join(" "));
        }
    }
    (rows, bad)
}

const HEAD: &str = "% a comment\n@RELATION 'a set'\n\n@attribute x NUMERIC\n@attribute 'the color' {red, 'dark green','it\\'s'}\n\
                    @ATTRIBUTE name string % about\n@attribute t DATE \"yyyy-MM-dd\"\n@attribute y integer\n@data\n";

#[test]
fn rows_of_every_type() {
    let text = format!(
        "{HEAD}1.5,red,bob,1970-01-02,7\n% none\n\n?, 'dark green' ,\"a, b\\n\",?,-1e3\r\n{{0 2,2 z,3 1970-01-01}}\n{{1 'it\\'s',2 '?', 3 ?}}"
    );
    let table = open(&text).unwrap();
    let names: Vec<_> = table.schema().fields().iter().map(|f| f.name().as_str()).collect();
    assert_eq!(names, ["x", "the color", "name", "t", "y"]);
    let (rows, bad) = read(&table);
    assert_eq!(bad, [""; 0]);
    assert_eq!(
        rows,
        [
            "1.5 0:red \"bob\" 86400000 7",
            "? 1:dark green \"a, b\\n\" ? -1000",
            "2 0:red \"z\" 0 0",
            "0 2:it's \"?\" ? 0",
        ]
    );
}

#[test]
fn weights_are_a_column() {
    let head = "@relation r\n@attribute a real\n@attribute b{x,y}\n@data\n";
    let (rows, bad) = read(&open(&format!("{head}1,x,{{2.5}}\n2,y\n{{0 3}}, {{0}}\n1 x\n1\ty\n")).unwrap());
    assert_eq!(bad, [""; 0]);
    assert_eq!(rows, ["1 0:x 2.5", "2 1:y 1", "3 0:x 0", "1 0:x 1", "1 1:y 1"]);
    let (_, bad) = read(&open(&format!("{head}2,y\n1,x,{{2.5}}\n")).unwrap());
    assert!(bad[0].starts_with("t:6:1: the row has a weight, and the first row has none"), "{bad:?}");
    assert!(open("@relation r\n@attribute weight real\n@data\n1,{2}\n").is_err());
    let one = "@relation r\n@attribute s string\n@data\nsome words\n";
    assert_eq!(read(&open(one).unwrap()).0, ["\"some words\""]);
}

#[test]
fn heads_that_make_no_sense() {
    for (text, part) in [
        ("", "t: the file ends before its data"),
        ("@relation x\n@data\n", "t: the file has no attributes"),
        ("1,2,3\n", "t:1:1: the line is no part of the head"),
        ("@attribute a what\n@data\n", "t:1:14: no such type"),
        ("@attribute a relational\n@data\n", "t:1:14: no such type"),
        ("@attribute a real real\n@data\n", "t:1:19: the line has something after its type"),
        ("@attribute 'a real\n@data\n", "t:1:12: the quotation mark has no end"),
        ("@attribute a {x,y\n@data\n", "t:1:18: the list of names has no end"),
        ("@attribute a {x,x}\n@data\n", "t:1:17: the name is there twice"),
        ("@attribute a real\n@attribute a real\n@data\n", "t:2:1: there are two attributes `a`"),
        ("@attribute a date 'yy'\n@data\n", "t:1:19: this format of dates is not one that is read"),
        ("@attribute\n@data\n", "t:1:11: the attribute has no name"),
        ("@attribute a\n@data\n", "t:1:13: no such type"),
    ] {
        let e = open(text).map(|_| ()).expect_err(text).to_string();
        assert!(e.starts_with(part), "{text}: {e}");
    }
    let files = [file("@attribute a real\n@data\n"), file("@attribute b real\n@data\n")];
    assert!(ArffTable::open(&files, ReadLimits::default(), 1).is_err());
}

#[test]
fn rows_that_are_bad() {
    for (line, part) in [
        ("1,red,bob,1970-01-02", "t:10:21: the row has 4 values, and there are 5 attributes"),
        ("1,red,bob,1970-01-02,7,8", "t:10:23: the row has more values than there are attributes"),
        ("1,blue,bob,1970-01-02,7", "t:10:3: the value of `the color` is not one of its names"),
        ("x,red,bob,1970-01-02,7", "t:10:1: the value is not a number"),
        ("nan,red,bob,1970-01-02,7", "t:10:1: the value is NaN"),
        ("1,,bob,1970-01-02,7", "t:10:3: the value of `the color` is missing"),
        ("1,red,bob,1970-02-30,7", "t:10:11: the value of `t` is not a date of its format"),
        ("1,red,'bob,1970-02-03,7", "t:10:7: the quotation mark has no end"),
        ("1,red,'b'x,1970-02-03,7", "t:10:10: something follows a quotation mark"),
        ("{5 1}", "t:10:2: there is no attribute 5: there are 5"),
        ("{1 red, 0 1}", "t:10:9: the numbers of attributes do not ascend"),
        ("{x 1}", "t:10:2: the number of the attribute is not a whole number"),
        ("{0 1}", "t:10:5: the sparse row has no value of `name`"),
        ("{0 1", "t:10:5: the sparse row has no end"),
        ("1,red,bob,1970-01-02,7,{-1}", "t:10:23: the weight is negative"),
    ] {
        let (rows, bad) = read(&open(&format!("{HEAD}{line}\n")).unwrap());
        assert!(rows.is_empty() && bad.len() == 1 && bad[0].starts_with(part), "{line}: {bad:?}");
    }
    let table = ArffTable::open(
        &[file([HEAD.as_bytes(), b"1,red,b\xff,1970-01-02,7"].concat())],
        ReadLimits::default(),
        1,
    );
    assert!(read(&table.unwrap()).1[0].starts_with("t:10:8: byte 0xff is not UTF-8"));
}

#[test]
fn only_what_is_asked_for_is_there() {
    let table = open(&format!("{HEAD}1,red,bob,?,7\n")).unwrap();
    let (batches, _) = read_table(&table, &Scan { columns: Some(vec![4, 0]), ..Scan::default() }).unwrap();
    assert_eq!(batches[0].column(0).as_primitive::<Float64Type>().values(), &[7.0]);
    assert_eq!(
        (batches[0].num_columns(), batches[0].column(1).as_primitive::<Float64Type>().value(0)),
        (2, 1.0)
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn pieces_are_the_whole(
        lines in proptest::collection::vec("([0-9?],(red|'dark green'|blue),[a-z']{1,3},(\\?|1970-01-01),[0-9]|\\{2 a,3 \\?(,4 7)?\\}|%|)", 0..12),
        cuts: [prop::sample::Index; 4],
    ) {
        let text = HEAD.to_string() + &lines.join("\n");
        let mut pieces = open(&text).unwrap();
        let head = pieces.splits[0].1;
        pieces.splits = cut(&file(text.as_str()), &cuts).into_iter().map(|s| (s, head)).collect();
        prop_assert_eq!(read(&pieces), read(&open(&text).unwrap()));
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(
        head in prop_oneof![Just(HEAD.to_string()), "(@attribute [a-c'{} ]{0,9}(real|date|\\{[a-c,'\\\\]{0,6}\\}?)?\n){1,3}@data\n"],
        bytes in proptest::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(b"{},'\"\\ ?1a\n%".to_vec())], 0..60),
    ) {
        if let Ok(table) = ArffTable::open(&[file([head.into_bytes(), bytes].concat())], ReadLimits::default(), 1) {
            let _ = read_table(&table, &Scan::default());
        }
    }
}
