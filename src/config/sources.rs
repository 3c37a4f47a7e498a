//! Where values come from, before anybody knows what they mean.

use std::{
    collections::BTreeMap,
    fmt::{self, Display},
    io::ErrorKind,
    path::Path,
};

use super::dotenv::variables;

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
        let Some(lines) = variables(&text) else {
            self.problems.push(Problem(format!("{} is not UTF-8 text", path.display())));
            return;
        };
        for line in lines {
            let Some((name, value)) = line else {
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
