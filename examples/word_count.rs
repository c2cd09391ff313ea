//! Word count: the ten most frequent words of a text.
//!
//! `cargo run --release --example word_count [FILE]`; in two processes:
//! `slackwater cluster run -n 2 --program target/release/examples/word_count`.

use slackwater::prelude::*;
use slackwater_examples::input;

const TEXT: &str = "\
It is a truth universally acknowledged, that a single man in possession of a good fortune, must be in want of a wife.
However little known the feelings or views of such a man may be on his first entering a neighbourhood, this truth is
so well fixed in the minds of the surrounding families, that he is considered the rightful property of some one or
other of their daughters.
";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = input("words.txt", || TEXT.repeat(100))?;
    let cx = Context::from_env()?;
    let lines = cx.read_text(&path)?;

    // As one would write it first.
    let counts = lines
        .flat_map(|line| line.split_whitespace().map(|word| word.to_lowercase()).collect::<Vec<_>>())
        .map(|word| (word, 1u64))
        .reduce_by_key(|a, b| *a += b);

    // The same, lending words instead of allocating them.
    let faster = lines.reduce_by_borrowed_key(
        8,
        |line, out| line.split_whitespace().for_each(|word| out.emit(&word.to_lowercase(), 1u64)),
        |a, b| *a += b,
    );

    let top = counts.map(|(word, n)| (n, word)).top(10)?;
    assert_eq!(top, faster.map(|(word, n)| (n, word)).top(10)?);
    cx.on_driver(|| top.iter().for_each(|(n, word)| println!("{n:6} {word}")));
    Ok(())
}
