//! What the gateway takes from the allocator for one request, counted by valgrind in the binary as it is released.

use std::{fs, path::Path};

use crate::{
    paced::{Form, one_after_the_other},
    servers::Server,
};

/// Requests before it is counted, and of those that are.
const WARM_UP: u64 = 200;
const COUNTED: u64 = 1_000;

/// Allocations, and bytes, for one request, which asks the same each time or not.
pub fn of_a_request(binary: &Path, settings: &[(&str, &str)], is_same: bool) -> (u64, u64) {
    let [few, many] = [WARM_UP, WARM_UP + COUNTED].map(|requests| {
        let gateway = Server::gateway_under_valgrind(binary, settings);
        one_after_the_other(&gateway.url(crate::GENERATE), Form::Generate, requests, is_same);
        let log = gateway.folder().join("valgrind");
        let folder = gateway.stopped();
        let said = fs::read_to_string(log).unwrap();
        drop(folder);
        heap_usage(&said)
    });
    ((many.0 - few.0) / COUNTED, (many.1 - few.1) / COUNTED)
}

/// `total heap usage: 1,234 allocs, 1,200 frees, 56,789 bytes allocated`.
fn heap_usage(said: &str) -> (u64, u64) {
    let (_, line) = said.split_once("total heap usage: ").unwrap_or_else(|| panic!("{said}"));
    let number = |before: &str| {
        let (number, _) = line.split_once(before).unwrap();
        let digits: String = number.chars().rev().take_while(|c| c.is_ascii_digit() || *c == ',').collect();
        digits.chars().rev().filter(char::is_ascii_digit).collect::<String>().parse().unwrap()
    };
    (number(" allocs"), number(" bytes"))
}
