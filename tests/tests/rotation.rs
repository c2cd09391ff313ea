//! Mail between partitions, and models whose blocks rotate over them: they are compared with one thread that works the strata
//! one block after another.

use proptest::prelude::*;
use slackwater_dataflow::rng::{below, stream};
use slackwater_dataflow::{Context, Dataset};
use slackwater_paramstore::{
    Consistency, EpochsExt, Report, RotateExt, Rotation, Seat, Snapshots, TableExt, TableSpec, Training, Turn,
};
use slackwater_tests::cluster::{self, Setup};
use slackwater_tests::contexts;
use std::collections::BTreeMap;
use std::time::Duration;

/// Values of a block.
const VALUES: usize = 3;

/// A record: which value of its block it changes, and by how much.
type Change = (usize, f64);
/// By partition: records with their blocks.
type Parts = Vec<Vec<(u32, Change)>>;

fn parts(blocks: usize, records: usize, seed: u64) -> Parts {
    let mut random = stream(seed, 3);
    let mut parts: Parts = vec![vec![]; blocks];
    for i in 0..records {
        let (partition, block) = (below(&mut random, blocks as u64), below(&mut random, blocks as u64));
        let change = (below(&mut random, VALUES as u64) as usize, 0.1 + i as f64 / records as f64);
        parts[partition as usize].push((block as u32, change));
    }
    parts
}

fn first_block(number: usize) -> Vec<f64> {
    (0..VALUES).map(|i| (number * VALUES + i) as f64).collect()
}

/// What a record does: it can be taken back by nothing, and does not commute.
fn change(state: &mut f64, block: &mut [f64], (at, by): &Change) -> f64 {
    block[*at] = 0.5 * block[*at] + by * *state;
    *state = 0.75 * *state + by - 0.25 * block[*at];
    block[*at] * *state
}

/// States, blocks, and losses by epoch.
type Outcome = (Vec<f64>, Vec<Vec<f64>>, Vec<f64>);

/// The strata one block after another.
fn naive(parts: &Parts, epochs: u64) -> Outcome {
    let d = parts.len();
    let (mut states, mut blocks) = (vec![1.0; d], (0..d).map(first_block).collect::<Vec<_>>());
    let mut losses = vec![];
    for _ in 0..epochs {
        let mut of_partitions = vec![0.0; d];
        for sub_epoch in 0..d {
            for (partition, records) in parts.iter().enumerate() {
                let (block, mut loss) = ((partition + sub_epoch) % d, 0.0);
                for (_, record) in records.iter().filter(|(b, _)| *b as usize == block) {
                    loss += change(&mut states[partition], &mut blocks[block], record);
                }
                of_partitions[partition] += loss;
            }
        }
        let mut sum = 0.0;
        of_partitions.iter().for_each(|loss| sum += loss);
        losses.push(sum);
    }
    (states, blocks, losses)
}

fn rotation(data: &Dataset<(u32, Change)>, epochs: u64) -> Rotation<Change, Vec<f64>, f64> {
    data.rotate(first_block).epochs(epochs).state(|_, _| 1.0)
}

