//! The arguments of the binary.

use crate::support::Binary;

/// Exit status, and what is said on both ways.
fn run(settings: &[(&str, &str)], arguments: &[&str]) -> (i32, String, String) {
    let output = Binary::command(settings).args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

const WRONG: [(&str, &str); 2] = [("PORT", "http"), ("CACHE_ENABLED", "maybe")];

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
        assert_eq!((code, said.as_str()), (78, ""), "{arguments:?}");
        assert_eq!(complained.lines().count(), 2, "{complained}");
    }
}
