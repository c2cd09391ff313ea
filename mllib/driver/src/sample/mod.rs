//! A small data set that comes with the program, so that everything can be tried without one.
//!
//! 200 rows of two classes in LIBSVM text: eleven columns of which four are noise, labels drawn from a logistic model of
//! the others, so that no model is perfect. The test below makes it, from a seed.

use slackwater_loaders::InputFile;

/// What messages call it.
const NAME: &str = "<sample>";

/// The sample as a file.
pub fn file() -> InputFile {
    InputFile::from_program(NAME, include_bytes!("sample.svm"))
}

#[cfg(test)]
mod tests {
    use slackwater_dataflow::rng;
    use std::fmt::Write;

    const ROWS: usize = 200;
    const SEED: u64 = 20_240_229;
    /// True weights; columns of weight 0 are noise.
    const WEIGHTS: [f64; 11] = [1.5, -2.0, 0.0, 1.0, -1.0, 0.0, 2.5, 0.0, -1.5, 0.5, 0.0];
    /// Every third column is sparse: filled in one row of two.
    const SPARSE: usize = 3;

    fn generate() -> String {
        let mut stream = rng::stream(SEED, 0);
        let mut text = String::from("# 200 made-up rows: see mod.rs beside this file\n");
        for _ in 0..ROWS {
            let mut row = String::new();
            let mut z = 0.0;
            for (j, w) in WEIGHTS.iter().enumerate() {
                let (x, filled) = (rng::normal(&mut stream), rng::unit_f64(&mut stream) < 0.5);
                if j % SPARSE == 0 && !filled {
                    continue;
                }
                let x = (x * 1000.0).round() / 1000.0;
                z += w * x;
                write!(row, " {}:{x}", j + 1).unwrap();
            }
            let positive = rng::unit_f64(&mut stream) < 1.0 / (1.0 + (-z).exp());
            writeln!(text, "{}{row}", if positive { "+1" } else { "-1" }).unwrap();
        }
        text
    }

    /// With SLACKWATER_WRITE_SAMPLE the file is written again.
    #[test]
    fn the_file_is_what_the_generator_makes() {
        if std::env::var_os("SLACKWATER_WRITE_SAMPLE").is_some() {
            let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/sample/sample.svm");
            std::fs::write(path, generate()).unwrap();
        }
        assert!(generate() == include_str!("sample.svm"), "the file is not what the generator makes");
    }
}
