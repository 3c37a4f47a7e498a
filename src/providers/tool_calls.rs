//! Calls of tools as vendors tell of them, in pieces that are passed on at once.

use std::collections::BTreeMap;

use bytes::Bytes;
use uuid::Uuid;

use crate::generate::{ErrorKind, ToolPiece};

use super::Delta;

/// More calls at once than any vendor makes: what is beyond is nonsense, not a reason to fill memory.
const MAX_CALLS: usize = 128;
/// More than any arguments take that come before it is said what is called.
const MAX_EARLY_BYTES: usize = 64 << 10;

/// More than any vendor says when it refuses.
pub(super) const MAX_REFUSAL_BYTES: usize = 64 << 10;

/// The calls of one answer, by the places that the vendor gives them; those need not follow on one another.
#[derive(Default)]
pub(super) struct Calls {
    by_place: BTreeMap<usize, Call>,
    begun: usize,
}

/// What is known of a call.
#[derive(Default)]
struct Call {
    /// Its number among those that have begun. `None`: it has not, because nobody has said yet which function is called.
    number: Option<usize>,
    id: String,
    /// Arguments that came before the name.
    early: String,
    has_arguments: bool,
}

/// What a vendor says of a call at once. What it leaves out it may have said before.
#[derive(Default)]
pub(super) struct CallPart<'a> {
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
    pub(super) signature: Option<String>,
    pub(super) arguments: &'a str,
}

impl Calls {
    /// Takes what is said of the call at this place and adds what it means to `out`. Of id and name, the first counts, unless both
    /// come where a call with another id stands: then another has taken its place. Arguments follow on.
    ///
    /// # Errors
    /// When it is more than any vendor says.
    pub(super) fn add(&mut self, at: usize, part: CallPart<'_>, out: &mut Vec<Delta>) -> Result<(), ErrorKind> {
        let CallPart { id, name, signature, arguments } = part;
        let is_named = name.as_ref().is_some_and(|name| !name.is_empty());
        let is_other = |call: &Call| {
            let is_new = |id: &String| !id.is_empty() && *id != call.id;
            // An id that comes after the name is that call's own.
            let is_known = call.number.is_some() && !call.id.is_empty();
            is_known && is_named && id.as_ref().is_some_and(is_new)
        };
        if let Some(mut before) = self.by_place.get_mut(&at).filter(|call| is_other(call)).map(std::mem::take) {
            before.end(out)?;
        }
        let there = self.by_place.get(&at);
        let begins = there.is_none_or(|call| call.number.is_none());
        if (begins && self.begun >= MAX_CALLS) || (there.is_none() && self.by_place.len() >= MAX_CALLS) {
            return Err(ErrorKind::BadResponse);
        }
        let call = self.by_place.entry(at).or_default();
        if call.id.is_empty() {
            call.id = id.unwrap_or_default();
        }
        let Some(of) = call.number else {
            call.early.push_str(arguments);
            if call.early.len() > MAX_EARLY_BYTES {
                return Err(ErrorKind::BadResponse);
            }
            let Some(name) = name.filter(|_| is_named) else { return Ok(()) };
            let of = self.begun;
            self.begun += 1;
            call.number = Some(of);
            out.push(Delta::Tool(ToolPiece::Begin { id: given_or_new(&call.id), name, signature }));
            let early = std::mem::take(&mut call.early);
            call.pass_on(of, early, out);
            return Ok(());
        };
        call.pass_on(of, arguments.to_owned(), out);
        Ok(())
    }

    /// The same of the call that follows on the last.
    pub(super) fn add_next(&mut self, part: CallPart<'_>, out: &mut Vec<Delta>) -> Result<(), ErrorKind> {
        self.add(self.last().map_or(0, |last| last + 1), part, out)
    }

    /// Takes a whole call, unless something of it has come in pieces.
    pub(super) fn add_whole(&mut self, at: usize, part: CallPart<'_>, out: &mut Vec<Delta>) -> Result<(), ErrorKind> {
        match self.by_place.get_mut(&at) {
            Some(call) if call.has_arguments => return Ok(()),
            // Pieces that nobody could be told of yet: the whole says them again.
            Some(call) if !part.arguments.is_empty() => call.early.clear(),
            _ => {}
        }
        self.add(at, part, out)
    }

    /// Where the call with this id stands. `None`: there is none, or it has no id.
    pub(super) fn place_of(&self, id: &str) -> Option<usize> {
        let is_it = |call: &Call| !id.is_empty() && call.id == id;
        self.by_place.iter().find(|(_, call)| is_it(call)).map(|(at, _)| *at)
    }

    /// The place of the last call.
    pub(super) fn last(&self) -> Option<usize> {
        self.by_place.last_key_value().map(|(at, _)| *at)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_place.is_empty()
    }

    /// The answer is over: a call without arguments has empty ones.
    ///
    /// # Errors
    /// When nobody has said which function is called.
    pub(super) fn end(&mut self, out: &mut Vec<Delta>) -> Result<(), ErrorKind> {
        self.by_place.values_mut().try_for_each(|call| call.end(out))
    }
}

impl Call {
    fn end(&mut self, out: &mut Vec<Delta>) -> Result<(), ErrorKind> {
        let of = self.number.ok_or(ErrorKind::BadResponse)?;
        if !self.has_arguments {
            self.pass_on(of, "{}".to_owned(), out);
        }
        Ok(())
    }

    fn pass_on(&mut self, of: usize, arguments: String, out: &mut Vec<Delta>) {
        if !arguments.is_empty() {
            self.has_arguments = true;
            out.push(Delta::Tool(ToolPiece::Arguments { of, text: Bytes::from(arguments) }));
        }
    }
}

