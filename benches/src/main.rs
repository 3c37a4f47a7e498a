//! What the gateway costs beside the least that could be in its place: a bare handler, a bare proxy, a bare `GET`, the provider itself.
//! Both sides are asked in turns, in one run, over sockets of this machine, and what counts is the ratio of each turn. And what it takes
//! by itself: how soon it is there, and how much memory it holds.
//!
//! `scripts/bench` builds both and does all of it, which takes about a quarter of an hour; `scripts/bench hits streams` only these
//! parts, `scripts/bench --seconds 5 --rounds 9` more of each, and `scripts/bench memory --distinct 200000` less than a million.
#![expect(
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    reason = "figures are rounded, and nobody waits for a worker"
)]

mod crowd;
mod floor;
mod memory;
mod paced;
mod provider;
mod servers;
mod start;
mod table;
mod work;
mod wrk;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use servers::Server;
use wrk::{Load, Question};

/// What is compared, or measured.
const PARTS: [&str; 8] = ["hits", "misses", "redis", "latency", "streams", "work", "start", "memory"];
/// Connections that ask at once.
const CONNECTIONS: [usize; 3] = [1, 32, 256];
/// Questions a second, where it is told how long each takes.
const RATE: u64 = 500;
/// Processes that are started, one after the other.
const STARTS: usize = 21;

#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Arguments {
    /// What is compared, or measured. All, when none is named
    #[arg(value_parser = PARTS)]
    parts: Vec<String>,
    /// How long each side is asked in a round
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// How often both sides are asked
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Connections that ask at once. 1, 32 and 256, when none is named
    #[arg(long)]
    connections: Vec<usize>,
    /// Clients, and prompts, after which its memory is looked at
    #[arg(long, default_value_t = 1_000_000)]
    distinct: u64,
    /// The binary that is measured
    #[arg(long, default_value = "target/release/llm-gateway")]
    gateway: PathBuf,
    #[command(subcommand)]
    role: Option<Role>,
}

/// What this program is, when it has started itself.
#[derive(Clone, Subcommand)]
enum Role {
    /// The least that could be in the gateway's place
    #[command(hide = true)]
    Floor {
        port: u16,
        #[arg(long)]
        upstream: Option<String>,
        #[arg(long)]
        redis: Option<String>,
    },
    /// Whom both sides ask
    #[command(hide = true)]
    Provider { port: u16 },
}

/// Who stands on either side.
struct Sides {
    arguments: Arguments,
    provider: Server,
}

fn main() {
    let mut arguments = Arguments::parse();
    match arguments.role.take() {
        Some(Role::Floor { port, upstream, redis }) => return floor::serve(port, upstream, redis),
        Some(Role::Provider { port }) => return provider::serve(port),
        None => {}
    }
    if arguments.connections.is_empty() {
        arguments.connections = CONNECTIONS.to_vec();
    }
    let wanted = std::mem::take(&mut arguments.parts);
    let sides = Sides { arguments, provider: Server::provider() };
    println!("{}\n", table::machine());
    let is_wanted = |part| wanted.is_empty() || wanted.iter().any(|name| name == part);
    for part in PARTS.into_iter().filter(|part| is_wanted(*part)) {
        match part {
            "hits" => sides.hits(),
            "misses" => sides.misses(),
            "redis" => sides.redis(),
            "latency" => sides.latency(),
            "streams" => sides.streams(),
            "work" => sides.work(),
            "start" => sides.start(),
            _ => sides.memory(),
        }
        println!();
    }
}

impl Sides {
    fn gateway(&self, settings: &[(&str, &str)]) -> Server {
        let provider = self.provider.url("/v1");
        Server::gateway(&self.arguments.gateway, &[&Self::always(&provider), settings].concat())
    }

    /// Settings under which nobody is refused, and all that is on in production is on.
    fn always(provider: &str) -> [(&str, &str); 4] {
        [
            ("OPENAI_API_KEY", "x"),
            ("OPENAI_BASE_URL", provider),
            ("RATE_LIMIT_MAX", "100000000"),
            ("NODE_ENV", "production"),
        ]
    }

    /// Answers that are in the process.
    fn hits(&self) {
        let (floor, gateway) = (Server::floor(&[]), self.gateway(&[]));
        self.throughput("hits, against a bare handler with moka", (&floor, "/moka"), &gateway, Question::Same);
    }

    /// Answers that somebody has to be asked for.
    fn misses(&self) {
        let (floor, gateway) = (Server::floor(&["--upstream", &self.provider.url("")]), self.gateway(&[]));
        let what = "misses, against a bare proxy on the same HTTP client";
        self.throughput(what, (&floor, "/proxy"), &gateway, Question::Another);
    }

