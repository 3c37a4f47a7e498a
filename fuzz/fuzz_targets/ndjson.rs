//! Lines of JSON, as Ollama sends them, however they come.

#![no_main]

mod decoding;

use libfuzzer_sys::fuzz_target;
use llm_gateway::providers::{Framing, Ollama};

fuzz_target!(|body: &[u8]| decoding::check(&Ollama, Framing::Lines, body));
