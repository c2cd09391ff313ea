//! Tests of channels: round trips, and everything that a man in the middle may do to records.

use super::*;
use crate::cluster::testing::{Bytes, PATIENCE, channels, pair};
use proptest::prelude::*;
use std::time::Instant;

/// Sends all data in pieces of the given sizes.
fn send(mut channel: Channel, data: &[u8], pieces: &[usize]) {
    let mut rest = data;
    for size in pieces.iter().cycle() {
        let (piece, after) = rest.split_at((*size).min(rest.len()));
        channel.write_all(piece).unwrap();
        rest = after;
        if rest.is_empty() {
            break;
        }
    }
    channel.flush().unwrap();
    channel.shutdown(Shutdown::Write).unwrap();
}

/// Receives until the end, in pieces of at most the given sizes.
fn receive(mut channel: Channel, pieces: &[usize]) -> Vec<u8> {
    let mut data = vec![];
    for size in pieces.iter().cycle() {
        let mut piece = vec![0; *size];
        match channel.read(&mut piece).unwrap() {
            0 => break,
            n => data.extend_from_slice(&piece[..n]),
        }
    }
    data
}

fn round_trip(encrypt: bool, there: &[u8], back: &[u8], out: &[usize], into: &[usize]) {
    let (x, y) = pair();
    let (a, b) = channels(x, y, encrypt);
    let clone = |c: &Channel| c.try_clone().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| send(clone(&a), there, out));
        scope.spawn(|| send(clone(&b), back, out));
        let got = scope.spawn(|| receive(clone(&a), into));
        assert!(receive(clone(&b), into) == there);
        assert!(got.join().unwrap() == back);
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn both_directions_at_once_in_any_pieces(
        encrypt in any::<bool>(),
        sizes in (0usize..400_000, 0usize..400_000),
        out in prop::collection::vec(1usize..200_000, 1..8),
        into in prop::collection::vec(1usize..200_000, 1..8),
        seed in any::<u64>(),
    ) {
        let mut bytes = Bytes::new(seed);
        round_trip(encrypt, &bytes.some(sizes.0), &bytes.some(sizes.1), &out, &into);
    }
}

#[test]
fn single_bytes_and_the_sizes_around_a_record() {
    for encrypt in [false, true] {
        round_trip(encrypt, b"to and", b"fro", &[1], &[1]);
        for size in [RECORD - 1, RECORD, RECORD + 1, BATCH * RECORD, BATCH * RECORD + 1] {
            let data = Bytes::new(size as u64).some(size);
            for into in [RECORD + TAG - 1, RECORD + TAG, 1 << 20] {
                round_trip(encrypt, &data, b"", &[size], &[into]);
            }
        }
    }
}

/// What arrives of the records that one end wrote, after the wire was changed: the data, and how it ended.
fn through(records: &[&[u8]], change: impl FnOnce(&mut Vec<Vec<u8>>)) -> (Vec<u8>, io::Result<()>, Channel) {
    let ((x, mut tap), (mut wire, y)) = (pair(), pair());
    let (mut a, mut b) = channels(x, y, true);
    let mut sent: Vec<Vec<u8>> = records
        .iter()
        .map(|record| {
            a.write_all(record).unwrap();
            let mut sealed = vec![0; PREFIX + record.len() + TAG];
            tap.read_exact(&mut sealed).unwrap();
            sealed
        })
        .collect();
    change(&mut sent);
    wire.write_all(&sent.concat()).unwrap();
    wire.shutdown(Shutdown::Write).unwrap();
    let (mut data, mut buf) = (vec![], [0; 64]);
    loop {
        match b.read(&mut buf) {
            Ok(0) => return (data, Ok(()), b),
            Ok(n) => data.extend_from_slice(&buf[..n]),
            Err(e) => return (data, Err(e), b),
        }
    }
}

fn kind(result: &io::Result<()>) -> Option<ErrorKind> {
    result.as_ref().err().map(|e| e.kind())
}

#[test]
fn a_flipped_bit_anywhere_is_found() {
    let records: [&[u8]; 3] = [b"first", b"second", b"third"];
    let lengths = records.map(|r| PREFIX + r.len() + TAG);
    for (number, length) in lengths.into_iter().enumerate() {
        for byte in 0..length {
            let (data, end, mut channel) = through(&records, |sent| sent[number][byte] ^= 1 << (byte % 8));
            assert_eq!(data, records[..number].concat(), "record {number}, byte {byte}");
            // A larger length is a record that never comes.
            let kind = kind(&end).unwrap_or_else(|| panic!("record {number}, byte {byte}: {data:?}"));
            let expected = if byte < PREFIX {
                &[ErrorKind::InvalidData, ErrorKind::UnexpectedEof][..]
            } else {
                &[ErrorKind::InvalidData]
            };
            assert!(expected.contains(&kind), "{kind}: record {number}, byte {byte}");
            // It stays broken.
            assert_eq!(channel.read(&mut [0; 100]).unwrap_err().kind(), kind);
        }
    }
}

