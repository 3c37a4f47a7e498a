//! What the gateway holds of the machine's memory: when it is idle, with much to keep, and after more clients and prompts than it
//! may keep.

use std::{net::Ipv6Addr, thread::sleep, time::Duration};

use reqwest::{Client, RequestBuilder, header::CONTENT_TYPE};
use serde_json::json;

use crate::{
    GENERATE,
    crowd::Crowd,
    paced::{Form, prompt},
    provider::TEXT,
    servers::{Memory, Server},
};

/// How long it is left alone before it is looked at.
const REST: Duration = Duration::from_secs(5);
/// Answers that are cached, and streams that are open besides.
const ANSWERS: u64 = 10_000;
const STREAMS: u64 = 1_000;
/// What an idle gateway may hold, and one with all of these, in MB.
const IDLE: f64 = 15.0;
const BUSY: f64 = 64.0;
/// How much more it may hold after all of them than after half: the tables are full by then.
const GROWTH: f64 = 1.05;

/// When it was looked at, what it held, and what it may hold, in MB.
pub struct Row {
    pub what: String,
    pub held: Memory,
    pub line: Option<f64>,
}

impl Row {
    fn of(what: impl Into<String>, gateway: &Server, line: Option<f64>) -> Self {
        sleep(REST);
        Self { what: what.into(), held: gateway.memory(), line }
    }
}

/// When it has just started, with answers of the model `long`, and with streams of the model `dripping` besides.
pub fn of_what_is_kept(gateway: &Server) -> Vec<Row> {
    let mut rows = vec![Row::of("idle", gateway, Some(IDLE))];
    let crowd = Crowd::new();
    crowd.ask(0..ANSWERS, |client, number| generate(client, gateway, "long:any", number, false));
    rows.push(Row::of(format!("{ANSWERS} cached answers of 2 KB"), gateway, Some(BUSY)));
    let beginning = &TEXT.as_bytes()[..14];
    let streams =
        crowd.begin(0..STREAMS, beginning, |client, number| generate(client, gateway, "dripping:any", number, true));
    rows.push(Row::of(format!("and {} open streams", streams.len()), gateway, Some(BUSY)));
    rows
}

/// What a bare proxy holds, and how much more with as many open streams: what both sides of HTTP take by themselves.
pub fn of_a_relay(relay: &Server) -> Vec<Row> {
    let mut rows = vec![Row::of("a bare proxy, idle", relay, None)];
    let streams = Crowd::new().begin(0..STREAMS, &TEXT.as_bytes()[..14], |client, number| {
        let question = Form::OpenAi.question(&number.to_string(), true);
        client.post(relay.url("/proxy")).header(CONTENT_TYPE, "application/json").body(question)
    });
    rows.push(Row::of(format!("and {} open streams", streams.len()), relay, None));
    rows
}

/// After so many clients, of whom each asks once, and the same. The gateway believes what `X-Forwarded-For` says.
pub fn of_clients(gateway: &Server, clients: u64) -> Vec<Row> {
    let crowd = Crowd::new();
    grown("clients", gateway, clients, |from, to| {
        crowd.ask(from..to, |client, number| {
            // A household each: nobody has as many IPv4 addresses.
            let address = Ipv6Addr::from_bits(0x2001_0db8 << 96 | u128::from(number) << 64 | 1);
            posted(client, gateway, Form::Generate.question("", false)).header("x-forwarded-for", address.to_string())
        });
    })
}

/// After so many prompts, of which each is another.
pub fn of_prompts(gateway: &Server, prompts: u64) -> Vec<Row> {
    let crowd = Crowd::new();
    grown("prompts", gateway, prompts, |from, to| {
        crowd.ask(from..to, |client, number| generate(client, gateway, "openai:gpt-4o", number, false));
    })
}

/// After a tenth of them, after half, and after all.
fn grown(whose: &str, gateway: &Server, most: u64, ask: impl Fn(u64, u64)) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let mut asked = 0;
    for number in [most / 10, most / 2, most] {
        ask(asked, number);
        asked = number;
        let line = rows.last().filter(|_| number == most).map(|half| half.held.now * GROWTH);
        rows.push(Row::of(format!("after {number} {whose}"), gateway, line));
    }
    rows
}

fn generate(client: &Client, gateway: &Server, model: &str, number: u64, streaming: bool) -> RequestBuilder {
    let prompt = prompt(&number.to_string());
    posted(client, gateway, json!({"prompt": prompt, "model": model, "streaming": streaming}).to_string())
}

fn posted(client: &Client, gateway: &Server, question: String) -> RequestBuilder {
    client.post(gateway.url(GENERATE)).header(CONTENT_TYPE, "application/json").body(question)
}