fn work() -> impl Fn(&mut f64, &mut Vec<f64>, &[Change], &mut Turn<'_>) + Send + Sync + 'static {
    // One at a time, so that pieces do not change how losses are associated.
    |state, block, records, turn| records.iter().for_each(|r| turn.loss(change(state, block, r)))
}

fn outcome<T: slackwater_dataflow::Data>(
    training: Training<'_, T, f32, Seat<f64, Vec<f64>>>,
) -> (Outcome, Report) {
    let (report, seats) = training.run_with_locals().unwrap();
    (outcome_of(&seats, &report), report)
}

fn outcome_of(seats: &Dataset<Seat<f64, Vec<f64>>>, report: &Report) -> Outcome {
    let seats = seats.collect().unwrap();
    let states = seats.iter().map(|seat| *seat.state()).collect();
    let mut blocks: Vec<(u32, Vec<f64>)> = seats.into_iter().map(|seat| seat.into_block()).collect();
    blocks.sort_by_key(|block| block.0);
    assert!(blocks.iter().enumerate().all(|(i, block)| i == block.0 as usize), "each block is there once");
    let blocks = blocks.into_iter().map(|block| block.1).collect();
    (states, blocks, report.losses.clone())
}

fn bits((states, blocks, losses): &Outcome) -> String {
    let all = states.iter().chain(blocks.iter().flatten()).chain(losses);
    all.map(|x| format!("{:016x} ", x.to_bits())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    /// Rotation is the strata worked one block after another, whatever the pieces and workers.
    #[test]
    fn rotation_is_serially_equivalent(
        blocks in 1usize..7,
        records in 0usize..200,
        epochs in 1u64..4,
        piece in 1usize..20,
        every in 1u64..3,
        seed in 0u64..1000,
    ) {
        let parts = parts(blocks, records, seed);
        let want = naive(&parts, epochs);
        for cx in contexts() {
            let data = cx.from_partitions(parts.clone());
            let training = rotation(&data, epochs).piece(piece).work(work());
            // Segments in which nothing is under way but the blocks.
            let (got, report) = outcome(training.until(|_| false).every(every));
            prop_assert_eq!(bits(&got), bits(&want));
            prop_assert_eq!(report.clocks, epochs * blocks as u64);
        }
    }
}

/// What all blocks share is in a table: strata see what those before have added, and each partition what it has added itself.
#[test]
fn a_table_beside_the_blocks_is_as_of_the_last_sub_epoch() {
    const D: usize = 5;
    let parts = parts(D, 300, 5);
    let add = |block: &mut i64, (at, by): &Change, total: i64| {
        *block = block.wrapping_mul(3).wrapping_add(*at as i64 + (by * 100.0) as i64 + total);
        *block % 1000
    };
    let (mut blocks, mut total) = (vec![1i64; D], 7i64);
    for sub_epoch in 0..2 * D {
        let before = total;
        for (partition, records) in parts.iter().enumerate() {
            let (block, mut own) = ((partition + sub_epoch) % D, 0);
            for (_, record) in records.iter().filter(|(b, _)| *b as usize == block) {
                own += add(&mut blocks[block], record, before + own);
            }
            total += own;
        }
    }
    for cx in contexts() {
        for piece in [1, 4, 1000] {
            let table = cx.table("total", TableSpec::<i64>::dense(1, 1)).unwrap();
            table.put(vec![7]).unwrap();
            let rotation = cx.from_partitions(parts.clone()).rotate(|_| 1i64).epochs(2).piece(piece);
            let training = rotation.work_with(&[&table], move |_, block, records, tables, _| {
                for record in records {
                    let by = add(block, record, tables[0].get(0, 0));
                    tables[0].inc(0, 0, by);
                }
            });
            let mut got = training.run_with_locals().unwrap().1.map(|s| s.into_block()).collect().unwrap();
            got.sort();
            assert_eq!(got.into_iter().map(|(_, block)| block).collect::<Vec<_>>(), blocks, "{piece}");
            assert_eq!(table.get(0, 0), total);
        }
    }
}

const BLOCKS: usize = 6;
const EPOCHS: u64 = 8;

fn fixed() -> Parts {
    parts(BLOCKS, 240, 11)
}

/// A rotation that keeps a recovery point after every second epoch.
fn rotate(cx: &Context) -> (Outcome, Report) {
    let data = cx.from_partitions(fixed());
    outcome(rotation(&data, EPOCHS).piece(7).work(work()).recovery_every(2).until(|_| false))
}

/// Partitions send each other what they have added up, beside a table of bounded staleness. What comes does not depend on how
/// stale the table is.
fn correspond(cx: &Context, consistency: Consistency) -> (Vec<u64>, u64) {
    const PARTITIONS: usize = 5;
    const RECORDS: u64 = 60;
    let data = cx.range(0..RECORDS * PARTITIONS as u64, PARTITIONS);
    let table = cx.table("sum", TableSpec::<i64>::dense(1, 1).consistency(consistency)).unwrap();
    let training = data.epochs(2).batch(2).mail::<(u64, u64)>().local(|_, _| 1u64).update_all(
        &[&table],
        |state, batch, views, clock| {
            let (me, n) = (clock.partition(), clock.number());
            let letters = clock.mail::<(u64, u64)>();
            // Each partition writes to two others, twice to the first of them.
            let senders: Vec<usize> = letters.iter().map(|letter| letter.0).collect();
            let mut expected = vec![(me + 4) % PARTITIONS, (me + 4) % PARTITIONS, (me + 2) % PARTITIONS];
            expected.sort();
            assert_eq!(senders, if n == 0 { vec![] } else { expected });
            for (_, (sent_in, value)) in letters {
                assert_eq!(sent_in + 1, n, "letters are of the clock before");
                *state = state.wrapping_mul(31).wrapping_add(value);
            }
            *state = batch.iter().fold(*state, |s, x| s.wrapping_mul(7).wrapping_add(*x));
            views[0].inc(0, 0, batch.len() as i64);
            clock.model_bytes(8);
            for (to, value) in [(me + 1, *state), (me + 3, *state / 2), (me + 1, *state / 3)] {
                clock.send(to % PARTITIONS, (n, value));
            }
        },
    );
    let (report, states) = training.recovery_every(1).run_with_locals().unwrap();
    assert!(report.staleness_max() <= consistency.staleness());
    // What partitions say that they have of a model adds up over workers.
    assert_eq!(report.workers.iter().map(|w| w.model_bytes).sum::<u64>(), 8 * PARTITIONS as u64);
    assert_eq!(table.get(0, 0), 2 * (RECORDS * PARTITIONS as u64) as i64);
    (states.collect().unwrap(), report.clocks)
}

/// What a rotation has left in place is read again and again, and then dropped.
fn rotate_in_place(cx: &Context) -> String {
    let data = cx.from_partitions(fixed());
    let training = rotation(&data, EPOCHS).piece(7).work(work()).recovery_every(3);
    let (report, seats) = training.run_with_locals_in_place().unwrap();
    cluster::note("trained");
    let answer = bits(&outcome_of(&seats, &report));
    for _ in 0..READINGS {
        std::thread::sleep(PAUSE);
        assert_eq!(bits(&outcome_of(&seats, &report)), answer);
    }
    drop(seats);
    cluster::note("dropped");
    for _ in 0..READINGS {
        std::thread::sleep(PAUSE);
        assert_eq!(cx.range(0..9, 3).count().unwrap(), 9);
    }
    answer
}

const READINGS: usize = 10;
const PAUSE: Duration = Duration::from_millis(20);

/// What a child process runs, if this process is one.
#[test]
fn child() {
    let Some(task) = cluster::task() else { return };
    let cx = Context::from_env().unwrap();
    match task.as_str() {
        "rotate" => cluster::answer(&bits(&rotate(&cx).0)),
        "bytes" => {
            let bytes = rotate(&cx).1.workers.iter().map(|w| w.model_bytes).collect::<Vec<_>>();
            cluster::answer(&format!("{bytes:?}"));
        }
        "in place" => cluster::answer(&rotate_in_place(&cx)),
        "mail" => cluster::answer(&format!("{:?}", correspond(&cx, Consistency::Ssp(3)).0)),
        _ => panic!("unknown task {task}"),
    }
}

#[test]
fn processes_rotate_as_one_thread_does() {
    let want = bits(&naive(&fixed(), EPOCHS));
    for (processes, workers) in [(2, 1), (2, 2), (3, 1)] {
        let answers = cluster::run("rotate", processes, workers);
        assert!(answers.len() == processes && answers.iter().all(|a| *a == want), "{processes} x {workers}");
    }
}

/// Blocks are under way when processes are killed, and recovery points are being made.
#[test]
fn a_kill_while_blocks_rotate_changes_no_bit() {
    let want = bits(&naive(&fixed(), EPOCHS));
    let epoch = BLOCKS as u64;
    let mut faults = vec![];
    for (i, phase) in ["before-read", "after-compute", "mid-push"].into_iter().enumerate() {
        for clock in [1, 2 * epoch, 3 * epoch + 2, 7 * epoch + 5] {
            faults.push(format!("kill={},1,{},{phase}", (i as u64 + clock) % 3, clock));
        }
    }
    faults.extend((0..3).map(|p| format!("kill={p},1,{},mid-checkpoint", 4 * epoch)));
    for fault in faults {
        let mut c = Setup::new("rotate", 3, 2).fault(&fault).start();
        let answers = c.finish();
        assert!(c.replaced() > 0, "{fault}: nobody was killed");
        assert!(answers.iter().all(|a| *a == want), "{fault}: {answers:?}\n{}", c.logs());
    }
}

/// States that stay where they are outlive the process that has them, and are where partitions are when there are more processes.
#[test]
fn what_stays_in_place_is_there_after_a_kill() {
    let want = bits(&naive(&fixed(), EPOCHS));
    let all_are = |c: &mut cluster::Cluster, what: &str| {
        let answers = c.finish();
        assert!(answers.iter().all(|a| *a == want), "{what}: {answers:?}\n{}", c.logs());
    };
    let one = rotate_in_place(&contexts()[1]);
    assert_eq!(one, want);
    for (slot, note) in [(0, "trained"), (1, "trained"), (2, "trained"), (1, "dropped")] {
        let mut c = Setup::new("in place", 3, 2).start();
        c.await_note(slot, note);
        c.kill(slot);
        all_are(&mut c, &format!("{slot} {note}"));
        assert!(c.replaced() > 0);
    }
    let mut c = Setup::new("in place", 2, 1).start();
    c.await_note(0, "trained");
    c.grow();
    all_are(&mut c, "one more");
}

/// Of P processes each has one part in P of the model.
#[test]
fn a_process_has_its_share_of_the_model() {
    let bytes = |text: &str| serde_json::from_str::<Vec<u64>>(text).unwrap();
    // A byte for the length, eight a value.
    let whole = (BLOCKS * (1 + 8 * VALUES)) as u64;
    let (_, report) = rotate(&contexts()[0]);
    assert_eq!(report.workers.iter().map(|w| w.model_bytes).sum::<u64>(), whole);
    for processes in [2, 3] {
        for answer in cluster::run("bytes", processes, 1) {
            assert_eq!(bytes(&answer), vec![whole / processes as u64; processes]);
        }
    }
}

#[test]
fn letters_arrive_in_the_next_clock_whatever_the_tables() {
    let (want, clocks) = correspond(&contexts()[0], Consistency::Bsp);
    assert_eq!((want.len(), clocks), (5, 60));
    for cx in contexts() {
        for consistency in [Consistency::Bsp, Consistency::Ssp(3), Consistency::Essp(2), Consistency::Async] {
            assert_eq!(correspond(cx, consistency).0, want, "{consistency}");
        }
    }
    for workers in [1, 2] {
        for answer in cluster::run("mail", 2, workers) {
            assert_eq!(answer, format!("{want:?}"));
        }
    }
}

/// Letters under way are part of a snapshot, whether its clock gives them out before it is written or after.
#[test]
fn a_rotation_goes_on_from_its_snapshots() {
    let want = bits(&naive(&fixed(), EPOCHS));
    for (first, then) in [(0, 1), (1, 2), (2, 0)] {
        let dir = tempfile::tempdir().unwrap();
        let run = |cx: &Context, epochs: u64, resume: bool| {
            let data = cx.from_partitions(fixed());
            let kept = Snapshots::new(dir.path()).every(2).keep(9).resume(resume);
            outcome(rotation(&data, epochs).piece(5).work(work()).snapshots(kept))
        };
        let (half, _) = run(&contexts()[first], 5, false);
        assert_eq!(bits(&half), bits(&naive(&fixed(), 5)));
        // It goes back to the fourth epoch.
        let (whole, report) = run(&contexts()[then], EPOCHS, true);
        assert_eq!((bits(&whole), report.epochs), (want.clone(), EPOCHS));
    }
}

/// With Fugue who waits goes on with its block, at most for the passes that it may, and nobody is held up by that.
#[test]
fn fugue_works_while_it_waits() {
    const EXTRA: u64 = 5;
    let cx = &contexts()[1];
    // The last partition is slow; each record of a partition is its number, and each block is needed once.
    let data = cx.from_partitions((0..2u64).map(|p| (0..2u32).map(|b| (b, p)).collect()).collect());
    // By pass: how often the block was worked on by the fast one.
    let run = |extra: u64| {
        let rotation = data.rotate(|_| BTreeMap::<u64, u64>::new()).epochs(3).fugue(extra);
        let training = rotation.work(|_, passes, records, turn| {
            for partition in records {
                let slow = *partition == 1;
                if turn.pass() == 0 || !slow {
                    std::thread::sleep(Duration::from_millis(if slow { 60 } else { 2 }));
                }
                *passes.entry(10 * partition + turn.pass()).or_default() += 1;
            }
        });
        let (report, seats) = training.run_with_locals().unwrap();
        let mut sums = BTreeMap::new();
        for (_, passes) in seats.map(|seat| seat.into_block()).collect().unwrap() {
            passes.iter().for_each(|(pass, n)| *sums.entry(*pass).or_default() += n);
        }
        (sums, report)
    };
    let (without, _) = run(0);
    assert_eq!(without, BTreeMap::from([(0, 6), (10, 6)]));
    let (with, report) = run(EXTRA);
    // Six sub-epochs: each partition's pass, and what the fast one has done while the slow one was at it.
    assert_eq!((with[&0], with[&10]), (6, 6));
    assert!((1..=EXTRA).all(|pass| (4..=6).contains(&with[&pass])), "{with:?}");
    assert!(!with.contains_key(&(EXTRA + 1)) && !with.contains_key(&(10 + EXTRA + 1)), "{with:?}");
    assert!(report.workers.iter().map(|w| w.meanwhile_us).sum::<u64>() >= 4 * EXTRA * 2000, "{report:?}");
}

#[test]
fn what_cannot_be_is_refused() {
    let cx = &contexts()[0];
    let none: Training<'_, u64, f32> = cx.range(0..4, 2).epochs(1).update_all(&[], |_, _, _| {});
    assert!(none.run().unwrap_err().to_string().contains("a table, or mail"));
    let wrong = cx.range(0..4, 2).epochs(1).mail::<u64>();
    let wrong: Training<'_, u64, f32> =
        wrong.update_all(&[], |_, _, clock| clock.send(0, "text".to_string()));
    assert!(wrong.run().unwrap_err().to_string().contains("of the type that"));
    let beyond = cx.range(0..4, 2).map(|x| (2u32, x)).rotate(|_| 0u8).work(|_, _, _, _| {});
    assert!(beyond.run().unwrap_err().to_string().contains("no block 2"));
    let partial = cx.range(0..4, 2).map(|x| (0u32, x)).rotate(|_| 0u8).work(|_, _, _, _| {});
    let error = partial.recovery(slackwater_paramstore::Recovery::Partial).run().unwrap_err();
    assert!(error.to_string().contains("no mail"), "{error}");
}
