//! Scripts as the vendor takes them, made into scripts that Redis takes.
//!
//! Redis refuses the flag `allow-key-locking`, and tells nobody what a script called. So the text is wrapped, and
//! Redis knows it under another SHA1 than the client does. The wrapped script answers what was called and, after
//! that, what the script itself answered. Under the flag it asks `COMMAND GETKEYS` before each call, which shows in
//! Redis's own statistics and is not counted here.

use std::{collections::HashMap, sync::Mutex};

use super::resp::{Answer, Words};

const FLAG: &str = "allow-key-locking";

/// On one line, so that errors keep the line of the client's text.
const BEFORE: &str = "local called = {} \
    local inner = redis \
    local declared = {} for _, key in ipairs(KEYS) do declared[key] = true end \
    local function refusal(...) \
        if not LOCKED then return nil end \
        local keys = inner.pcall('command', 'getkeys', ...) \
        if type(keys) ~= 'table' or keys.err then return nil end \
        for _, key in ipairs(keys) do if not declared[key] then \
            return {err = 'ERR Dynamic keys are not allowed in Lua scripts when \\'allow-key-locking\\' flag is set. \
Key was: ' .. key} \
        end end \
    end \
    local function ask(how, name, ...) \
        local refused = refusal(name, ...) \
        if refused then return refused end \
        called[#called + 1] = string.upper(tostring(name)) \
        return how(name, ...) \
    end \
    local redis = setmetatable({ \
        pcall = function(...) return ask(inner.pcall, ...) end, \
        call = function(...) \
            local answer = ask(inner.pcall, ...) \
            if type(answer) == 'table' and answer.err then error(answer) end \
            return answer \
        end \
    }, {__index = inner}) \
    local function script() ";

const AFTER: &str = "\nend \
    local fine, answer = xpcall(script, function(failure) return failure end) \
    if not fine and type(answer) ~= 'table' then answer = {err = 'ERR ' .. tostring(answer)} end \
    return {called, answer}";

/// By the SHA1 of what the client sent, the SHA1 that Redis knows.
#[derive(Default)]
pub(super) struct Scripts(Mutex<HashMap<String, String>>);

/// How the answer to a command must be read.
pub(super) enum Reading {
    AsItIs,
    /// The answer of a wrapped script.
    Wrapped,
    /// The SHA1 of a text that the client sent.
    Sha1(String),
}

impl Scripts {
    /// What Redis is sent in place of `words`.
    pub(super) fn translate(&self, words: &Words) -> (Words, Reading) {
        let mut sent = words.clone();
        let word = |place: usize| words.get(place).map(|word| String::from_utf8_lossy(word).into_owned());
        let known = |sha1: &str| self.0.lock().unwrap().get(&sha1.to_ascii_lowercase()).cloned();
        let name = word(0).unwrap_or_default().to_ascii_uppercase();
        match (name.as_str(), word(1)) {
            ("EVAL" | "EVAL_RO", Some(text)) => {
                sent[1] = self.wrap(&text).1.into_bytes();
                (sent, Reading::Wrapped)
            }
            ("EVALSHA" | "EVALSHA_RO", Some(sha1)) => match known(&sha1) {
                Some(other) => {
                    sent[1] = other.into_bytes();
                    (sent, Reading::Wrapped)
                }
                None => (sent, Reading::AsItIs),
            },
            ("SCRIPT", Some(what)) if what.eq_ignore_ascii_case("LOAD") && words.len() == 3 => {
                let (sha1, text) = self.wrap(&word(2).unwrap_or_default());
                sent[2] = text.into_bytes();
                (sent, Reading::Sha1(sha1))
            }
            ("SCRIPT", Some(what)) if what.eq_ignore_ascii_case("EXISTS") => {
                for sha1 in &mut sent[2..] {
                    if let Some(other) = known(&String::from_utf8_lossy(sha1)) {
                        *sha1 = other.into_bytes();
                    }
                }
                (sent, Reading::AsItIs)
            }
            _ => (sent, Reading::AsItIs),
        }
    }

    /// The SHA1 of `text`, and the text for Redis.
    fn wrap(&self, text: &str) -> (String, String) {
        let (shebang, body) = match text.split_once('\n') {
            Some((first, rest)) if first.starts_with("#!") => (Some(first), rest),
            _ => (None, text),
        };
        let is_locked = shebang.is_some_and(|line| line.contains(FLAG));
        let before = BEFORE.replace("LOCKED", if is_locked { "true" } else { "false" });
        let shebang = shebang.map(|line| without_flag(line) + "\n").unwrap_or_default();
        let wrapped = shebang + &before + body + AFTER;
        let sha1 = redis::Script::new(text).get_hash().to_owned();
        let other = redis::Script::new(&wrapped).get_hash().to_owned();
        self.0.lock().unwrap().insert(sha1.clone(), other);
        (sha1, wrapped)
    }
}

fn without_flag(shebang: &str) -> String {
    let words = shebang.split_whitespace().filter_map(|word| match word.strip_prefix("flags=") {
        Some(flags) => {
            let rest: Vec<&str> = flags.split(',').filter(|&flag| flag != FLAG).collect();
            (!rest.is_empty()).then(|| format!("flags={}", rest.join(",")))
        }
        None => Some(word.to_owned()),
    });
    words.collect::<Vec<_>>().join(" ")
}

impl Reading {
    /// What the client is answered, and the commands that a script called.
    pub(super) fn read(self, answer: Answer) -> (Answer, Vec<String>) {
        match (self, answer) {
            (Reading::Wrapped, Answer::Array(parts)) => {
                let mut parts = parts.into_iter();
                let Some(Answer::Array(called)) = parts.next() else { panic!("not from a wrapped script") };
                let name = |word| match word {
                    Answer::Text(name) => String::from_utf8_lossy(&name).into_owned(),
                    other => panic!("not a name: {other:?}"),
                };
                (parts.next().unwrap_or(Answer::Nil), called.into_iter().map(name).collect())
            }
            (Reading::Sha1(sha1), Answer::Text(_)) => (Answer::Text(sha1.into_bytes()), Vec::new()),
            (_, answer) => (answer, Vec::new()),
        }
    }
}
