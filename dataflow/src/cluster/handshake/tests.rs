//! Tests of the handshake between processes: agreement, wrong secrets, skew, sizes.

use super::line::{MAGIC, VERSION};
use super::*;
use crate::cluster::testing::{PATIENCE, introduction, pair, secret};
use proptest::prelude::*;
use std::io::{Read, Write};
use std::time::Instant;

pub(super) fn terms() -> Terms {
    Terms::new().with("run", "blue").with("build", "3f2a")
}

pub(super) fn agree(_: &Introduction) -> Result<Terms, String> {
    Ok(terms())
}

type Met = (Result<Channel, Refused>, Result<(Introduction, Channel), Refused>);

/// Lets two processes meet.
fn meet(
    secrets: (u8, u8),
    introduction: &Introduction,
    decide: impl FnOnce(&Introduction) -> Result<Terms, String> + Send,
) -> Met {
    let (a, b) = pair();
    std::thread::scope(|scope| {
        let there = scope.spawn(move || accept(b, &secret(secrets.1), PATIENCE, decide));
        let here = initiate(a, &secret(secrets.0), introduction, PATIENCE);
        (here, there.join().unwrap())
    })
}

/// Bytes on the wire.
pub(super) fn framed(version: u16, length: usize, message: &[u8]) -> Vec<u8> {
    [&MAGIC[..], &version.to_be_bytes(), &(length as u16).to_be_bytes(), message].concat()
}

#[test]
fn who_agrees_gets_a_channel() {
    for encrypt in [false, true] {
        let own = introduction(encrypt, terms());
        let (here, there) = meet((1, 1), &own, agree);
        let (mut here, (seen, mut there)) = (here.unwrap(), there.unwrap());
        assert_eq!(seen, own);
        assert_eq!((here.is_encrypted(), there.is_encrypted()), (encrypt, encrypt));
        for (from, to) in [(0, 1), (1, 0)] {
            let ends = [&mut here, &mut there];
            let [from, to] = if from < to {
                ends
            } else {
                let [a, b] = ends;
                [b, a]
            };
            from.set_read_timeout(Some(PATIENCE)).unwrap();
            to.set_read_timeout(Some(PATIENCE)).unwrap();
            from.write_all(b"some words").unwrap();
            let mut words = [0; 10];
            to.read_exact(&mut words).unwrap();
            assert_eq!(&words, b"some words");
        }
    }
}

#[test]
fn what_follows_the_handshake_at_once_is_not_swallowed() {
    for encrypt in [false, true] {
        let (a, b) = pair();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let mut here = initiate(a, &secret(1), &introduction(encrypt, terms()), PATIENCE).unwrap();
                here.write_all(b"straight on").unwrap();
            });
            let (_, mut there) = accept(b, &secret(1), PATIENCE, |i| {
                assert_eq!(i.note, b"a note");
                agree(i)
            })
            .unwrap();
            there.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut words = String::new();
            there.read_to_string(&mut words).unwrap();
            assert_eq!(words, "straight on");
        });
    }
}

#[test]
fn a_wrong_secret_is_named_on_both_sides() {
    let begun = Instant::now();
    let own = introduction(true, terms());
    let (here, there) = meet((1, 2), &own, |_| panic!("it was read"));
    assert!(matches!(here, Err(Refused::Secret)), "{here:?}");
    assert!(matches!(there, Err(Refused::Secret)), "{there:?}");
    assert!(begun.elapsed() < PATIENCE / 2, "nobody waits");
}

#[test]
fn differences_are_named_from_either_side() {
    let theirs = || Terms::new().with("run", "blue").with("build", "91bc").with("slots", 4);
    let own = introduction(true, terms());
    let (here, there) = meet((1, 1), &own, |_| Ok(theirs()));
    let (Err(Refused::Differs(here)), Err(Refused::Differs(there))) = (here, there) else { panic!() };
    assert_eq!(here, ["build: 3f2a here, 91bc there", "slots: nothing here, 4 there"]);
    assert_eq!(there, ["build: 91bc here, 3f2a there", "slots: 4 here, nothing there"]);
}

