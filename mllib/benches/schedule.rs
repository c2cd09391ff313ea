//! Scheduled coordinate descent: sets of weights chosen at random, and without those that correlate (SAP).
//!
//! ```text
//! cargo bench -p slackwater-mllib --bench schedule -- [CASE..] [--workers N] [--seconds S] [--rounds N] [--at N]
//! ```
//!
//! Cases: `correlated` (500 x 1000, 20 groups of columns with correlation 0.9), `wide` (500 x 4000, 80 groups), `weak` (500 x
//! 1000, no column correlates with another but by chance), `sparse` (the same, of which 8 % are not zero). For every case and 8, 32
//! and 128 weights at a time: steps, updates and seconds until the objective is within 1e-6 of its least value, which working sets
//! find before; or how far it is from it at the end. Seconds are the median of the rounds, which take turns. `PLOT=FILE.svg` draws
//! the case `correlated`.

use slackwater_dataflow::Context;
use slackwater_mllib::generate::Regression;
use slackwater_mllib::optimization::silent;
use slackwater_mllib::regression::lasso::{Chooser, Design, LassoParams, Penalties, ScheduleParams};
use std::fmt::Write;
use std::ops::ControlFlow;

/// How near to the least objective is near enough, relative to it.
const NEAR: f64 = 1e-6;
const PARALLELISM: [usize; 3] = [8, 32, 128];

/// A run: (steps, seconds, distance from the least objective, relative), and whether it came near.
struct Course {
    chooser: Chooser,
    parallelism: usize,
    points: Vec<(u64, f64, f64)>,
    updates: u64,
    certificate: f64,
    is_near: bool,
}

fn generated(case: &str) -> Regression {
    let (columns, groups, density) = match case {
        "correlated" => (1000, 20, 1.0),
        "wide" => (4000, 80, 1.0),
        "weak" => (1000, 0, 1.0),
        "sparse" => (1000, 0, 0.08),
        _ => panic!("there is no case {case}"),
    };
    let correlation = if groups > 0 { 0.9 } else { 0.0 };
    Regression { rows: 500, columns, informative: columns / 50, noise: 0.3, groups, correlation, density }
}

fn course(
    cx: &Context,
    design: &Design,
    params: &LassoParams,
    schedule: &ScheduleParams,
    best: f64,
    seconds: f64,
) -> Course {
    let start = std::time::Instant::now();
    let mut is_near = false;
    let mut look = |progress: &slackwater_mllib::optimization::Progress<'_>| {
        is_near = progress.objective <= best * (1.0 + NEAR);
        let has_gone_wrong = progress.objective > 1e6 * best;
        match is_near || has_gone_wrong || start.elapsed().as_secs_f64() > seconds {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    };
    let (chooser, parallelism) = (schedule.chooser, schedule.parallelism);
    match params.train_scheduled(cx, design, schedule, &mut look) {
        Ok(fit) => {
            let fit = fit.scheduled.expect("it was scheduled");
            let points = fit.trace.iter().map(|t| (t.step, t.seconds, t.objective / best - 1.0)).collect();
            Course {
                chooser,
                parallelism,
                points,
                updates: fit.updates,
                certificate: fit.certificate,
                is_near,
            }
        }
        // Not a number any more.
        Err(_) => {
            Course { chooser, parallelism, points: vec![], updates: 0, certificate: f64::NAN, is_near: false }
        }
    }
}

fn main() {
    let mut words = std::env::args().skip(1).filter(|a| a != "--bench").peekable();
    let (mut cases, mut workers, mut seconds, mut rounds) = (vec![], 2, 20.0, 1);
    let mut degrees = PARALLELISM.to_vec();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--workers" => workers = words.next().and_then(|n| n.parse().ok()).expect("a number of workers"),
            "--seconds" => seconds = words.next().and_then(|n| n.parse().ok()).expect("seconds"),
            "--rounds" => rounds = words.next().and_then(|n| n.parse().ok()).expect("a number of rounds"),
            "--at" => degrees = vec![words.next().and_then(|n| n.parse().ok()).expect("weights at a time")],
            _ => cases.push(word),
        }
    }
    if cases.is_empty() {
        cases = ["correlated", "wide", "weak", "sparse"].map(String::from).to_vec();
    }
    let cx = Context::local(workers).expect("a local context starts");
    for case in cases {
        let rows = generated(&case).dataset(&cx, 4, 1).cache();
        let params = LassoParams { penalties: Penalties::Ratio(0.1), tolerance: 1e-9, ..Default::default() };
        let blocks = slackwater_mllib::objective::DatasetRows::from(&rows);
        let design = Design::from_rows(&blocks, params.scaling()).expect("the rows are sound");
        let exact = LassoParams { tolerance: 1e-13, ..params.clone() };
        let best = exact.train_design(&design, &mut silent).expect("the problem is sound").path[0].objective;
        println!("{case}: least objective {best:.10}, {workers} workers");
        let mut courses = vec![];
        for parallelism in degrees.iter().copied() {
            let choosers = [Chooser::Random, Chooser::Sap];
            let mut all: [Vec<Course>; 2] = [vec![], vec![]];
            for _ in 0..rounds {
                for (all, chooser) in all.iter_mut().zip(choosers) {
                    let schedule = ScheduleParams {
                        chooser,
                        parallelism,
                        every: 25,
                        steps_max: 10_000_000,
                        ..Default::default()
                    };
                    all.push(course(&cx, &design, &params, &schedule, best, seconds));
                }
            }
            for (mut all, chooser) in all.into_iter().zip(choosers) {
                let end = |c: &Course| c.points.last().copied().unwrap_or((0, f64::NAN, f64::NAN));
                all.sort_by(|a, b| end(a).1.total_cmp(&end(b).1));
                let course = all.swap_remove(all.len() / 2);
                let (steps, time, far) = end(&course);
                let end = match course.is_near {
                    true => "within 1e-6".to_string(),
                    false => format!("off by {far:.1e}"),
                };
                println!(
                    "  {parallelism:3} {:7} {steps:8} steps {:9} updates {time:8.4} s  {end}; certificate {:.2}",
                    format!("{chooser:?}").to_lowercase(),
                    course.updates,
                    course.certificate
                );
                courses.push(course);
            }
        }
        if let (Ok(file), true) = (std::env::var("PLOT"), case == "correlated") {
            std::fs::write(&file, plot(&courses)).expect("the plot can be written");
        }
    }
}

