//! Every command that the documents show, run as a reader would, prints what they show.
//!
//! All `console` blocks of a document are typed into one shell, one after the other, and so is the one command that runs the
//! service. `…` stands for anything. A server that a document starts goes on until it is started anew.

use std::{fs, path::Path, process::Stdio};

use futures_util::future::join_all;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};

use crate::support::{RedisServer, ports, profile};

const DONE: &str = "that was all of it";

/// Stands for `cargo run --release`: starts the server in the background, in place of the one that has its port.
const CARGO: &str = r#"
[ "$1 $2" = "run --release" ] || { echo "not tried here: cargo $*"; exit 1; }
shift 2
[ "$1" != -- ] || { shift; exec $binary "$@"; }
export PORT=${PORT:-$port} HOST=127.0.0.1
if former=$(cat "$here/$PORT.pid" 2>/dev/null); then
    kill "$former"
    while kill -0 "$former" 2>/dev/null; do sleep 0.05; done
fi
$binary >"$here/$PORT.log" 2>&1 &
echo $! >"$here/$PORT.pid"
until curl -s -o /dev/null "127.0.0.1:$PORT/health"; do
    kill -0 $! 2>/dev/null || { cat "$here/$PORT.log"; exit 1; }
    sleep 0.05
done
"#;

/// A command, where it stands, and what it is said to print.
struct Shown {
    line: usize,
    command: String,
    output: String,
}

/// The commands of all `console` blocks, and those elsewhere that run the service.
fn shown(document: &str) -> Vec<Shown> {
    let mut all: Vec<Shown> = Vec::new();
    let (mut is_inside, mut goes_on) = (false, false);
    for (number, line) in document.lines().enumerate() {
        if line.starts_with("```") {
            is_inside = line == "```console";
        } else if !is_inside {
            if line == "cargo run --release" {
                all.push(Shown { line: number + 1, command: line.to_owned(), output: String::new() });
            }
        } else if let Some(command) = line.strip_prefix("$ ") {
            all.push(Shown { line: number + 1, command: command.to_owned(), output: String::new() });
            goes_on = command.ends_with('\\');
        } else {
            let last = all.last_mut().unwrap_or_else(|| panic!("line {}: output without a command", number + 1));
            let part = if goes_on { &mut last.command } else { &mut last.output };
            part.push('\n');
            part.push_str(line);
            goes_on = goes_on && line.ends_with('\\');
        }
    }
    all
}

/// Whether `output` is what `expected` says, in which `…` stands for anything.
fn is_as_said(output: &str, expected: &str) -> bool {
    let (output, mut parts) = (output.trim(), expected.trim().split('…'));
    let Some(mut rest) = parts.next().and_then(|first| output.strip_prefix(first)) else { return false };
    let mut parts: Vec<_> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}

/// A shell in the project's folder, in which `cargo run --release` and `llm-gateway` are the binary under test.
struct Shell {
    _child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    /// What the document calls a port, and what stands for it here, where other tests run too.
    ports: Vec<(&'static str, String)>,
    folder: TempDir,
    redis: Option<RedisServer>,
}

impl Shell {
    async fn start(document: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let redis = if document.contains("6379") { Some(RedisServer::start().await) } else { None };
        let [one, other] = ports();
        let mut ports = vec![("3001", one.to_string()), ("3002", other.to_string())];
        ports.extend(redis.iter().map(|redis| ("6379", redis.port().to_string())));
        let binary = env!("CARGO_BIN_EXE_llm-gateway");
        let (here, port) = (folder.path().display().to_string(), &ports[0].1);
        let settings = format!("#!/bin/bash\nhere={here} binary={binary} port={port}\n");
        write_program(&folder.path().join("cargo"), &format!("{settings}{CARGO}"));
        write_program(&folder.path().join("llm-gateway"), &format!("{settings}exec $binary \"$@\""));
        let mut child = Command::new("bash")
            .env_clear()
            .envs([("HOME", "/nonexistent"), ("LC_ALL", "C.UTF-8")])
            .envs(profile())
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        input.write_all(format!("exec 2>&1; PATH={here}:/usr/local/bin:/usr/bin:/bin\n").as_bytes()).await.unwrap();
        let output = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { _child: child, input, output, ports, folder, redis }
    }

    /// What `command` prints.
    async fn run(&mut self, command: &str) -> String {
        let here = self.ports.iter().fold(command.to_owned(), |command, (said, here)| command.replace(said, here));
        self.input.write_all(format!("{here}\necho; echo '{DONE}'\n").as_bytes()).await.unwrap();
        let mut printed = String::new();
        loop {
            let line = self.output.next_line().await.unwrap().expect("the shell goes on");
            if line == DONE {
                break;
            }
            printed.push_str(&line);
            printed.push('\n');
        }
        self.ports.iter().fold(printed, |printed, (said, here)| printed.replace(here, said))
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        for file in fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().path()) {
            if file.extension().is_some_and(|extension| extension == "pid") {
                drop(std::process::Command::new("kill").arg(fs::read_to_string(file).unwrap().trim()).status());
            }
        }
        drop(self.redis.take());
    }
}

