//! Values that Spark 4 gave for the same seeds, partitions and rows.

use slackwater_dataflow::Context;

#[test]
fn random_split_chooses_the_rows_that_spark_chooses() {
    let cx = Context::local(2).unwrap();
    let [train, test] = cx.range(0..100, 2).random_split([0.6, 0.4], 11);
    let want = [
        5, 6, 9, 11, 12, 13, 14, 16, 17, 20, 21, 27, 29, 32, 34, 37, 38, 39, 40, 42, 43, 46, 47, 51, 52, 57,
        62, 68, 69, 71, 74, 75, 76, 77, 83, 88, 89, 92, 96,
    ];
    assert_eq!(test.collect().unwrap(), want);
    let rest: Vec<u64> = (0..100).filter(|x| !want.contains(x)).collect();
    assert_eq!(train.collect().unwrap(), rest);
    let [_, second, third] = cx.range(0..50, 3).random_split([0.5, 0.3, 0.2], 7);
    assert_eq!(second.collect().unwrap(), [2, 3, 4, 12, 17, 20, 22, 25, 30, 32, 33, 38, 39, 40, 46, 48]);
    assert_eq!(third.collect().unwrap(), [5, 7, 9, 10, 14, 27, 37, 43, 44]);
}

#[test]
fn sample_chooses_the_rows_that_spark_chooses() {
    let cx = Context::local(2).unwrap();
    let sample = cx.range(0..1000, 4).sample(false, 0.05, 3).collect().unwrap();
    let want = [
        64, 78, 108, 111, 119, 165, 192, 207, 218, 230, 237, 239, 268, 306, 315, 382, 416, 431, 434, 437,
        459, 467, 475, 481, 539, 544, 582, 598, 635, 640, 651, 689, 699, 700, 705, 708, 714, 727, 743, 760,
        768, 790, 794, 807, 810, 827, 850, 866, 881, 887, 934, 942, 952, 956, 971, 975, 985,
    ];
    assert_eq!(sample, want);
}
