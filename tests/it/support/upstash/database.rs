//! Runs commands on Redis as the vendor would, and counts what it would charge for.

use std::{
    collections::{BTreeMap, HashMap},
    io,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{
    protocol::{Asked, Form, name},
    resp::{Answer, Connection, Words},
    scripts::Scripts,
};
use crate::support::redis_server::RedisServer;

/// What needs a connection of its own.
const REFUSED: &[&str] = &[
    "AUTH",
    "HELLO",
    "SELECT",
    "CLIENT",
    "QUIT",
    "RESET",
    "MULTI",
    "EXEC",
    "DISCARD",
    "WATCH",
    "UNWATCH",
    "MONITOR",
    "SUBSCRIBE",
    "PSUBSCRIBE",
    "SSUBSCRIBE",
    "UNSUBSCRIBE",
    "PUNSUBSCRIBE",
    "SUNSUBSCRIBE",
    "WAIT",
];

const KEY_LIMIT_BYTES: usize = 32 * 1024;

pub(super) struct Database {
    port: u16,
    password: Option<String>,
    /// What Redis says of each command: `write`, `blocking`, …
    flags: HashMap<String, Vec<String>>,
    scripts: Scripts,
    pub(super) counts: Mutex<BTreeMap<String, u64>>,
    /// Units that are left.
    pub(super) quota: AtomicU64,
}

impl Database {
    pub(super) async fn open(redis: &RedisServer) -> Self {
        let (port, password) = (redis.port(), redis.password().map(str::to_owned));
        let mut connection = Connection::open(port, password.as_deref()).await.unwrap();
        let flags = flags(connection.call(&["COMMAND"]).await.unwrap());
        let (scripts, counts) = Default::default();
        Self { port, password, flags, scripts, counts, quota: AtomicU64::new(u64::MAX) }
    }

    /// One answer a command, or why the request as a whole is refused.
    pub(super) async fn run(&self, asked: &Asked, reads_only: bool) -> io::Result<Result<Vec<Answer>, String>> {
        if (asked.commands.len() as u64) > self.quota.load(Ordering::SeqCst) {
            return Ok(Err(QUOTA_EXCEEDED.into()));
        }
        let mut connection = Connection::open(self.port, self.password.as_deref()).await?;
        if asked.form == Form::Transaction {
            return self.transaction(&mut connection, asked, reads_only).await;
        }
        let mut answers = Vec::new();
        for words in &asked.commands {
            answers.push(match self.refusal(&mut connection, words, reads_only).await? {
                Some(refusal) => Answer::Error(refusal),
                None => self.command(&mut connection, words).await?,
            });
        }
        Ok(Ok(answers))
    }

    async fn command(&self, connection: &mut Connection, words: &Words) -> io::Result<Answer> {
        let (sent, reading) = self.scripts.translate(words);
        let (answer, called) = reading.read(connection.call(&sent).await?);
        self.count(words, called);
        Ok(reworded(answer))
    }

    async fn transaction(
        &self,
        connection: &mut Connection,
        asked: &Asked,
        reads_only: bool,
    ) -> io::Result<Result<Vec<Answer>, String>> {
        let discarded = |text| Ok(Err(format!("EXECABORT Transaction discarded because of: {text}")));
        for words in &asked.commands {
            if let Some(refusal) = self.refusal(connection, words, reads_only).await? {
                return discarded(refusal);
            }
        }
        connection.call(&["MULTI"]).await?;
        let mut readings = Vec::new();
        for words in &asked.commands {
            let (sent, reading) = self.scripts.translate(words);
            if let Answer::Error(text) = connection.call(&sent).await? {
                return discarded(text);
            }
            readings.push(reading);
        }
        let answers = match connection.call(&["EXEC"]).await? {
            Answer::Array(answers) => answers,
            other => return discarded(format!("{other:?}")),
        };
        let read = asked.commands.iter().zip(readings).zip(answers).map(|((words, reading), answer)| {
            let (answer, called) = reading.read(answer);
            self.count(words, called);
            reworded(answer)
        });
        Ok(Ok(read.collect()))
    }

    async fn refusal(
        &self,
        connection: &mut Connection,
        words: &Words,
        reads_only: bool,
    ) -> io::Result<Option<String>> {
        let name = name(words);
        if self.is_refused(&name, words) {
            return Ok(Some(format!("ERR Command \"{name}\" is not allowed in REST API")));
        }
        if !self.flags.contains_key(&name) {
            return Ok(Some(format!("ERR Command is not available: '{name}'")));
        }
        if reads_only && (self.is(&name, "write") || is_script(&name) || name == "SCAN" || name == "KEYS") {
            let name = name.to_ascii_lowercase();
            return Ok(Some(format!("NOPERM this user has no permissions to run the '{name}' command")));
        }
        if words.iter().all(|word| word.len() <= KEY_LIMIT_BYTES) {
            return Ok(None);
        }
        let question: Vec<&[u8]> =
            [&b"COMMAND"[..], b"GETKEYS"].into_iter().chain(words.iter().map(Vec::as_slice)).collect();
        let Answer::Array(keys) = connection.call(&question).await? else { return Ok(None) };
        let too_long = keys.iter().find_map(|key| match key {
            Answer::Text(key) if key.len() > KEY_LIMIT_BYTES => Some(key.len()),
            _ => None,
        });
        Ok(too_long
            .map(|bytes| format!("ERR max key size exceeded. Limit: {KEY_LIMIT_BYTES} bytes, Actual: {bytes} bytes")))
    }

    fn is_refused(&self, name: &str, words: &Words) -> bool {
        let blocks = || !name.starts_with("XREAD") || words.iter().any(|word| word.eq_ignore_ascii_case(b"BLOCK"));
        REFUSED.contains(&name) || (self.is(name, "blocking") && blocks())
    }

    /// Whether a full database refuses it.
    pub(super) fn needs_room(&self, name: &str) -> bool {
        self.is(name, "denyoom") || is_script(name)
    }

    fn is(&self, name: &str, flag: &str) -> bool {
        self.flags.get(name).is_some_and(|flags| flags.iter().any(|other| other == flag))
    }

    fn count(&self, words: &Words, called: Vec<String>) {
        let mut counts = self.counts.lock().unwrap();
        for name in called.into_iter().chain([name(words)]) {
            *counts.entry(name).or_default() += 1;
            self.quota.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| Some(left.saturating_sub(1))).unwrap();
        }
    }
}

pub(super) const QUOTA_EXCEEDED: &str = "ERR max requests limit exceeded. Limit: 500000, Usage: 500000. See \
    https://upstash.com/docs/redis/troubleshooting/max_requests_limit for details";

fn is_script(name: &str) -> bool {
    name.starts_with("EVAL") || name == "SCRIPT"
}

/// The vendor's words differ from Redis's in places, so nobody may lean on them.
fn reworded(answer: Answer) -> Answer {
    match answer {
        Answer::Error(text) => Answer::Error(text.replace("is not an integer or", "is not an int or")),
        other => other,
    }
}

fn flags(commands: Answer) -> HashMap<String, Vec<String>> {
    let Answer::Array(commands) = commands else { panic!("{commands:?}") };
    let text = |answer: &Answer| match answer {
        Answer::Text(text) => String::from_utf8_lossy(text).into_owned(),
        other => panic!("{other:?}"),
    };
    let entry = |command: &Answer| match command {
        Answer::Array(parts) => match parts.as_slice() {
            [name, _, Answer::Array(flags), ..] => (text(name).to_ascii_uppercase(), flags.iter().map(text).collect()),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    };
    commands.iter().map(entry).collect()
}
