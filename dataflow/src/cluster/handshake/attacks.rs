//! Attacks on the handshake: strangers, slow peers, recordings, changed and random bytes.

use super::line::{HEADER, MAGIC, VERSION};
use super::tests::{agree, framed, terms};
use super::*;
use crate::cluster::testing::{Bytes, PATIENCE, introduction, pair, secret};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::time::Instant;

/// Short, for peers that will not answer.
const SOON: Duration = Duration::from_millis(100);

/// What `accept` says to bytes, after which the sender hangs up.
fn said(bytes: &[u8]) -> Refused {
    let (mut a, b) = pair();
    a.write_all(bytes).unwrap();
    a.shutdown(Shutdown::Write).unwrap();
    let never = |_: &Introduction| panic!("a stranger's introduction was read");
    accept(b, &secret(1), PATIENCE, never).unwrap_err()
}

/// The first message of a handshake as it was on the wire.
fn first_message(introduction: &Introduction) -> Vec<u8> {
    let secret = secret(1);
    let mut noise = builder(&secret).unwrap().build_initiator().unwrap();
    let message = seal(&mut noise, &introduction.encode().unwrap()).unwrap();
    framed(VERSION, message.len(), &message)
}

#[test]
fn strangers_are_told_apart() {
    let http = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let whole = first_message(&introduction(true, terms()));
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (vec![], "hung up without a word"),
        (http.to_vec(), "GET / HTTP"),
        (vec![0; 8], "\\x00"),
        (2u64.to_be_bytes().to_vec(), "began with"),
        (vec![0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3, 9], "\\x16\\x03\\x01"),
        (Bytes::new(9).some(4000), "began with"),
        (MAGIC.to_vec(), "hung up after 8 of 12 bytes"),
        (whole[..HEADER].to_vec(), "hung up after 0 of"),
        (whole[..whole.len() - 1].to_vec(), "hung up after"),
        (framed(VERSION, 47, &[1; 47]), "47 bytes, less than 48"),
        (framed(VERSION, 0, &[]), "0 bytes, less than 48"),
        (framed(VERSION, 0xffff, &[]), "65535 bytes, more than 16384"),
        (framed(VERSION, MESSAGE_MAX + 1, &[]), "16385 bytes, more than 16384"),
        (whole, "hung up without confirming"),
    ];
    for (bytes, named) in cases {
        let (mut a, b) = pair();
        a.write_all(&bytes).unwrap();
        a.shutdown(Shutdown::Write).unwrap();
        let refused = accept(b, &secret(1), PATIENCE, agree).unwrap_err();
        let Refused::Stranger(what) = &refused else { panic!("{refused:?}") };
        assert!(what.contains(named), "{what}");
    }
    // Forged, but well formed.
    assert!(matches!(said(&framed(VERSION, 48, &[1; 48])), Refused::Secret));
    assert!(matches!(said(&framed(VERSION, MESSAGE_MAX, &vec![7; MESSAGE_MAX])), Refused::Secret));
}

#[test]
fn a_stranger_that_waits_for_an_answer_is_told_apart_at_once() {
    let (mut a, b) = pair();
    a.write_all(b"EHLO\r\n").unwrap();
    let begun = Instant::now();
    let refused = accept(b, &secret(1), PATIENCE, agree).unwrap_err();
    assert!(matches!(refused, Refused::Stranger(_)) && begun.elapsed() < PATIENCE / 2);
}

