//! Who may know whom: the table of `src/lib.rs`, held against the imports.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Each module and what it may import from this crate, from the bottom to the top.
const MAY_IMPORT: [(&str, &[&str]); 30] = [
    ("config", &[]),
    ("clock", &[]),
    ("json", &[]),
    ("generate", &["json"]),
    ("embed", &["generate"]),
    ("trace", &["config", "courier", "generate"]),
    ("log", &["config", "trace"]),
    ("breaker", &[]),
    ("metrics", &["generate"]),
    ("client", &[]),
    ("courier", &["client"]),
    ("bounded", &[]),
    ("remembered", &["bounded"]),
    ("sentry", &["config", "courier"]),
    ("observers", &["client", "config", "courier", "sentry", "trace"]),
    ("catalogue", &["clock", "config", "generate"]),
    ("error", &["generate"]),
    ("caller", &["config"]),
    ("providers", &["client", "config", "embed", "generate", "json", "trace"]),
    ("stores", &["bounded", "breaker", "client", "clock", "config", "json", "metrics", "remembered", "trace"]),
    ("telemetry", &["caller", "clock", "generate", "metrics"]),
    ("compare", &["client"]),
    ("ledger", &["client", "clock", "config", "generate", "json", "remembered", "stores"]),
    ("sessions", &["caller", "json", "remembered", "stores"]),
    ("dispatch", &["breaker", "catalogue", "config", "embed", "generate", "metrics", "providers", "trace"]),
    (
        "layers",
        &[
            "caller",
            "catalogue",
            "clock",
            "config",
            "embed",
            "error",
            "generate",
            "json",
            "ledger",
            "metrics",
            "remembered",
            "sessions",
            "stores",
            "telemetry",
            "trace",
        ],
    ),
    (
        "http",
        &[
            "breaker",
            "caller",
            "catalogue",
            "clock",
            "config",
            "embed",
            "error",
            "generate",
            "json",
            "layers",
            "ledger",
            "metrics",
            "sessions",
            "stores",
            "telemetry",
            "trace",
        ],
    ),
    (
        "app",
        &[
            "breaker",
            "caller",
            "catalogue",
            "client",
            "clock",
            "config",
            "dispatch",
            "error",
            "generate",
            "http",
            "layers",
            "ledger",
            "metrics",
            "providers",
            "sessions",
            "stores",
            "telemetry",
        ],
    ),
    ("serve", &["app", "http", "layers"]),
    ("check", &["app", "catalogue", "client", "config", "generate", "ledger", "providers", "stores"]),
];

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn rust_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn module_of(file: &Path) -> String {
    let relative = file.strip_prefix(source()).unwrap();
    relative.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs").to_owned()
}

/// The modules that `text` names behind `crate::`, the tests at its foot left out.
fn imports(text: &str) -> BTreeSet<String> {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let mut names = BTreeSet::new();
    for (at, _) in text.match_indices("crate::") {
        let rest = &text[at + "crate::".len()..];
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        match rest.strip_prefix('{') {
            None => drop(names.insert(rest.split(|c| !is_name(c)).next().unwrap().to_owned())),
            Some(list) => {
                let (mut depth, mut name) = (0, String::new());
                for c in list.chars() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => drop(names.insert(std::mem::take(&mut name))),
                        c if depth == 0 => name.push(c),
                        _ => {}
                    }
                }
                names.insert(name);
            }
        }
    }
    let first = |name: String| name.trim().split("::").next().unwrap().to_owned();
    names.into_iter().map(first).filter(|name| !name.is_empty()).collect()
}

#[test]
fn nobody_imports_what_the_map_does_not_allow() {
    let mut files = Vec::new();
    rust_files(&source(), &mut files);
    for file in files {
        let module = module_of(&file);
        // The binary names this crate by its name.
        if ["lib", "main", "commands"].contains(&module.as_str()) {
            continue;
        }
        let (_, allowed) = MAY_IMPORT
            .iter()
            .find(|(name, _)| *name == module)
            .unwrap_or_else(|| panic!("`{module}` is not in the map"));
        for import in imports(&fs::read_to_string(&file).unwrap()) {
            let is_allowed = import == module || allowed.contains(&import.as_str());
            assert!(is_allowed, "{} imports `{import}`", file.display());
        }
    }
}

#[test]
fn no_layer_knows_another() {
    let mut files = Vec::new();
    rust_files(&source().join("layers"), &mut files);
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        assert!(!text.contains("crate::layers") && !text.contains("layers::"), "{}", file.display());
    }
}

#[test]
fn only_trace_knows_opentelemetry() {
    let mut files = Vec::new();
    rust_files(&source(), &mut files);
    let knows = |file: &PathBuf| fs::read_to_string(file).unwrap().contains("opentelemetry");
    let knowing: BTreeSet<_> = files.iter().filter(|file| knows(file)).map(|file| module_of(file)).collect();
    assert_eq!(knowing, BTreeSet::from(["trace".to_owned()]));
}

#[test]
fn the_map_in_the_documentation_is_this_one() {
    let lib = fs::read_to_string(source().join("lib.rs")).unwrap();
    for (module, allowed) in MAY_IMPORT {
        let names: Vec<_> = allowed.iter().map(|name| format!("`{name}`")).collect();
        let names = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
        let row = lib.lines().find(|line| line.starts_with("//! | ") && line.contains(&format!("| `{module}` |")));
        let row = row.unwrap_or_else(|| panic!("`{module}` has no row in src/lib.rs"));
        assert!(
            row.ends_with(&format!("| {names} |")),
            "src/lib.rs says of `{module}`: {row}\nbut it may import {names}"
        );
    }
}
