//! Tests of the framing, against timely's own receiving loop where it counts.

use super::*;
use crate::cluster::testing::Bytes;
use proptest::prelude::*;
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::atomic::AtomicBool;
use timely::communication::Hooks;
use timely::communication::allocator::zero_copy::bytes_exchange::MergeQueue;
use timely::communication::allocator::zero_copy::stream::Stream;
use timely::communication::allocator::zero_copy::tcp::recv_loop;
use timely::communication::buzzer::Buzzer;

const END: [u64; 6] = [0; 6];
/// Largest payload of the tests, in bytes.
const MOST: u64 = 1 << 12;
/// No test hands out more, in bytes.
const GIVEN_MAX: usize = 1 << 16;

/// This process has workers 4 and 5, the peer 0 and 1; channels up to 10 are known, and 10 more may come.
fn limits() -> Limits {
    let channels = Arc::new(AtomicU64::new(10));
    Limits { length: MOST, window: 10, ..Limits::new(4..6, 0..2, channels) }
}

fn frame(header: [u64; 6], payload: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = header.iter().flat_map(|w| w.to_be_bytes()).collect();
    bytes.resize(HEADER + payload, 0xaa);
    bytes
}

fn data(length: u64) -> Vec<u8> {
    frame([7, 1, 4, 6, length, 3], length as usize)
}

/// What a fail-silent stream does: hands out what is safe, and fills when the peer is refused or gone.
struct Quiet {
    pieces: VecDeque<Vec<u8>>,
    frames: Frames,
    refused: Option<io::Error>,
    /// At most so many bytes a read.
    width: usize,
    given: Arc<std::sync::Mutex<Vec<u8>>>,
    /// True once timely was shown the end of the file.
    finished: Arc<AtomicBool>,
}

impl Quiet {
    fn new(limits: Limits, pieces: Vec<Vec<u8>>, width: usize) -> Self {
        let pieces = pieces.into_iter().filter(|p| !p.is_empty()).collect();
        let frames = Frames::new(limits);
        Quiet { pieces, frames, refused: None, width, given: Arc::default(), finished: Arc::default() }
    }
}

impl Read for Quiet {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let room = buf.len().min(self.width);
        let mut n = 0;
        if let Some(mut piece) = self.pieces.pop_front().filter(|_| self.refused.is_none()) {
            if piece.len() > room {
                self.pieces.push_front(piece.split_off(room));
            }
            let (safe, refused) = self.frames.advance(&piece);
            buf[..safe].copy_from_slice(&piece[..safe]);
            self.refused = refused.err();
            n = safe;
        }
        if n == 0 {
            n = self.frames.fill(&mut buf[..room]);
        }
        let mut given = self.given.lock().unwrap();
        given.extend_from_slice(&buf[..n]);
        if given.len() > GIVEN_MAX {
            // A wrong length would have this test write zeros for ever. timely panics for it.
            return Err(io::Error::other("more bytes than any of these tests means"));
        }
        self.finished.store(n == 0, Ordering::Relaxed);
        Ok(n)
    }
}