#[test]
fn declining_gives_the_reason() {
    let own = introduction(true, terms());
    let (here, there) = meet((1, 1), &own, |i| Err(format!("process {} is here already", i.from)));
    for refused in [here.map(|_| ()), there.map(|_| ())] {
        let Err(Refused::Declined(reason)) = refused else { panic!("{refused:?}") };
        assert_eq!(reason, "process 2 is here already");
    }
    // A reason of any length, and of any letters.
    let (here, _) = meet((1, 1), &own, |_| Err("ä\u{1b}".repeat(40_000)));
    let Err(Refused::Declined(reason)) = here else { panic!("{here:?}") };
    assert!(reason.len() > 1000 && reason.len() < 3000 && reason.starts_with("ä\u{fffd}"));
}

#[test]
fn another_version_is_named_on_both_sides() {
    let (mut a, b) = pair();
    a.write_all(&framed(7, 60, &[1; 60])).unwrap();
    let Err(Refused::Differs(lines)) = accept(b, &secret(1), PATIENCE, agree) else { panic!() };
    assert_eq!(lines, [format!("protocol version: {VERSION} here, 7 there")]);
    // The other side is told, and its own version would say so.
    let mut answer = vec![];
    a.read_to_end(&mut answer).unwrap();
    assert_eq!(answer, framed(VERSION, 0, &[]));
    let (a, mut b) = pair();
    b.write_all(&framed(7, 0, &[])).unwrap();
    let refused = initiate(a, &secret(1), &introduction(true, terms()), PATIENCE).unwrap_err();
    let Refused::Differs(lines) = refused else { panic!("{refused:?}") };
    assert_eq!(lines, [format!("protocol version: {VERSION} here, 7 there")]);
}

#[test]
fn what_is_too_large_is_refused_before_it_is_sent() {
    let mut own = introduction(true, terms());
    for note in [MESSAGE_MAX, 70_000] {
        own.note = vec![0; note];
        let (a, mut b) = pair();
        let refused = initiate(a, &secret(1), &own, PATIENCE).unwrap_err();
        assert!(matches!(&refused, Refused::Io(e) if e.kind() == ErrorKind::InvalidInput), "{refused:?}");
        assert_eq!(b.read(&mut [0; 1]).unwrap(), 0);
    }
    own.note = vec![0; 16_000];
    let (here, there) = meet((1, 1), &own, agree);
    assert!(here.is_ok() && there.unwrap().0 == own);
}

#[test]
fn refusals_say_what_to_check() {
    let cases = [
        (Refused::Differs(vec!["build: a here, b there".to_string()]), "build: a here, b there"),
        (Refused::Secret, "the same secret"),
        (Refused::Declined("full".to_string()), "full"),
        (Refused::Stranger("it began with \"GET\"".to_string()), "check the address and the port"),
        (Refused::Late, "check that it runs"),
        (Refused::Io(ErrorKind::AddrInUse.into()), "address in use"),
    ];
    for (refused, named) in cases {
        assert!(refused.to_string().contains(named), "{refused}");
    }
    assert_eq!(DEADLINE, Duration::from_secs(2));
}

proptest! {
    #[test]
    fn introductions_and_answers_survive_their_encoding(
        purpose in prop::sample::select(vec![
            Purpose::Control, Purpose::Mesh, Purpose::Worker, Purpose::Status, Purpose::Scale,
        ]),
        from in any::<u32>(), to in any::<u32>(), encrypt in any::<bool>(),
        pairs in prop::collection::vec((".{0,10}", ".{0,30}"), 0..9),
        note in prop::collection::vec(any::<u8>(), 0..300),
        reason in ".{0,300}",
    ) {
        let terms = pairs.into_iter().fold(Terms::new(), |t, (n, v)| t.with(n, v));
        let introduction = Introduction { purpose, from, to, encrypt, terms: terms.clone(), note };
        prop_assert_eq!(Introduction::decode(&introduction.encode().unwrap()), Ok(introduction));
        let reason = printable(&reason);
        for answer in [Answer::Accepted, Answer::Differs(terms), Answer::Declined(reason)] {
            prop_assert_eq!(Answer::decode(&answer.encode().unwrap()), Ok(answer));
        }
    }
}