#[test]
fn records_that_are_left_out_repeated_exchanged_or_made_up_are_found() {
    let records: [&[u8]; 3] = [b"first", b"other", b"third"];
    type Change = fn(&mut Vec<Vec<u8>>);
    let changes: [(&str, Change, &[u8]); 6] = [
        ("left out", |sent| drop(sent.remove(1)), b"first"),
        ("repeated", |sent| sent[1] = sent[0].clone(), b"first"),
        ("exchanged", |sent| sent.swap(0, 1), b""),
        ("made up", |sent| sent[1] = [&[0, 21][..], &[7; 21]].concat(), b"first"),
        ("empty", |sent| sent[0] = [&[0, 16][..], &[7; 16]].concat(), b""),
        ("of no bytes", |sent| sent[0] = vec![0, 0], b""),
    ];
    for (name, change, expected) in changes {
        let (data, end, _) = through(&records, change);
        assert_eq!(kind(&end), Some(ErrorKind::InvalidData), "{name}");
        assert_eq!(data, expected, "{name}");
    }
    let (data, end, _) = through(&records, |_| {});
    assert!(end.is_ok() && data == records.concat());
}

#[test]
fn an_empty_record_does_not_look_like_an_end() {
    let (x, y) = pair();
    let (a, mut b) = channels(x, y, true);
    let mut sealed = [0, TAG as u8].repeat(1 + TAG / 2);
    let length = a.keys.as_ref().unwrap().state.write_message(1, &[], &mut sealed[PREFIX..]).unwrap();
    assert_eq!(length, TAG);
    a.raw().write_all(&sealed).unwrap();
    assert_eq!(b.read(&mut [0; 9]).unwrap_err().kind(), ErrorKind::InvalidData);
}

#[test]
fn an_end_within_a_record_is_told_from_an_end_between_two() {
    let records: [&[u8]; 2] = [b"first", b"second"];
    let lengths = records.map(|r| PREFIX + r.len() + TAG);
    for cut in 0..=lengths[0] + lengths[1] {
        let (data, end, _) = through(&records, |sent| {
            let mut all = sent.concat();
            all.truncate(cut);
            *sent = vec![all];
        });
        let whole = usize::from(cut >= lengths[0]) + usize::from(cut == lengths[0] + lengths[1]);
        assert_eq!(data, records[..whole].concat());
        let between = [0, lengths[0], lengths[0] + lengths[1]].contains(&cut);
        assert_eq!(kind(&end), if between { None } else { Some(ErrorKind::UnexpectedEof) }, "{cut}");
    }
}

#[test]
fn other_keys_read_nothing_and_the_wire_shows_nothing() {
    let ((x, mut tap), (wire, y), (z, _other)) = (pair(), pair(), pair());
    let (mut a, _) = channels(x, z.try_clone().unwrap(), true);
    let (_, mut b) = channels(z, y, true);
    a.write_all(b"attack at dawn").unwrap();
    let mut sealed = [0; 32];
    tap.read_exact(&mut sealed).unwrap();
    assert!(!sealed.windows(6).any(|w| w == b"attack"));
    (&wire).write_all(&sealed).unwrap();
    assert_eq!(b.read(&mut [0; 99]).unwrap_err().kind(), ErrorKind::InvalidData);
}

#[test]
fn a_reader_that_may_not_wait_loses_nothing() {
    let ((x, mut tap), (mut wire, y)) = (pair(), pair());
    let (mut a, mut b) = channels(x, y, true);
    let data = Bytes::new(1).some(100);
    data.chunks(40).for_each(|chunk| a.write_all(chunk).unwrap());
    let mut sealed = vec![0; 100 + 3 * (PREFIX + TAG)];
    tap.read_exact(&mut sealed).unwrap();
    let (mut got, mut waited, mut buf) = (vec![], 0, [0; 7]);
    b.raw().set_nonblocking(true).unwrap();
    for byte in sealed {
        wire.write_all(&[byte]).unwrap();
        loop {
            match b.read(&mut buf) {
                Ok(n) => got.extend_from_slice(&buf[..n]),
                Err(e) => break assert_eq!(e.kind(), ErrorKind::WouldBlock),
            }
        }
        waited += 1;
    }
    b.raw().set_nonblocking(false).unwrap();
    let mut rest = vec![0; data.len() - got.len()];
    b.read_exact(&mut rest).unwrap();
    got.extend(rest);
    assert!(got == data && waited == 154);
    // The same with a timeout.
    b.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    let e = b.read(&mut buf).unwrap_err();
    assert!(passes(&e), "{e}");
    assert_eq!(b.write(&[]).unwrap(), 0);
    assert_eq!(b.read(&mut []).unwrap(), 0);
}

