//! `events`: what a run has done, from the file that `--events` wrote.

use crate::args::{EventsArgs, Globals};
use crate::output::{Output, count, figure, table};
use slackwater_dataflow::history::{History, Job, State};
use slackwater_dataflow::{Error, Result};
use std::fs::File;
use std::io::{BufRead, BufReader};

/// Runs `events`.
pub fn run(globals: &Globals, args: &EventsArgs) -> Result<u8> {
    let output = Output { json: globals.json, quiet: globals.quiet, speaks: true };
    let name = args.file.display().to_string();
    let from: Box<dyn BufRead> = match name.as_str() {
        "-" => Box::new(std::io::stdin().lock()),
        _ => Box::new(BufReader::new(File::open(&args.file).map_err(|e| Error::io(&args.file, "read", &e))?)),
    };
    let (history, is_cut) = History::read(&name, from)?;
    if is_cut {
        output.note(&format!("{name}: the last line is not whole, and was left out"));
    }
    if history.unknown > 0 {
        output.note(&format!(
            "{name}: {} of kinds that this version does not know",
            count(history.unknown, "event")
        ));
    }
    if history.events == 0 {
        return Err(Error::input(
            format!("{name}: there are no events"),
            "`--events FILE` of a run writes them",
        ));
    }
    let document = || {
        let mut document = serde_json::to_value(&history).unwrap_or_default();
        document["truncated"] = is_cut.into();
        document
    };
    output.result(document, || text(&history, args.top))?;
    Ok(0)
}

fn seconds(us: u64) -> String {
    format!("{:.3}", us as f64 / 1e6)
}

fn word(state: &State) -> &'static str {
    match state {
        State::InProgress => "in progress",
        State::Ended => "ended",
        State::Failed { .. } => "failed",
    }
}

/// Lines of a heading, each with its word before it.
fn lines(heading: &str, lines: impl IntoIterator<Item = String>) -> String {
    lines.into_iter().map(|line| format!("{heading:11}{line}\n")).collect()
}

fn text(history: &History, top: usize) -> String {
    let name = if history.run.is_empty() { String::new() } else { format!("{}, ", history.run) };
    let how = match &history.state {
        State::InProgress => "in progress: it goes on, or was killed".to_string(),
        State::Ended => "ended well".to_string(),
        State::Failed { error } => format!("failed: {error}"),
    };
    let processes = count(history.processes.max(1) as u64, "process");
    let mut text = lines("run", [format!("{name}{processes}, {} s, {how}", seconds(history.time_us))]);
    if history.writers > 1 {
        text += &lines(
            "written",
            [format!("by {} processes, each in the place of the one before", history.writers)],
        );
    }
    let generations = history.generations.iter().map(|g| {
        let why = if g.why.is_empty() { String::new() } else { format!(": {}", g.why) };
        format!("{} of {}{why}", g.generation, g.processes)
    });
    text += &lines("generation", generations);
    text += &lines("jobs", [jobs(history)]);
    let steps = history.algorithms.iter().map(|(name, steps)| {
        let of =
            if steps.iterations_max > 0 { format!(" of {}", steps.iterations_max) } else { String::new() };
        let values: String =
            steps.values.iter().map(|(name, v)| format!(", {name} {}", figure(*v))).collect();
        format!("{name}: {}{of}{values}", steps.iteration)
    });
    text += &lines("iteration", steps);
    let blocks = &history.blocks;
    if blocks.stored > 0 {
        let all = format!("{} kept, {} pushed out, {} lost", blocks.stored, blocks.evicted, blocks.lost);
        text += &lines("blocks", [all]);
    }
    if history.records_bad > 0 {
        text += &lines("refused", [count(history.records_bad, "record")]);
    }
    text += &lines("warning", history.warnings.iter().cloned());
    let mut longest: Vec<(&u64, &Job)> = history.jobs.iter().collect();
    longest.sort_by_key(|(number, job)| {
        (job.state != State::InProgress, std::cmp::Reverse(job.wall_us), **number)
    });
    longest.truncate(top);
    longest.sort_by_key(|(number, _)| **number);
    if !longest.is_empty() {
        let heading =
            ["job", "action", "partitions", "stages", "tasks", "failed", "again", "seconds", "state"];
        text += &table(&heading, longest.into_iter().map(|(number, job)| row(*number, job)));
    }
    for (number, job) in &history.jobs {
        if let State::Failed { error } = &job.state {
            text += &lines("failed", [format!("job {number}: {error}")]);
        }
    }
    text
}

fn jobs(history: &History) -> String {
    let of = |is: fn(&Job) -> bool| history.jobs.values().filter(|job| is(job)).count();
    let (ended, failed) = (of(|j| j.state == State::Ended), of(|j| matches!(j.state, State::Failed { .. })));
    let (open, again) = (of(|j| j.state == State::InProgress), of(|j| j.interrupted > 0));
    let mut text = format!("{ended} ended");
    for (n, what) in
        [(failed, "failed"), (open, "in progress"), (again, "begun again, since a process was lost")]
    {
        if n > 0 {
            text += &format!(", {n} {what}");
        }
    }
    text
}

fn row(number: u64, job: &Job) -> Vec<String> {
    let sum =
        |of: fn(&slackwater_dataflow::history::Stage) -> usize| job.stages.values().map(of).sum::<usize>();
    vec![
        number.to_string(),
        job.action.clone(),
        job.partitions.to_string(),
        job.stages.len().to_string(),
        sum(|s| s.ended).to_string(),
        sum(|s| s.failed).to_string(),
        job.interrupted.to_string(),
        job.wall_us.map_or("-".to_string(), seconds),
        word(&job.state).to_string(),
    ]
}
