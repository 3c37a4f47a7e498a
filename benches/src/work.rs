//! What the processor does for one request, counted by valgrind in the binary as it is released.

use std::{fs, path::Path};

use crate::{
    paced::{Form, one_after_the_other},
    servers::Server,
};

/// Requests before it is counted, and of those that are.
const WARM_UP: u64 = 200;
const COUNTED: u64 = 1_000;

/// Instructions for one request, which asks the same each time or not. SHA-256 counts for more than it is: valgrind's processor has no
/// instructions for it.
pub fn of_a_request(binary: &Path, settings: &[(&str, &str)], is_same: bool) -> u64 {
    let [few, many] = [WARM_UP, WARM_UP + COUNTED].map(|requests| {
        let gateway = Server::gateway_under_valgrind(binary, settings);
        one_after_the_other(&gateway.url(crate::GENERATE), Form::Generate, requests, is_same);
        let log = gateway.folder().join("valgrind");
        let folder = gateway.stopped();
        let said = fs::read_to_string(log).unwrap();
        drop(folder);
        instructions(&said)
    });
    (many - few) / COUNTED
}

/// `I   refs:      1,234,567`.
fn instructions(said: &str) -> u64 {
    let (_, number) = said.rsplit_once("refs:").unwrap_or_else(|| panic!("{said}"));
    let number = number.lines().next().unwrap();
    number.chars().filter(char::is_ascii_digit).collect::<String>().parse().unwrap()
}
