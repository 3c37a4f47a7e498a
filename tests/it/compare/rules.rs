//! Every rule explains what it is for, and not what is next to it.

use std::{collections::BTreeSet, fs};

use llm_gateway::compare::{Difference, RULES, Strictness, judge};
use serde_json::Value;

use super::{
    cases, cases_of_parts,
    replies::{Case, Near, recorded, reply},
};

fn judged(request: &Value, old: &Value, new: &Value) -> Vec<Difference> {
    judge(&recorded(request), &reply(old), &reply(new), Strictness::default())
}

fn all() -> Vec<Case> {
    [cases::of_replies(), cases_of_parts::of_fields(), cases_of_parts::of_headers()].into_iter().flatten().collect()
}

#[test]
fn a_rule_explains_what_it_is_for_and_nothing_next_to_it() {
    let mut wrong = Vec::new();
    for Case { rule, request, old, new, near } in all() {
        let found = judged(&request, &old, &new);
        let names: Vec<_> = found.iter().map(|difference| difference.rule.map(|rule| rule.name)).collect();
        if !names.contains(&Some(rule)) || names.contains(&None) {
            wrong.push(format!("{rule}: {found:#?}"));
        }
        let found = match &near {
            Near::Request(request) => judged(request, &old, &new),
            Near::Old(old) => judged(&request, old, &new),
            Near::New(new) => judged(&request, &old, new),
        };
        if found.iter().all(|difference| difference.rule.is_some()) {
            wrong.push(format!("near {rule}: {found:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_rule_has_a_case_and_a_name_of_its_own() {
    let names: BTreeSet<_> = RULES.iter().map(|rule| rule.name).collect();
    assert_eq!(names.len(), RULES.len());
    let tried: BTreeSet<_> = all().iter().map(|case| case.rule).collect();
    assert_eq!(names, tried);
}

#[test]
fn the_document_has_every_rule_with_its_number_and_reason() {
    let document = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/compare.md")).unwrap();
    let (_, rules) = document.split_once("| rule | number | reason |").unwrap();
    let rows: Vec<_> = rules.lines().filter(|line| line.starts_with("| `")).collect();
    let expected: Vec<_> =
        RULES.iter().map(|rule| format!("| `{}` | {} | {} |", rule.name, rule.number, rule.reason)).collect();
    assert_eq!(rows, expected);
}
