//! Whatever answers in place of Upstash, it is read or refused, and an error repeats nothing of it but a code.

#![no_main]

use libfuzzer_sys::fuzz_target;
use llm_gateway::stores::{
    StoreError,
    redis::rest_reply::{read_all, read_one},
};

fuzz_target!(|body: &[u8]| {
    check(read_one(body).err());
    for count in 0..4 {
        match read_all(body, count) {
            Ok(replies) => {
                assert_eq!(replies.len(), count);
                replies.into_iter().for_each(|reply| check(reply.err()));
            }
            Err(error) => check(Some(error)),
        }
    }
});

/// The longest text of our own.
fn check(error: Option<StoreError>) {
    let Some(error) = error else { return };
    let text = error.to_string();
    assert!(text.len() < 100 && text.is_ascii(), "{text}");
}
