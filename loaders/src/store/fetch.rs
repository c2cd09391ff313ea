//! Reading a range of an object, however often the connection breaks.

use super::bucket::{Bucket, PAUSE, PAUSE_MAX, WAITS};
use super::fault::{Cause, Fault};
use super::object::Object;
use bytes::Bytes;
use futures_util::StreamExt;
use object_store::path::Path;
use object_store::{GetOptions, ObjectMeta, ObjectStoreExt};
use std::hash::{BuildHasher, RandomState};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::{sleep, timeout};

/// What comes less than this between two breaks is no progress: a file of gigabytes is not fetched byte by byte.
const PROGRESS_BYTES: u64 = 64 << 10;

/// Gives the bytes of a range to `give` in order, until it does not want more.
pub(super) async fn fetch(
    object: Arc<Object>,
    range: Range<u64>,
    mut give: impl FnMut(Bytes) -> bool,
) -> Result<(), Fault> {
    let (deadline, retries) = (object.bucket().deadline, object.bucket().retries);
    let mut at = range.start;
    let (mut attempts, mut moved) = (0, Instant::now());
    loop {
        attempts += 1;
        let fault = match attempt(&object, at..range.end, &mut at, &mut moved, &mut give).await {
            Ok(()) => return Ok(()),
            Err(fault) => fault,
        };
        let earned = usize::try_from((at - range.start) / PROGRESS_BYTES).unwrap_or(usize::MAX);
        let is_over = attempts > retries.saturating_add(earned) || moved.elapsed() >= deadline;
        if !fault.cause.is_passing() || is_over {
            let tried = attempts - 1 + fault.attempts;
            let cause = match fault.cause {
                Cause::Stalled(_) => Cause::Stalled(deadline),
                Cause::Short(..) => Cause::Short(at - range.start, range.end - range.start),
                other => other,
            };
            return Err(Fault { cause, range: Some(range), attempts: tried });
        }
        sleep(pause(attempts)).await;
    }
}

/// One request, from `at` on.
async fn attempt(
    object: &Object,
    range: Range<u64>,
    at: &mut u64,
    moved: &mut Instant,
    give: &mut impl FnMut(Bytes) -> bool,
) -> Result<(), Fault> {
    let bucket = object.bucket();
    let (deadline, wait) = (bucket.deadline, bucket.deadline / WAITS);
    let stalled = |_| Fault::from(Cause::Stalled(deadline));
    let options = object.conditions(range.clone());
    let answer =
        timeout(bucket.patience(), bucket.store.get_opts(object.key(), options)).await.map_err(stalled)?;
    let answer = answer.map_err(|e| Fault::of(&e, deadline))?;
    if !object.is_same(&answer.meta) {
        return Err(Cause::Changed.into());
    }
    let mut body = answer.into_stream();
    while *at < range.end {
        let piece = match timeout(wait.saturating_mul(2), body.next()).await.map_err(stalled)? {
            Some(Ok(piece)) => piece,
            Some(Err(e)) => {
                // The library has tried to go on by itself, unless a break is one of those that it knows nothing of.
                let fault = Fault::of(&e, deadline);
                return Err(match fault.cause {
                    Cause::Other(_) | Cause::Refused(_) => {
                        Cause::Short(*at - range.start, range.end - range.start).into()
                    }
                    _ => fault,
                });
            }
            None => return Err(Cause::Short(*at - range.start, range.end - range.start).into()),
        };
        let left = usize::try_from(range.end - *at).unwrap_or(usize::MAX);
        let piece = piece.slice(..piece.len().min(left));
        if piece.is_empty() {
            continue;
        }
        *at += piece.len() as u64;
        *moved = Instant::now();
        if !give(piece) {
            break;
        }
    }
    Ok(())
}

/// What an object is, and its first bytes.
pub(super) async fn look(bucket: &Bucket, key: &Path, most: u64) -> Result<(ObjectMeta, Bytes), Fault> {
    let (deadline, patience) = (bucket.deadline, bucket.patience());
    let stalled = |_| Fault::from(Cause::Stalled(deadline));
    let options = GetOptions { range: Some((0..most).into()), ..GetOptions::default() };
    let both = async {
        let answer = bucket.store.get_opts(key, options).await?;
        let meta = answer.meta.clone();
        Ok((meta, answer.bytes().await?))
    };
    let e: object_store::Error = match timeout(patience, both).await.map_err(stalled)? {
        Ok(found) => return Ok(found),
        Err(e) => e,
    };
    let fault = Fault::of(&e, deadline);
    // An empty file has no first byte, so asking for it is an error to some, and others give all of it.
    let may_be_empty =
        fault.cause == Cause::NoRanges || super::fault::status(&e.to_string()) == Some(RANGE_NOT_SATISFIABLE);
    if !may_be_empty {
        return Err(fault);
    }
    match timeout(patience, bucket.store.head(key)).await.map_err(stalled)? {
        Ok(meta) if meta.size == 0 => Ok((meta, Bytes::new())),
        _ => Err(fault),
    }
}

const RANGE_NOT_SATISFIABLE: u16 = 416;

/// Twice as long each time, give or take a half: those that were broken together do not come back together.
fn pause(attempts: usize) -> Duration {
    let doubled = PAUSE.saturating_mul(1 << (attempts - 1).min(16)).min(PAUSE_MAX);
    let share = RandomState::new().hash_one(attempts) as f64 / u64::MAX as f64;
    doubled.mul_f64(0.5 + share)
}
