//! Server-sent events of any vendor, however they come.

#![no_main]

mod decoding;

use libfuzzer_sys::fuzz_target;
use llm_gateway::providers::{Anthropic, ChatVendor, Framing, Gemini, OpenAiChat, OpenAiResponses};

fuzz_target!(|body: &[u8]| {
    decoding::check(&OpenAiChat::new(ChatVendor::OpenAi), Framing::Events, body);
    decoding::check(&OpenAiChat::new(ChatVendor::Compatible), Framing::Events, body);
    decoding::check(&OpenAiResponses, Framing::Events, body);
    decoding::check(&Anthropic, Framing::Events, body);
    decoding::check(&Gemini, Framing::Events, body);
});