/// Distance from the least objective by steps and by seconds, both as logarithms.
fn plot(courses: &[Course]) -> String {
    let [width, height, margin, top] = [380.0, 260.0, 60.0, 40.0];
    let colours = ["#1f77b4", "#2ca02c", "#d62728"];
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{}\" height=\"{}\" font-family=\"sans-serif\" font-size=\"12\">\n",
        2.0 * (width + margin) + 130.0,
        height + top + 50.0
    );
    let _ = writeln!(svg, "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>");
    let (low, high) = (-6.5, 4.0);
    for (k, name) in ["steps", "seconds"].into_iter().enumerate() {
        let x_of = |p: &(u64, f64, f64)| if k == 0 { p.0 as f64 } else { p.1 };
        let all = || courses.iter().flat_map(|c| &c.points).map(x_of).filter(|x| *x > 0.0).map(f64::log10);
        let (from, to) = (all().fold(f64::MAX, f64::min), all().fold(f64::MIN, f64::max));
        let left = margin + k as f64 * (width + margin);
        let px = |x: f64| left + (x.log10() - from) / (to - from).max(1e-9) * width;
        let py = |y: f64| top + (high - y.max(1e-9).log10().clamp(low, high)) / (high - low) * height;
        let _ = writeln!(
            svg,
            "<rect x=\"{left}\" y=\"{top}\" width=\"{width}\" height=\"{height}\" fill=\"none\" stroke=\"#888\"/>\n<text x=\"{}\" y=\"{}\" \
             text-anchor=\"middle\">{name}</text>",
            left + width / 2.0,
            top + height + 36.0
        );
        for power in -6..=4 {
            let y = py(10f64.powi(power));
            let _ = writeln!(
                svg,
                "<line x1=\"{left}\" x2=\"{}\" y1=\"{y}\" y2=\"{y}\" stroke=\"#eee\"/><text x=\"{}\" y=\"{}\" \
                 text-anchor=\"end\">1e{power}</text>",
                left + width,
                left - 5.0,
                y + 4.0
            );
        }
        for power in from.ceil() as i32..=to.floor() as i32 {
            let x = px(10f64.powi(power));
            let _ = writeln!(
                svg,
                "<line x1=\"{x}\" x2=\"{x}\" y1=\"{top}\" y2=\"{}\" stroke=\"#eee\"/><text x=\"{x}\" y=\"{}\" \
                 text-anchor=\"middle\">1e{power}</text>",
                top + height,
                top + height + 18.0
            );
        }
        for (i, course) in courses.iter().enumerate() {
            let dash = if course.chooser == Chooser::Random { "5,4" } else { "none" };
            let points: Vec<String> =
                course.points.iter().map(|p| format!("{:.1},{:.1}", px(x_of(p)), py(p.2))).collect();
            let _ = writeln!(
                svg,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"1.8\" stroke-dasharray=\"{dash}\"/>",
                points.join(" "),
                colours[i / 2]
            );
        }
    }
    for (i, course) in courses.iter().enumerate() {
        let (x, y) = (2.0 * (width + margin) + 10.0, top + 14.0 + 20.0 * i as f64);
        let dash = if course.chooser == Chooser::Random { "5,4" } else { "none" };
        let _ = writeln!(
            svg,
            "<line x1=\"{x}\" x2=\"{}\" y1=\"{}\" y2=\"{}\" stroke=\"{}\" stroke-width=\"1.8\" stroke-dasharray=\"{dash}\"/><text \
             x=\"{}\" y=\"{y}\">{} {}</text>",
            x + 26.0,
            y - 4.0,
            y - 4.0,
            colours[i / 2],
            x + 32.0,
            if course.chooser == Chooser::Random { "random" } else { "SAP" },
            course.parallelism
        );
    }
    let _ = writeln!(
        svg,
        "<text x=\"{margin}\" y=\"22\" font-size=\"14\">Lasso, 500 x 1000, 20 groups of columns with correlation 0.9: objective above its \
         least value, relative to it</text>\n</svg>"
    );
    svg
}