    /// Answers of which the process has a copy, and whose limiter asks Redis.
    fn redis(&self) {
        let redis = Server::redis();
        let url = redis.redis_url();
        let floor = Server::floor(&["--redis", &url]);
        let gateway = self.gateway(&[("REDIS_URL", &url)]);
        self.throughput(
            "hits in the process, the limiter in Redis, against a bare GET",
            (&floor, "/redis"),
            &gateway,
            Question::Same,
        );
        let before = redis.round_trips();
        let asked =
            wrk::ask(&Load { server: &gateway, path: GENERATE, question: Question::Same, connections: 1, seconds: 1 });
        println!("Round trips of a hit: {:.2}", (redis.round_trips() - before) as f64 / asked.requests as f64);
    }

    fn throughput(&self, what: &str, (floor, path): (&Server, &str), gateway: &Server, question: Question) {
        let Arguments { seconds, rounds, connections, .. } = &self.arguments;
        let mut table = table::Throughput::new(what);
        for connections in connections {
            let load = |server, path| Load { server, path, question, connections: *connections, seconds: *seconds };
            let (floor, gateway) = (load(floor, path), load(gateway, GENERATE));
            // What is asked for the first time is asked for now.
            for side in [&floor, &gateway] {
                wrk::ask(&Load { seconds: 1, ..*side });
            }
            table.row(*connections, &(0..*rounds).map(|_| (wrk::ask(&floor), wrk::ask(&gateway))).collect::<Vec<_>>());
        }
        println!("{table}");
    }

    /// What the processor does for a request.
    fn work(&self) {
        let provider = self.provider.url("/v1");
        for (what, is_same) in [("hit", true), ("miss", false)] {
            let settings = Self::always(&provider);
            let instructions = work::of_a_request(&self.arguments.gateway, &settings, is_same);
            println!("A {what} takes {instructions} instructions, SHA-256 in software.");
        }
    }

    /// How soon it is there.
    fn start(&self) {
        let provider = self.provider.url("/v1");
        let took = start::of_processes(&self.arguments.gateway, &Self::always(&provider), STARTS);
        println!("{}", table::starts("from the spawn to the first 200 of /health", &took));
    }

    /// What it holds, each time in a process of its own.
    fn memory(&self) {
        let (long, dripping) = (self.provider.url("/long/v1"), self.provider.url("/dripping/v1"));
        let models = [("COMPATIBLE_LONG_BASE_URL", &*long), ("COMPATIBLE_DRIPPING_BASE_URL", &*dripping)];
        println!("{}\n", table::memory("what is kept", &memory::of_what_is_kept(&self.gateway(&models))));
        let relay = Server::floor(&["--upstream", &self.provider.url("/dripping")]);
        println!("{}\n", table::memory("what a bare proxy holds", &memory::of_a_relay(&relay)));
        // The usual limit, which remembers more of each than a large one.
        let behind_a_proxy =
            [("RATE_LIMIT_MAX", "20"), ("CLIENT_IP_SOURCE", "XForwardedFor"), ("TRUSTED_PROXIES", "127.0.0.0/8")];
        let clients = memory::of_clients(&self.gateway(&behind_a_proxy), self.arguments.distinct);
        println!("{}\n", table::memory("clients who each ask once", &clients));
        let prompts = memory::of_prompts(&self.gateway(&[]), self.arguments.distinct);
        println!("{}", table::memory("prompts that nobody has asked", &prompts));
    }

    /// How much later an answer comes, where both sides have time.
    fn latency(&self) {
        let relay = Server::floor(&["--upstream", &self.provider.url("")]);
        let gateway = self.gateway(&[]);
        let ways = [
            (self.provider.url("/v1/chat/completions"), paced::Form::OpenAi),
            (relay.url("/proxy"), paced::Form::OpenAi),
            (gateway.url(GENERATE), paced::Form::Generate),
        ];
        let took = paced::answers(&ways, RATE, self.arguments.seconds, self.arguments.rounds);
        let names = ["the provider itself", "through a bare proxy", "through the gateway"];
        println!("{}", table::added(&format!("whole answers, {RATE} misses a second"), &names, took));
    }

    /// How much later the first text of a stream comes.
    fn streams(&self) {
        let relay = Server::floor(&["--upstream", &self.provider.url("")]);
        let gateway = self.gateway(&[]);
        let ways = [
            (self.provider.url("/v1/chat/completions"), paced::Form::OpenAi),
            (relay.url("/proxy"), paced::Form::OpenAi),
            (gateway.url("/v1/chat/completions"), paced::Form::OpenAi),
            (gateway.url(GENERATE), paced::Form::Generate),
        ];
        let took = paced::first_texts(&ways, 300 * self.arguments.seconds, self.arguments.rounds);
        let names =
            ["the provider itself", "through a bare proxy", "through /v1/chat/completions", "through /llm/generate"];
        println!("{}", table::added("the first text of a stream", &names, took));
    }
}

const GENERATE: &str = "/llm/generate";
