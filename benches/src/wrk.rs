//! As many requests as both sides can take, sent by `wrk`, which costs little itself.

use std::{
    fs,
    process::Command,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use crate::{paced::Form, servers::Server};

/// What is asked.
#[derive(Clone, Copy)]
pub enum Question {
    /// Always the same.
    Same,
    /// Each time another.
    Another,
}

/// What is sent to whom.
#[derive(Clone, Copy)]
pub struct Load<'a> {
    pub server: &'a Server,
    pub path: &'a str,
    pub question: Question,
    pub connections: usize,
    pub seconds: u64,
}

/// What came of it.
pub struct Asked {
    pub requests: u64,
    /// Requests in a second.
    pub rate: f64,
    /// What the server used of processors for one, in microseconds.
    pub cpu: f64,
}

/// Where the numbers of questions begin, so that none is asked twice.
static NEXT: AtomicU64 = AtomicU64::new(0);
/// More than are asked in one go.
const STEP: u64 = 1_000_000_000;

/// Asks as often as it can.
pub fn ask(load: &Load<'_>) -> Asked {
    let Load { server, path, question, connections, seconds } = *load;
    let script = server.folder().join("wrk.lua");
    fs::write(&script, lua(path, question)).unwrap();
    let before = server.cpu();
    let output = Command::new("wrk")
        .args(["-t1", &format!("-c{connections}"), &format!("-d{seconds}s"), "--timeout", "20s", "-s"])
        .arg(&script)
        .arg(server.url(path))
        .output()
        .unwrap_or_else(|error| panic!("wrk: {error}. `apt-get install wrk` installs it"));
    let used = server.cpu().saturating_sub(before);
    let said = String::from_utf8(output.stdout).unwrap();
    let numbers = said.lines().find_map(|line| line.strip_prefix("@ ")).unwrap_or_else(|| panic!("{said}"));
    let numbers: Vec<u64> = numbers.split(' ').map(|number| number.parse().unwrap()).collect();
    let [requests, microseconds, bad] = numbers[..] else { panic!("{said}") };
    assert_eq!(bad, 0, "{path}: not all were answered well");
    Asked {
        requests,
        rate: requests as f64 / microseconds as f64 * 1e6,
        cpu: used.as_secs_f64() / requests as f64 * 1e6,
    }
}

fn lua(path: &str, question: Question) -> String {
    let form = if path == crate::GENERATE { Form::Generate } else { Form::OpenAi };
    let (before, after) = form.question("@", false).split_once('@').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    let request = match question {
        Question::Same => format!("wrk.body = [[{before}{after}]]\n"),
        Question::Another => {
            let first = NEXT.fetch_add(STEP, Relaxed);
            format!(
                "local n = {first}\n\
                 request = function() n = n + 1; return wrk.format(nil, nil, nil, [[{before}]] .. n .. [[{after}]]) end\n"
            )
        }
    };
    format!(
        "wrk.method = 'POST'\nwrk.headers['content-type'] = 'application/json'\n{request}\
         done = function(all, _, _)\n\
           local e = all.errors\n\
           print(string.format('@ %d %d %d', all.requests, all.duration, e.connect + e.read + e.write + e.status + e.timeout))\n\
         end\n"
    )
}
