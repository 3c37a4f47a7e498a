//! The arguments of the binary.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{Read as _, Write as _},
    net::TcpListener,
    os::unix::ffi::OsStrExt as _,
    path::Path,
    process::Command,
    thread,
};

use serde_json::json;

use crate::support::Binary;

/// Exit status, and what is said on both ways.
fn run(settings: &[(&str, &str)], arguments: &[&str]) -> (i32, String, String) {
    ended(Binary::command(settings).args(arguments))
}

fn ended(command: &mut Command) -> (i32, String, String) {
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

const WRONG: [(&str, &str); 3] = [("PORT", "http"), ("CACHE_ENABLED", "maybe"), ("OPENAI_API_KEY", "sk bad")];

#[test]
fn who_asks_for_help_or_the_version_needs_no_settings() {
    let (code, said, complained) = run(&WRONG, &["--help"]);
    assert_eq!((code, complained.as_str()), (0, ""));
    for part in ["check", "health", "compare", "environment variables", ".env.example", "Exit status", "78"] {
        assert!(said.contains(part), "`{part}` is not in {said}");
    }
    let (code, said, _) = run(&WRONG, &["--version"]);
    assert_eq!((code, said), (0, format!("llm-gateway {}\n", env!("CARGO_PKG_VERSION"))));
    for command in ["check", "health", "compare"] {
        let (code, said, complained) = run(&WRONG, &[command, "--help"]);
        assert_eq!((code, complained.as_str()), (0, ""));
        assert!(said.contains(&format!("Usage: llm-gateway {command}")), "{said}");
    }
}

#[test]
fn wrong_arguments_are_status_2_and_wrong_settings_78() {
    for arguments in [&["serves"][..], &["--port", "1"], &["check", "--jsn"], &["compare"], &["health", "now"]] {
        let (code, said, complained) = run(&WRONG, arguments);
        assert_eq!((code, said.as_str()), (2, ""), "{arguments:?}");
        assert!(complained.starts_with("error: ") && complained.contains("Usage: "), "{complained}");
    }
    for arguments in [&[][..], &["check"], &["check", "--json"], &["health"]] {
        let (code, said, complained) = run(&WRONG, arguments);
        let problems: Vec<&str> = complained.lines().collect();
        let expected = match arguments {
            [_, "--json"] => format!("{}\n", json!({"problems": problems})),
            _ => String::new(),
        };
        assert_eq!((code, said), (78, expected), "{arguments:?}");
        assert_eq!(problems.len(), 3, "{complained}");
        assert!(complained.contains("PORT is `http`") && !complained.contains("sk bad"), "{complained}");
    }
}

#[test]
fn what_cannot_be_said_is_status_1() {
    for (settings, arguments) in
        [(&WRONG[..], &["--help"][..]), (&WRONG, &["--version"]), (&WRONG, &["compare", "--help"]), (&[], &["check"])]
    {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let output = Binary::command(settings).args(arguments).stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
    }
}

/// What is wrong for who starts in a folder that holds these files.
fn complaints_amid(files: &[(&str, &str)], limit: &[u8]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    complaints_in(folder.path(), limit)
}

fn complaints_in(folder: &Path, limit: &[u8]) -> Vec<String> {
    let mut command = Binary::command(&[]);
    command.arg("check").current_dir(folder).env("RATE_LIMIT_MAX", OsStr::from_bytes(limit));
    let (code, said, complained) = ended(&mut command);
    assert_eq!((code, said.as_str()), (78, ""), "{complained}");
    complained.lines().map(str::to_owned).collect()
}

#[test]
fn what_is_set_first_counts_and_what_is_empty_is_not_set() {
    for (environment, local, shared, counts) in [
        ("a", "RATE_LIMIT_MAX=b", "RATE_LIMIT_MAX=c", "a"),
        ("", "# RATE_LIMIT_MAX=x\nexport RATE_LIMIT_MAX='b' # why", "RATE_LIMIT_MAX=c", "b"),
        (" ", "RATE_LIMIT_MAX=\nBODY_LIMIT_KB=64", "RATE_LIMIT_MAX=c", "c"),
        // As some editors begin a file.
        ("", "\u{feff}RATE_LIMIT_MAX=b", "RATE_LIMIT_MAX=c", "b"),
        // Nothing stands for something else, nor for nothing.
        ("", r"RATE_LIMIT_MAX=a$HOME$$b\$c", "", "a$HOME$$b$c"),
        ("", r#"RATE_LIMIT_MAX="a${HOME}" # $why"#, "", "a${HOME}"),
        ("", "RATE_LIMIT_MAX='a$HOME'", "", "a$HOME"),
        ("", "RATE_LIMIT_MAX=a'$HOME\\$'$HOME", "", r"a$HOME\$$HOME"),
        ("", "X='1\n$' # it's\nRATE_LIMIT_MAX='a'\"$HOME\"", "", "a$HOME"),
        ("", "RATE_LIMIT_MAX=' '", "RATE_LIMIT_MAX=\"c\"\nRATE_LIMIT_MAX=d", "c"),
    ] {
        let told = complaints_amid(&[(".env.local", local), (".env", shared)], environment.as_bytes());
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].starts_with(&format!("RATE_LIMIT_MAX is `{counts}`; accepted: ")), "{told:?}");
    }
}