fn write_program(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Each document with what it says, by name.
fn documents() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let documents = docs.chain([root.join("README.md")]).filter(|path| path.extension().is_some_and(|it| it == "md"));
    let mut all: Vec<_> = documents
        .map(|path| {
            let name = path.strip_prefix(root).unwrap().display().to_string();
            (name, fs::read_to_string(path).unwrap())
        })
        .collect();
    all.sort();
    all
}

/// How many commands `document` shows, and which of them print something else than it says.
async fn try_out(name: &str, document: &str) -> (usize, Vec<String>) {
    let shown = shown(document);
    if shown.is_empty() {
        return (0, Vec::new());
    }
    let (count, mut wrong) = (shown.len(), Vec::new());
    let mut shell = Shell::start(document).await;
    for Shown { line, command, output } in shown {
        let printed = shell.run(&command).await;
        if !is_as_said(&printed, &output) {
            wrong.push(format!("{name}:{line}: $ {command}\nprinted:\n{printed}\nand not:\n{output}"));
        }
    }
    (count, wrong)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_the_documents_prints_what_they_say() {
    let documents = documents();
    let tried = join_all(documents.iter().map(|(name, document)| try_out(name, document))).await;
    let count: usize = tried.iter().map(|(count, _)| count).sum();
    let wrong: Vec<_> = tried.into_iter().flat_map(|(_, wrong)| wrong).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(count > 30, "{count}");
}

/// Commands stand in `console` blocks, but for those that cannot be tried here.
#[test]
fn no_command_hides_in_another_kind_of_block() {
    let untried = [
        "cargo run --release",
        "scripts/install-test-tools && cargo test --locked --all-features",
        "docker build",
        "docker run",
        "render ",
    ];
    for (name, document) in documents() {
        for block in document.split("\n```sh\n").skip(1) {
            for line in block.split("\n```").next().unwrap().lines() {
                assert!(untried.iter().any(|command| line.starts_with(command)), "{name}: `{line}` is not tried");
            }
        }
        for kind in document.lines().filter_map(|line| line.strip_prefix("```")) {
            let known = ["", "console", "sh", "text", "yaml", "json", "ts", "js", "python", "nginx"];
            assert!(known.contains(&kind), "{name}: a block of `{kind}`");
        }
    }
}

#[test]
fn an_ellipsis_stands_for_anything_and_nothing_else_does() {
    for (output, expected, is_right) in [
        ("a\n", "a", true),
        ("ab", "a", false),
        ("a b c", "a … c", true),
        ("a b d", "a … c", false),
        ("abc", "…b…", true),
        ("one\ntwo\nthree", "one\n…\nthree", true),
        ("", "…", true),
        ("b", "", false),
    ] {
        assert_eq!(is_as_said(output, expected), is_right, "{output:?} {expected:?}");
    }
}

/// The runbook's first column quotes what the service says.
#[test]
fn the_runbook_quotes_what_the_code_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let code = sources(&root.join("src")).to_lowercase();
    let runbook = fs::read_to_string(root.join("docs/operating.md")).unwrap();
    let entries = runbook.split_once("## When something is wrong").unwrap().1.lines();
    let firsts = entries.filter(|line| line.starts_with("| ")).map(|line| line.split(" | ").next().unwrap());
    let quotes: Vec<_> = firsts.flat_map(|first| first.split('`').skip(1).step_by(2)).collect();
    assert!(quotes.len() > 40, "{quotes:?}");
    for quote in quotes {
        for part in quote.split('…').map(|part| part.trim_matches([' ', ':'])).filter(|part| part.len() > 3) {
            assert!(code.contains(&part.to_lowercase()), "the runbook quotes `{part}`, which nothing says");
        }
    }
}

/// Every error that is not merely a bad request has its entry.
#[test]
fn the_runbook_knows_every_error_that_needs_one() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let runbook = fs::read_to_string(root.join("docs/operating.md")).unwrap();
    let code = sources(&root.join("src"));
    let mut known = 0;
    for said in code.split("StatusCode::").skip(1) {
        let name = said.split(|letter: char| !letter.is_ascii_uppercase() && letter != '_').next().unwrap();
        let Some((status, rest)) = said.split_once(',').filter(|(status, _)| *status == name) else { continue };
        let Some(title) = rest.trim_start().strip_prefix('"').and_then(|rest| rest.split('"').next()) else { continue };
        let is_self_explaining = ["BAD_REQUEST", "NOT_FOUND", "PAYLOAD_TOO_LARGE", "UNSUPPORTED_MEDIA_TYPE"];
        if !is_self_explaining.contains(&status) && title != "x" {
            assert!(runbook.contains(&format!("`{title}`")), "{status} `{title}` has no entry");
            known += 1;
        }
    }
    assert!(known > 20, "{known}");
}

fn sources(folder: &Path) -> String {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .map(|path| if path.is_dir() { sources(&path) } else { fs::read_to_string(path).unwrap_or_default() })
        .collect()
}