/// The vendor's id, or one that no other call of the conversation has.
fn given_or_new(id: &str) -> String {
    if id.is_empty() { format!("call_{}", Uuid::new_v4().simple()) } else { id.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part<'a>(id: &str, name: &str, arguments: &'a str) -> CallPart<'a> {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        CallPart { id: some(id), name: some(name), signature: None, arguments }
    }

    fn begin(id: &str, name: &str) -> Delta {
        Delta::Tool(ToolPiece::Begin { id: id.to_owned(), name: name.to_owned(), signature: None })
    }

    fn arguments(of: usize, text: &'static str) -> Delta {
        Delta::Tool(ToolPiece::Arguments { of, text: text.into() })
    }

    #[test]
    fn a_call_is_its_pieces_in_order_and_lacks_nothing() {
        let (mut calls, mut out) = (Calls::default(), Vec::new());
        for (at, part) in [
            (7, part("a", "f", "")),
            (2, part("b", "", "{")),
            (7, part("a", "f", "{\"x\"")),
            (2, part("", "g", "}")),
            (7, part("", "", ":1}")),
            (9, part("c", "h", "")),
        ] {
            calls.add(at, part, &mut out).unwrap();
        }
        calls.end(&mut out).unwrap();
        let expected = [
            begin("a", "f"),
            arguments(0, "{\"x\""),
            begin("b", "g"),
            arguments(1, "{}"),
            arguments(0, ":1}"),
            begin("c", "h"),
            arguments(2, "{}"),
        ];
        assert_eq!(out, expected);
    }

    #[test]
    fn a_call_of_nothing_is_an_error() {
        let (mut calls, mut out) = (Calls::default(), Vec::new());
        calls.add(0, part("a", "", "{}"), &mut out).unwrap();
        assert_eq!((calls.end(&mut out), out), (Err(ErrorKind::BadResponse), Vec::new()));
    }

    #[test]
    fn calls_without_an_id_get_one_of_their_own() {
        let (mut calls, mut out) = (Calls::default(), Vec::new());
        calls.add(0, part("", "f", "{}"), &mut out).unwrap();
        calls.add(1, part("", "f", "{}"), &mut out).unwrap();
        let mut ids: Vec<_> = out
            .iter()
            .filter_map(|delta| match delta {
                Delta::Tool(ToolPiece::Begin { id, .. }) => Some(id),
                _ => None,
            })
            .collect();
        ids.dedup();
        assert!(ids.len() == 2 && ids.iter().all(|id| id.starts_with("call_") && id.len() == 37), "{ids:?}");
    }

    #[test]
    fn another_call_in_the_same_place_is_another_call() {
        let (mut calls, mut out) = (Calls::default(), Vec::new());
        for part in [part("a", "f", "{}"), part("b", "g", ""), part("c", "h", "{\"y\":2}")] {
            calls.add(0, part, &mut out).unwrap();
        }
        calls.end(&mut out).unwrap();
        let expected = [
            begin("a", "f"),
            arguments(0, "{}"),
            begin("b", "g"),
            arguments(1, "{}"),
            begin("c", "h"),
            arguments(2, "{\"y\":2}"),
        ];
        assert_eq!(out, expected);
    }

    #[test]
    fn an_id_that_comes_late_begins_no_other_call() {
        let (mut calls, mut out) = (Calls::default(), Vec::new());
        for part in [part("", "f", ""), part("a", "f", "{\"x\":"), part("a", "f", "1}"), part("b", "g", "{}")] {
            calls.add(0, part, &mut out).unwrap();
        }
        calls.end(&mut out).unwrap();
        let Some(Delta::Tool(ToolPiece::Begin { name, .. })) = out.first() else { panic!("{out:?}") };
        assert_eq!(name, "f");
        let expected = [arguments(0, "{\"x\":"), arguments(0, "1}"), begin("b", "g"), arguments(1, "{}")];
        assert_eq!(out[1..], expected);
    }

    #[test]
    fn a_whole_call_replaces_the_pieces_that_came_before_its_name() {
        for (whole, expected) in [("{\"x\":1}", "{\"x\":1}"), ("", "{\"x\"")] {
            let (mut calls, mut out) = (Calls::default(), Vec::new());
            calls.add(0, part("", "", "{\"x\""), &mut out).unwrap();
            calls.add_whole(0, part("a", "f", whole), &mut out).unwrap();
            calls.add_whole(0, part("a", "f", "{\"x\":1}"), &mut out).unwrap();
            assert_eq!(out, [begin("a", "f"), arguments(0, expected)]);
        }
    }

    #[test]
    fn the_last_call_that_is_taken_is_taken_whole() {
        let (mut calls, mut out) = (Calls::default(), Vec::new());
        for at in 0..MAX_CALLS {
            calls.add(at, part(&at.to_string(), "f", "{"), &mut out).unwrap();
        }
        for at in 0..MAX_CALLS {
            calls.add(at, part("", "", "}"), &mut out).unwrap();
        }
        calls.end(&mut out).unwrap();
    }

    #[test]
    fn an_endless_row_of_calls_is_not_kept() {
        for place in [0, 1_000] {
            let (mut calls, mut out) = (Calls::default(), Vec::new());
            let mut all = (0..1_000).map(|at| calls.add(at * place, part(&at.to_string(), "f", "{}"), &mut out));
            assert_eq!(all.position(|added| added == Err(ErrorKind::BadResponse)), Some(MAX_CALLS));
        }
        let (mut calls, mut out) = (Calls::default(), Vec::new());
        let mut all = (0..100).map(|_| calls.add(0, part("a", "", &"x".repeat(1_000)), &mut out));
        assert!(all.any(|added| added == Err(ErrorKind::BadResponse)), "nobody says what is called");
    }
}
