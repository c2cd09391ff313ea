//! Progress on standard error, from the engine's events: rows read and their rate, iterations and the objective.

use crate::args::ProgressWhen;
use crate::output::figure;
use indicatif::{ProgressBar, ProgressStyle};
use slackwater_dataflow::Context;
use slackwater_dataflow::event::{Event, Stamped, Subscription};
use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// A line is printed, or a bar drawn again, no more often than this.
const LINE_EVERY: Duration = Duration::from_secs(1);
const DRAW_EVERY: Duration = Duration::from_millis(100);

/// Progress that is shown until it is dropped.
pub struct Shown {
    _subscription: Subscription,
    bar: Option<ProgressBar>,
}

impl Shown {
    /// Shows progress if it is wanted.
    pub fn start(cx: &Context, when: ProgressWhen) -> Option<Shown> {
        let terminal = std::io::stderr().is_terminal();
        let bar = match when {
            ProgressWhen::Never => return None,
            ProgressWhen::Auto if !terminal => return None,
            _ => terminal.then(|| {
                let style =
                    ProgressStyle::with_template("{spinner} {elapsed} {msg}").expect("a known template");
                let bar = ProgressBar::new_spinner().with_style(style);
                bar.enable_steady_tick(DRAW_EVERY);
                bar
            }),
        };
        let state = Mutex::new(State::new(bar.clone()));
        let listener = move |event: &Stamped| {
            state.lock().unwrap_or_else(|e| e.into_inner()).see(&event.event);
        };
        Some(Shown { _subscription: cx.events().subscribe(listener), bar })
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

struct State {
    bar: Option<ProgressBar>,
    start: Instant,
    said: Option<Instant>,
    records: u64,
    iteration: String,
}

impl State {
    fn new(bar: Option<ProgressBar>) -> Self {
        State { bar, start: Instant::now(), said: None, records: 0, iteration: String::new() }
    }
    fn see(&mut self, event: &Event) {
        match event {
            Event::TaskEnd { error: None, metrics, .. } => self.records += metrics.records_in,
            Event::Iteration { algorithm, iteration, iterations_max, values } => {
                self.iteration = format!("{algorithm}: iteration {iteration}");
                if *iterations_max > 0 {
                    self.iteration += &format!(" of {iterations_max}");
                }
                if let Some(objective) = values.get("objective") {
                    self.iteration += &format!(", objective {}", figure(*objective));
                }
            }
            _ => return,
        }
        let every = if self.bar.is_some() { DRAW_EVERY } else { LINE_EVERY };
        if self.said.is_some_and(|at| at.elapsed() < every) {
            return;
        }
        self.said = Some(Instant::now());
        let rate = self.records as f64 / self.start.elapsed().as_secs_f64().max(1e-9);
        let text = format!("{} records, {rate:.0}/s  {}", self.records, self.iteration);
        match &self.bar {
            Some(bar) => bar.set_message(text),
            None => eprintln!("{}", text.trim_end()),
        }
    }
}