#[test]
fn a_writer_that_may_not_wait_sends_every_byte_once() {
    let (x, y) = pair();
    let (mut a, mut b) = channels(x, y, true);
    a.raw().set_nonblocking(true).unwrap();
    b.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let data = Bytes::new(2).some(12 << 20);
    let (mut sent, mut refused, mut got, mut buf) = (0, 0, vec![], vec![0; 1 << 20]);
    let end = Instant::now() + PATIENCE;
    let mut flushed = false;
    while got.len() < data.len() {
        assert!(Instant::now() < end, "{sent} bytes sent, {} received", got.len());
        if sent < data.len() {
            match a.write(&data[sent..(sent + 300_000).min(data.len())]) {
                Ok(n) => {
                    sent += n;
                    continue;
                }
                Err(e) => assert_eq!(e.kind(), ErrorKind::WouldBlock),
            }
            refused += 1;
        } else if !flushed {
            flushed = a.flush().is_ok();
        }
        for _ in 0..20 {
            match b.read(&mut buf) {
                Ok(n) => got.extend_from_slice(&buf[..n]),
                Err(e) => {
                    assert!(passes(&e), "{e}");
                    break;
                }
            }
        }
    }
    assert!(got == data && refused > 0, "{refused} times the socket was full");
}

#[test]
fn shutdown_wakes_who_waits_in_a_clone() {
    for encrypt in [false, true] {
        let (x, y) = pair();
        let (a, _b) = channels(x, y, encrypt);
        let mut reader = a.try_clone().unwrap();
        let mut writer = a.try_clone().unwrap();
        let begun = Instant::now();
        std::thread::scope(|scope| {
            let read = scope.spawn(move || reader.read(&mut [0; 9]));
            // Nobody reads, so this one comes to wait, too.
            let write = scope.spawn(move || {
                let block = vec![0; 1 << 20];
                while writer.write_all(&block).is_ok() {}
            });
            std::thread::sleep(Duration::from_millis(30));
            a.shutdown(Shutdown::Both).unwrap();
            assert_eq!(read.join().unwrap().unwrap(), 0);
            write.join().unwrap();
        });
        assert!(begun.elapsed() < PATIENCE / 2);
    }
}

#[test]
fn timely_takes_a_channel_for_a_stream() {
    fn stream<S: Stream + 'static>(s: &S) -> S {
        s.set_nonblocking(false).unwrap();
        s.try_clone().unwrap()
    }
    let (x, y) = pair();
    let (a, mut b) = channels(x, y, true);
    assert!(a.is_encrypted() && format!("{a:?}").contains("encrypted: true"));
    let mut clone = stream(&a);
    clone.write_all(b"hello").unwrap();
    drop(clone);
    Stream::shutdown(&a, Shutdown::Write).unwrap();
    let mut text = String::new();
    b.read_to_string(&mut text).unwrap();
    assert_eq!(text, "hello");
}

#[cfg(target_os = "linux")]
#[test]
fn protected_sockets_notice_a_silent_peer() {
    use nix::sys::socket::{getsockopt, sockopt};
    let (x, _y) = pair();
    x.set_nodelay(false).unwrap();
    assert!(!getsockopt(&x, sockopt::KeepAlive).unwrap());
    protect(&x).unwrap();
    assert!(x.nodelay().unwrap());
    assert_eq!(getsockopt(&x, sockopt::TcpUserTimeout).unwrap(), 4000);
    assert!(getsockopt(&x, sockopt::KeepAlive).unwrap());
    assert_eq!(getsockopt(&x, sockopt::TcpKeepIdle).unwrap(), 2);
    assert_eq!(getsockopt(&x, sockopt::TcpKeepInterval).unwrap(), 1);
    assert_eq!(getsockopt(&x, sockopt::TcpKeepCount).unwrap(), 3);
}
