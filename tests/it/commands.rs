//! The arguments of the binary.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    net::TcpListener,
    thread,
};

use serde_json::json;

use crate::support::Binary;

/// Exit status, and what is said on both ways.
fn run(settings: &[(&str, &str)], arguments: &[&str]) -> (i32, String, String) {
    let output = Binary::command(settings).args(arguments).output().unwrap();
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
    for arguments in [&["--help"][..], &["--version"], &["compare", "--help"]] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let output = Binary::command(&WRONG).args(arguments).stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
    }
}

/// Gives everyone who comes this body, on a port of `host`.
fn listening(host: &str, body: &'static str) -> u16 {
    let listener = TcpListener::bind((host, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        let read = connection.read(&mut [0; 4096]).unwrap();
        assert!(read > 0);
        write!(connection, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
    });
    port
}

#[test]
fn health_is_this_service_at_the_address_that_it_listens_at() {
    for (host, at, body, expected) in [
        ("::", "::1", r#"{"status":"ok"}"#, 0),
        ("0.0.0.0", "127.0.0.1", r#"{"status":"ok"}"#, 0),
        ("127.0.0.1", "127.0.0.1", "<html>", 1),
        ("127.0.0.1", "127.0.0.1", r#"{"status":"starting"}"#, 1),
    ] {
        let port = listening(at, body).to_string();
        let (code, said, complained) = run(&[("HOST", host), ("PORT", &port)], &["health"]);
        assert_eq!(code, expected, "{host} {body}: {said}{complained}");
        assert!(expected == 0 || complained.contains("is another service"), "{complained}");
    }
}