impl Write for Quiet {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        unreachable!("this side only reads")
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for Quiet {
    fn try_clone(&self) -> io::Result<Self> {
        unreachable!("one reader")
    }
    fn set_nonblocking(&self, _: bool) -> io::Result<()> {
        Ok(())
    }
    fn shutdown(&self, _: Shutdown) -> io::Result<()> {
        Ok(())
    }
}

/// Runs timely's own loop over the pieces. It panics where timely would, and does not return where timely hangs.
fn through_timely(limits: Limits, pieces: Vec<Vec<u8>>, width: usize) -> Vec<u8> {
    let offset = limits.workers.start as usize;
    let (mut senders, mut queues) = (vec![], vec![]);
    for _ in limits.workers.clone() {
        let (sender, receiver) = std::sync::mpsc::channel();
        let (writer, reader) = MergeQueue::new_pair(Buzzer::default(), None, None);
        sender.send(writer).unwrap();
        senders.push(receiver);
        queues.push(reader);
    }
    let quiet = Quiet::new(limits, pieces, width);
    let (given, finished) = (quiet.given.clone(), quiet.finished.clone());
    recv_loop(quiet, senders, offset, 0, 0, Hooks::default().refill, None);
    assert!(finished.load(Ordering::Relaxed), "timely saw the end of the file");
    std::mem::take(&mut given.lock().unwrap())
}

fn refused(pieces: &[&[u8]]) -> String {
    let mut frames = Frames::new(limits());
    for piece in pieces {
        if let (_, Err(e)) = frames.advance(piece) {
            assert_eq!(e.kind(), io::ErrorKind::InvalidData);
            return e.to_string();
        }
    }
    panic!("nothing was refused")
}

#[test]
fn honest_frames_pass_in_any_pieces() {
    let stream =
        [data(1), data(100), data(MOST), frame([20, 0, 5, 6, 2, u64::MAX], 2), frame(END, 0)].concat();
    for width in [1, 7, 47, 48, 49, 4096, usize::MAX] {
        let given = through_timely(limits(), vec![stream.clone()], width);
        assert!(given == stream, "in pieces of {width}");
    }
    let mut frames = Frames::new(limits());
    assert!(!frames.has_ended());
    let (safe, result) = frames.advance(&stream);
    assert!(result.is_ok() && safe == stream.len() && frames.has_ended());
    assert_eq!(frames.fill(&mut [1; 8]), 0);
}

/// Every header that timely does not survive, and the words that must name it.
fn attacks() -> Vec<([u64; 6], &'static str)> {
    vec![
        ([7, 1, 4, 5, 0u64.wrapping_sub(48), 0], "length 18446744073709551568 is more than 4096 bytes"),
        ([7, 1, 4, 5, u64::MAX, 0], "length 18446744073709551615 is more than"),
        ([7, 1, 4, 5, 1 << 40, 0], "length 1099511627776 is more than"),
        ([7, 1, 4, 5, MOST + 1, 0], "length 4097 is more than"),
        (
            [7, 1, 4, 1 << 63, 8, 0],
            "targets 4..9223372036854775808 are outside of this process's workers 4..6",
        ),
        ([7, 1, 3, 5, 8, 0], "targets 3..5 are outside"),
        ([7, 1, 0, 1, 8, 0], "targets 0..1 are outside"),
        ([7, 1, 5, 7, 8, 0], "targets 5..7 are outside"),
        ([7, 1, 6, 7, 8, 0], "targets 6..7 are outside"),
        ([7, 1, 5, 5, 8, 0], "targets 5..5 are no range"),
        ([7, 1, 5, 4, 8, 0], "targets 5..4 are no range"),
        ([7, 2, 4, 5, 8, 0], "source 2 is outside of the peer's workers 0..2"),
        ([7, 4, 4, 5, 8, 0], "source 4 is outside"),
        ([7, u64::MAX, 4, 5, 8, 0], "source 18446744073709551615 is outside"),
        ([21, 1, 4, 5, 8, 0], "channel 21 is more than 10 above the highest known, 10"),
        ([u64::MAX, 1, 4, 5, 8, 0], "channel 18446744073709551615 is more than"),
        (
            [7, 1, 4, 5, 0, 0],
            "length 0 ends a stream, and then channel 7, source 1, targets 4..5 and seqno 0",
        ),
        ([1, 0, 0, 0, 0, 0], "length 0 ends a stream"),
        ([0, 1, 0, 0, 0, 0], "length 0 ends a stream"),
        ([0, 0, 1, 0, 0, 0], "length 0 ends a stream"),
        ([0, 0, 0, 1, 0, 0], "length 0 ends a stream"),
        ([0, 0, 0, 0, 0, 1], "length 0 ends a stream"),
    ]
}

#[test]
fn every_attack_is_refused_before_timely_sees_it() {
    for (header, named) in attacks() {
        let attack = frame(header, 8);
        let message = refused(&[&attack]);
        assert!(message.contains(named), "{header:?}: {message}");
        // As soon as the 48 bytes are complete, and not handed out.
        let mut frames = Frames::new(limits());
        let good = data(5);
        let (safe, result) = frames.advance(&[&good[..], &attack[..HEADER]].concat());
        assert_eq!(safe, good.len());
        assert!(result.is_err());
        // Nothing comes through afterwards.
        assert!(matches!(frames.advance(&good), (0, Err(_))));
        // And timely ends in peace, wherever the header is split.
        for split in 0..=HEADER {
            for before in [vec![], data(5)] {
                let pieces = vec![before.clone(), attack[..split].to_vec(), attack[split..].to_vec()];
                for width in [1, usize::MAX] {
                    let given = through_timely(limits(), pieces.clone(), width);
                    assert!(given.starts_with(&before));
                    assert!(given.len() <= before.len() + MOST as usize + 2 * HEADER);
                }
            }
        }
    }
}

#[test]
fn limits_are_inclusive_and_grow_with_the_known_channels() {
    let limits = limits();
    let mut frames = Frames::new(limits.clone());
    assert!(frames.advance(&frame([20, 1, 4, 6, MOST, 0], MOST as usize)).1.is_ok());
    limits.channels.store(500, Ordering::Relaxed);
    assert!(frames.advance(&frame([510, 0, 5, 6, 1, 0], 1)).1.is_ok());
    limits.channels.store(u64::MAX, Ordering::Relaxed);
    assert!(frames.advance(&frame([u64::MAX, 0, 5, 6, 1, 0], 1)).1.is_ok());
    let defaults = Limits::new(0..1, 1..2, Arc::default());
    assert_eq!((defaults.length, defaults.window), (268_435_456, 4096));
}

#[test]
fn nothing_comes_after_the_end() {
    let end = frame(END, 0);
    let message = refused(&[&end, &[0]]);
    assert!(message.contains("after the end"), "{message}");
    let both = [&end[..], &data(3)].concat();
    assert!(refused(&[&both]).contains("after the end"));
    let mut frames = Frames::new(limits());
    let (safe, result) = frames.advance(&both);
    assert!(safe == HEADER && result.is_err() && frames.has_ended());
    assert_eq!(frames.fill(&mut [0; 9]), 0);
    // timely itself would panic: "Clean shutdown followed by data".
    assert_eq!(through_timely(limits(), vec![both], usize::MAX), end);
}

#[test]
fn a_peer_that_is_gone_at_any_byte_leaves_a_clean_end() {
    for length in [1, 0xff, 0x0f01, MOST] {
        let whole = data(length);
        let payload_cuts = [HEADER, HEADER + 1, whole.len() - 1, whole.len()];
        for cut in (0..HEADER).chain(payload_cuts) {
            for width in [13, usize::MAX] {
                let given = through_timely(limits(), vec![whole[..cut].to_vec()], width);
                assert_eq!(given[..cut], whole[..cut]);
                assert!(given[cut..].iter().all(|b| *b == 0), "{cut}");
                // An unfinished length is completed by zeros, never to more than it was.
                assert!(given.len() <= whole.len() + HEADER, "{cut}");
                let mut header = [0; HEADER];
                header[..cut.min(HEADER)].copy_from_slice(&whole[..cut.min(HEADER)]);
                let ends_at_once = Header::parse(&header).length == 0;
                assert_eq!(given.len() == HEADER, ends_at_once, "{cut}");
            }
        }
    }
    // Also in the middle of the end itself.
    for cut in 0..=HEADER {
        assert_eq!(through_timely(limits(), vec![vec![0; cut]], 5), frame(END, 0));
    }
}

#[test]
fn a_length_is_refused_by_its_first_byte_that_is_too_large() {
    // A stream that had handed out these bytes could not be completed: zeros would make a length of 2^63.
    let mut bytes = data(8);
    bytes[32] = 0x80;
    let mut frames = Frames::new(limits());
    assert!(matches!(frames.advance(&bytes[..32]), (32, Ok(()))));
    let (safe, result) = frames.advance(&bytes[32..33]);
    assert_eq!(safe, 0);
    assert!(result.unwrap_err().to_string().contains("length 9223372036854775808"));
    let mut rest = [1; 99];
    assert_eq!(frames.fill(&mut rest), 16);
    assert!(frames.has_ended() && rest[..16] == [0; 16] && rest[16] == 1);
    // A target that is wrong is found when the length begins.
    let bad = frame([7, 1, 4, 9, 0x0102_0000, 0], 0);
    let mut frames = Frames::new(Limits { length: u64::MAX, ..limits() });
    assert!(matches!(frames.advance(&bad[..36]), (36, Ok(()))));
    assert!(matches!(frames.advance(&bad[36..37]), (0, Err(_))));
}

/// A stream that is nearly right: honest frames, of which some have one field changed.
fn nearly(bytes: &mut Bytes) -> Vec<u8> {
    const ODD: [u64; 8] = [0, 1, 5, 6, MOST, 1 << 40, 1 << 63, u64::MAX];
    let mut stream = vec![];
    for _ in 0..bytes.below(6) {
        let mut header = [7, 1, 4, 6, 1 + bytes.below(300) as u64, 0];
        let payload = header[4] as usize;
        if bytes.below(4) == 0 {
            header[bytes.below(6)] = ODD[bytes.below(ODD.len())];
        }
        stream.extend(frame(header, payload));
    }
    if bytes.below(2) == 0 {
        stream.extend(frame(END, bytes.below(2) * 3));
    }
    if bytes.below(2) == 0 {
        stream.truncate(bytes.below(stream.len() + 1));
    }
    stream
}

#[test]
fn random_streams_never_upset_timely() {
    let (mut ended, mut stopped) = (0, 0);
    for seed in 0..3000 {
        let mut bytes = Bytes::new(seed << 20);
        let stream = if seed % 3 == 0 {
            let n = bytes.below(400);
            bytes.some(n)
        } else {
            nearly(&mut bytes)
        };
        let mut pieces = vec![];
        let mut rest = &stream[..];
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(1 + bytes.below(rest.len().min(90)));
            pieces.push(piece.to_vec());
            rest = after;
        }
        let given = through_timely(limits(), pieces, 1 + bytes.below(200));
        if given == stream { ended += 1 } else { stopped += 1 }
    }
    assert!(ended > 50 && stopped > 1000, "{ended} came through, {stopped} did not");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn pieces_do_not_matter(lengths in prop::collection::vec(1u64..200, 0..8), cuts in prop::collection::vec(1usize..70, 1..60), bad in any::<bool>()) {
        let mut stream: Vec<u8> = lengths.iter().flat_map(|n| data(*n)).collect();
        let good = stream.len();
        if bad {
            stream.extend(frame([7, 9, 4, 5, 1, 0], 1));
        }
        let mut frames = Frames::new(limits());
        let (mut at, mut failed) = (0, false);
        for cut in cuts.iter().cycle() {
            let piece = &stream[at..(at + cut).min(stream.len())];
            let (safe, result) = frames.advance(piece);
            at += safe;
            failed = result.is_err();
            if failed || at == stream.len() {
                break;
            }
        }
        prop_assert_eq!(failed, bad);
        prop_assert!(at >= good && (bad || at == good));
        prop_assert!(at < good + HEADER);
        let mut rest = vec![1; 4 * HEADER + 256];
        let n = frames.fill(&mut rest);
        prop_assert!(frames.has_ended() && rest[..n].iter().all(|b| *b == 0));
    }
}