#[test]
fn what_cannot_be_read_is_told_and_no_secret_with_it() {
    let broken = "OPENAI_API_KEY sk-s3cr3t\nRATE_LIMIT_MAX=b\nXAI_API_KEY=\"s3cr3t\n";
    let told = complaints_amid(&[(".env", broken)], b"");
    let no_line = ".env has a line that is not NAME=value";
    assert_eq!(told[..2], [no_line, no_line], "{told:?}");
    assert!(told.len() == 3 && told[2].starts_with("RATE_LIMIT_MAX is `b`; "), "{told:?}");
    assert_eq!(complaints_amid(&[], b"\xff"), ["RATE_LIMIT_MAX is not UTF-8 text"]);

    // What Docker puts there in place of a file that it is to mount and that is not there.
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join(".env.local")).unwrap();
    fs::write(folder.path().join(".env"), "RATE_LIMIT_MAX=c").unwrap();
    let told = complaints_in(folder.path(), b"");
    assert!(told.len() == 2 && told[0].starts_with(".env.local cannot be read ("), "{told:?}");
    assert!(told[1].starts_with("RATE_LIMIT_MAX is `c`; "), "{told:?}");
    fs::remove_dir(folder.path().join(".env.local")).unwrap();
    fs::write(folder.path().join(".env.local"), b"RATE_LIMIT_MAX=b\nXAI_API_KEY=s3cr3t\xff\n").unwrap();
    let told = complaints_in(folder.path(), b"");
    assert!(told.len() == 2 && told[0] == ".env.local is not UTF-8 text", "{told:?}");
}

#[test]
fn an_address_that_is_taken_is_told() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let (code, _, complained) = run(&[("PORT", &address.port().to_string())], &[]);
    assert_eq!(code, 1, "{complained}");
    assert!(complained.starts_with(&format!("HOST and PORT: cannot listen on {address}: ")), "{complained}");
}

/// Gives everyone who comes this status and body, on a port of `host`.
fn listening(host: &str, status: &'static str, body: &'static str) -> u16 {
    let listener = TcpListener::bind((host, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        let read = connection.read(&mut [0; 4096]).unwrap();
        assert!(read > 0);
        write!(connection, "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
    });
    port
}

#[test]
fn health_is_this_service_at_the_address_that_it_listens_at() {
    let good = r#"{"status":"ok"}"#;
    for (host, at, status, body, wrong) in [
        ("::", "::1", "200 OK", good, ""),
        ("0.0.0.0", "127.0.0.1", "200 OK", good, ""),
        ("127.0.0.1", "127.0.0.1", "200 OK", "<html>", "is another service"),
        ("127.0.0.1", "127.0.0.1", "200 OK", r#"{"status":"starting"}"#, "is another service"),
        ("127.0.0.1", "127.0.0.1", "503 Service Unavailable", good, "answers 503 Service Unavailable"),
    ] {
        let port = listening(at, status, body).to_string();
        let (code, said, complained) = run(&[("HOST", host), ("PORT", &port)], &["health"]);
        assert_eq!(code, i32::from(!wrong.is_empty()), "{host} {body}: {said}{complained}");
        assert!(complained.trim_end().ends_with(wrong), "{complained}");
    }
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port().to_string();
    let (code, _, complained) = run(&[("PORT", &port)], &["health"]);
    assert!(code == 1 && complained.ends_with("/health does not answer in time\n"), "{complained}");
}
