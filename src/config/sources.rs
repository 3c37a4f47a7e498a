//! Where values come from, before anybody knows what they mean.

use std::{
    collections::BTreeMap,
    fmt::{self, Display},
    io::ErrorKind,
    path::Path,
};

/// Variables and their values, later sources already overruled by earlier ones.
#[derive(Clone, Default)]
pub struct Sources {
    pub(super) values: BTreeMap<String, String>,
    pub(super) problems: Vec<Problem>,
}

/// One thing that is wrong with the configuration, as a line for the operator.
///
/// Never holds a secret's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem(pub(super) String);

impl Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Sources {
    /// The process environment, then `.env.local`, then `.env` of the working directory: the first to set a variable wins.
    /// An empty value counts as unset.
    pub fn environment() -> Self {
        let mut sources = Self::default();
        for (name, value) in std::env::vars_os() {
            let Ok(name) = name.into_string() else { continue };
            match value.into_string() {
                Ok(value) => sources.add(name, value),
                Err(_) => sources.problems.push(Problem(format!("{name} is not UTF-8 text"))),
            }
        }
        for file in [".env.local", ".env"] {
            sources.add_file(Path::new(file));
        }
        sources
    }

    fn add_file(&mut self, path: &Path) {
        // Whole: what cannot be read, as a folder of that name, would have broken lines without end.
        let text = match std::fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return,
            Err(error) => {
                self.problems.push(Problem(format!("{} cannot be read ({error})", path.display())));
                return;
            }
        };
        // The mark that some editors begin with is none of the first name's.
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text);
        let lines: Vec<u8> = text.split_inclusive(|byte| *byte == b'\n').flat_map(literal).collect();
        for line in dotenvy::from_read_iter(&*lines) {
            let Ok((name, value)) = line else {
                // The error's own text quotes the line, which may hold a secret.
                self.problems.push(Problem(format!("{} has a line that is not NAME=value", path.display())));
                continue;
            };
            self.add(name, value);
        }
    }

    fn add(&mut self, name: String, value: String) {
        if !value.trim().is_empty() {
            self.values.entry(name).or_insert(value);
        }
    }
}

/// A line of an `.env` in which `$` means itself, as it does to the original: another variable in its place, or nothing where there is
/// none of that name, would leave half of a secret.
fn literal(line: &[u8]) -> Vec<u8> {
    let value = line.iter().position(|byte| *byte == b'=').and_then(|at| line.get(at + 1..)).unwrap_or_default();
    // There it does so anyway, and a backslash before it too.
    if value.trim_ascii_start().starts_with(b"'") {
        return line.to_vec();
    }
    let (mut written, mut is_escaped) = (Vec::with_capacity(line.len()), false);
    for byte in line {
        if *byte == b'$' && !is_escaped {
            written.push(b'\\');
        }
        is_escaped = *byte == b'\\' && !is_escaped;
        written.push(*byte);
    }
    written
}

impl From<&[(&str, &str)]> for Sources {
    fn from(values: &[(&str, &str)]) -> Self {
        let mut sources = Self::default();
        for (name, value) in values {
            sources.add((*name).to_owned(), (*value).to_owned());
        }
        sources
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Sources {
    fn from(values: [(&str, &str); N]) -> Self {
        Self::from(values.as_slice())
    }
}
