//! Texts near to seeds: cut, doubled, flipped, and mixed with each other.

use std::path::PathBuf;

use proptest::prelude::*;
use proptest::sample::{Index, select};

/// The seeds of one entry.
pub fn seeds(entry: &str) -> Vec<Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(entry);
    let files = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path());
    // Without those that a libFuzzer run has left there, so that the tests are the same everywhere.
    let mut files: Vec<PathBuf> = files.filter(|file| file.extension().is_some()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} holds no seed", folder.display());
    files.into_iter().map(|file| std::fs::read(file).unwrap()).collect()
}

#[derive(Clone, Debug)]
enum Change {
    Cut(Index),
    Flip(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, Index),
    Double(Index, Index),
    Mix(Index, Vec<u8>),
}

impl Change {
    fn apply(&self, text: &mut Vec<u8>) {
        let at = |index: &Index| index.index(text.len() + 1);
        let range = |one: &Index, other: &Index| at(one).min(at(other))..at(one).max(at(other));
        match self {
            Self::Cut(end) => text.truncate(end.index(text.len() + 1)),
            Self::Flip(place, bits) => {
                let place = at(place);
                if let Some(byte) = text.get_mut(place) {
                    *byte ^= bits;
                }
            }
            Self::Insert(place, part) => {
                let place = at(place);
                text.splice(place..place, part.iter().copied());
            }
            Self::Remove(from, to) => {
                let range = range(from, to);
                text.drain(range);
            }
            Self::Double(from, to) => {
                let range = range(from, to);
                let part = text[range.clone()].to_vec();
                text.splice(range.end..range.end, part);
            }
            Self::Mix(place, other) => {
                let place = at(place);
                text.truncate(place);
                text.extend(&other[place.min(other.len())..]);
            }
        }
    }
}

/// Pieces with a meaning in JSON.
const PIECES: [&str; 16] = [
    "null",
    "[",
    "]",
    "{",
    "}",
    "\"",
    ":",
    ",",
    "-1",
    "0",
    "1e15",
    "18446744073709551616",
    "\\u0000",
    "\u{feff}",
    "<html>",
    "00000000-0000-0000-0000-000000000000",
];

fn change(seeds: Vec<Vec<u8>>) -> impl Strategy<Value = Change> {
    let piece = prop_oneof![select(PIECES.to_vec()).prop_map(|piece| piece.as_bytes().to_vec()), prop::collection::vec(any::<u8>(), 1..8)];
    prop_oneof![
        1 => any::<Index>().prop_map(Change::Cut),
        4 => (any::<Index>(), 1..=255u8).prop_map(|(at, bits)| Change::Flip(at, bits)),
        4 => (any::<Index>(), piece).prop_map(|(at, piece)| Change::Insert(at, piece)),
        2 => any::<(Index, Index)>().prop_map(|(from, to)| Change::Remove(from, to)),
        2 => any::<(Index, Index)>().prop_map(|(from, to)| Change::Double(from, to)),
        1 => (any::<Index>(), select(seeds)).prop_map(|(at, other)| Change::Mix(at, other)),
    ]
}

/// A seed of an entry after some changes, or none.
pub fn near(entry: &str) -> impl Strategy<Value = Vec<u8>> + use<> {
    let seeds = seeds(entry);
    (select(seeds.clone()), prop::collection::vec(change(seeds), 0..6)).prop_map(|(mut text, changes)| {
        changes.iter().for_each(|change| change.apply(&mut text));
        text
    })
}