#[test]
fn initiators_are_not_held_up_either() {
    let own = introduction(true, terms());
    let begun = Instant::now();
    // Silent.
    let (a, _b) = pair();
    assert!(matches!(initiate(a, &secret(1), &own, SOON), Err(Refused::Late)));
    // Gone.
    let (a, b) = pair();
    drop(b);
    assert!(matches!(initiate(a, &secret(1), &own, PATIENCE), Err(Refused::Secret)));
    // Something else.
    let answers: [(&[u8], &str); 3] = [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "HTTP/1.1 400"),
        (&framed(VERSION, 0, &[]), "0 bytes, less than 48"),
        (&MAGIC, "hung up after 8"),
    ];
    for (answer, named) in answers {
        let (a, mut b) = pair();
        b.write_all(answer).unwrap();
        b.shutdown(Shutdown::Write).unwrap();
        let refused = initiate(a, &secret(1), &own, PATIENCE).unwrap_err();
        assert!(matches!(&refused, Refused::Stranger(what) if what.contains(named)), "{refused:?}");
    }
    assert!(begun.elapsed() < PATIENCE / 2);
}

#[test]
fn silence_and_single_bytes_do_not_extend_the_deadline() {
    let whole = first_message(&introduction(true, terms()));
    // Silent from the start, within the header, within the message, and instead of the confirmation.
    for n in [0, 3, HEADER, 40, whole.len()] {
        let (mut a, b) = pair();
        a.write_all(&whole[..n]).unwrap();
        let begun = Instant::now();
        let refused = accept(b, &secret(1), SOON, agree).unwrap_err();
        let took = begun.elapsed();
        assert!(matches!(refused, Refused::Late), "{refused:?} after {n}");
        assert!(took >= SOON && took < SOON * 10, "{took:?}");
    }
    // A byte every 10 ms would need more than a second.
    for responder in [true, false] {
        let (mut slow, b) = pair();
        std::thread::scope(|scope| {
            let drip = scope.spawn(|| {
                for byte in &whole {
                    std::thread::sleep(Duration::from_millis(10));
                    if slow.write_all(&[*byte]).is_err() {
                        return;
                    }
                }
                panic!("it was read to the end");
            });
            let begun = Instant::now();
            let refused = if responder {
                accept(b, &secret(1), SOON, agree).map(|_| ()).unwrap_err()
            } else {
                initiate(b, &secret(1), &introduction(true, terms()), SOON).map(|_| ()).unwrap_err()
            };
            assert!(matches!(refused, Refused::Late), "{refused:?}");
            assert!(begun.elapsed() < SOON * 5, "{:?}", begun.elapsed());
            drip.join().unwrap();
        });
    }
}

/// Passes a handshake on, and returns what the initiator and what the responder said.
fn recording(own: &Introduction) -> (Vec<u8>, Vec<u8>) {
    let ((a, mut left), (mut right, b)) = (pair(), pair());
    std::thread::scope(|scope| {
        scope.spawn(move || initiate(a, &secret(1), own, PATIENCE).map(|c| c.shutdown(Shutdown::Write)));
        let there = scope.spawn(move || accept(b, &secret(1), PATIENCE, agree));
        let pass = |from: &mut TcpStream, to: &mut TcpStream| {
            let mut message = vec![0; HEADER];
            from.read_exact(&mut message).unwrap();
            let length = usize::from(u16::from_be_bytes([message[10], message[11]]));
            message.resize(HEADER + length, 0);
            from.read_exact(&mut message[HEADER..]).unwrap();
            to.write_all(&message).unwrap();
            message
        };
        let mut initiator = pass(&mut left, &mut right);
        let responder = pass(&mut right, &mut left);
        initiator.extend(pass(&mut left, &mut right));
        there.join().unwrap().expect("relayed without a change, it is a handshake");
        (initiator, responder)
    })
}

#[test]
fn a_recording_never_gives_a_channel() {
    let own = introduction(false, terms());
    let (initiator, responder) = recording(&own);
    for _ in 0..20 {
        let (mut a, b) = pair();
        a.write_all(&initiator).unwrap();
        let mut asked = false;
        let refused = accept(b, &secret(1), PATIENCE, |i| {
            asked = true;
            agree(i)
        })
        .unwrap_err();
        assert!(matches!(refused, Refused::Secret), "{refused:?}");
        assert!(asked, "the first message alone is genuine, so `decide` must change nothing");
        let (a, mut b) = pair();
        b.write_all(&responder).unwrap();
        let refused = initiate(a, &secret(1), &own, PATIENCE).unwrap_err();
        assert!(matches!(refused, Refused::Secret), "{refused:?}");
    }
}

#[test]
fn an_initiator_is_not_fooled_by_its_own_words() {
    let (a, mut b) = pair();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut message = vec![0; 4096];
            let n = b.read(&mut message).unwrap();
            b.write_all(&message[..n]).unwrap();
            // Stays open until the initiator hangs up.
            let _ = b.read(&mut message);
        });
        let refused = initiate(a, &secret(1), &introduction(true, terms()), PATIENCE).unwrap_err();
        assert!(matches!(refused, Refused::Secret), "{refused:?}");
    });
}

#[test]
fn a_changed_byte_anywhere_is_refused() {
    let whole = first_message(&introduction(true, terms()));
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1 << (at % 8);
        let refused = said(&changed);
        let fits = match at {
            0..8 => matches!(refused, Refused::Stranger(_)),
            8..10 => matches!(refused, Refused::Differs(_)),
            10..12 => matches!(refused, Refused::Stranger(_) | Refused::Secret),
            _ => matches!(refused, Refused::Secret),
        };
        assert!(fits, "byte {at}: {refused:?}");
    }
}

#[test]
fn random_bytes_are_refused() {
    let begun = Instant::now();
    let mut seen = [0; 3];
    for seed in 0..2000u64 {
        let mut bytes = Bytes::new(seed << 20);
        let n = bytes.below(200);
        let noise = bytes.some(n);
        let message = match seed % 4 {
            0 => noise,
            1 => [&MAGIC[..], &noise].concat(),
            2 => framed(VERSION, bytes.below(300), &noise),
            _ => framed(VERSION, noise.len(), &noise),
        };
        match said(&message) {
            Refused::Stranger(_) => seen[0] += 1,
            Refused::Secret => seen[1] += 1,
            Refused::Differs(_) => seen[2] += 1,
            other => panic!("{other:?} for {message:?}"),
        }
    }
    assert!(seen.iter().all(|n| *n > 100), "{seen:?}");
    assert!(begun.elapsed() < PATIENCE);
}

#[test]
fn nonsense_from_one_who_knows_the_secret_is_refused() {
    let secret = secret(1);
    let valid = introduction(true, terms()).encode().unwrap();
    for seed in 0..500 {
        let mut bytes = Bytes::new(seed << 20);
        let mut payload = valid.clone();
        match seed % 3 {
            0 => payload = bytes.some(seed as usize),
            1 => payload.truncate(bytes.below(valid.len())),
            _ => payload.push(1),
        }
        let mut noise = builder(&secret).unwrap().build_initiator().unwrap();
        let message = seal(&mut noise, &payload).unwrap();
        let refused = said(&framed(VERSION, message.len(), &message));
        let Refused::Stranger(what) = &refused else { panic!("{refused:?}") };
        assert!(what.contains("introduction has no meaning"), "{what}");
    }
}

#[test]
fn a_confirmation_of_other_words_is_refused() {
    let (a, b) = pair();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let secret = secret(1);
            let mut line = Line::new(a, PATIENCE).unwrap();
            let mut noise = builder(&secret).unwrap().build_initiator().unwrap();
            let hello = introduction(true, terms()).encode().unwrap();
            line.send(&seal(&mut noise, &hello).unwrap()).unwrap();
            let answer = line.receive(SHAKE_MIN).unwrap().unwrap();
            assert_eq!(Answer::decode(&open(&mut noise, &answer).unwrap()), Ok(Answer::Accepted));
            let state = noise.into_stateless_transport_mode().unwrap();
            let mut sealed = [0; 4 + TAG];
            state.write_message(0, b"what", &mut sealed).unwrap();
            line.send(&sealed).unwrap();
        });
        let refused = accept(b, &secret(1), PATIENCE, agree).unwrap_err();
        assert!(matches!(&refused, Refused::Stranger(w) if w.contains("confirmation")), "{refused:?}");
    });
}
