//! The SDKs that clients use, as processes of their own.

use std::{
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Duration,
};

use serde::Deserialize;
use serde_json::Value;
use tempfile::TempDir;
use tokio::{process::Command, time::timeout};

/// For all checks of a script: a loaded machine takes its time.
const PATIENCE: Duration = Duration::from_secs(120);
const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sdk");

/// A script of `tests/sdk` and who runs it.
#[derive(Clone, Copy)]
pub(crate) enum Sdk {
    Python(&'static str),
    JavaScript(&'static str),
}

/// What a check saw.
#[derive(Deserialize)]
pub(crate) struct Check {
    pub(crate) check: String,
    pub(crate) seen: Value,
}

impl Sdk {
    pub(crate) fn script(self) -> &'static str {
        match self {
            Sdk::Python(script) | Sdk::JavaScript(script) => script,
        }
    }

    /// Runs the script to its end; `Err` has its complaints when one of its checks failed.
    pub(crate) async fn run(self, arguments: &[&str], key: &str) -> Result<Vec<Check>, String> {
        let (mut command, _folder) = match self {
            Sdk::Python(script) => (python(script), None),
            Sdk::JavaScript(script) => {
                let (command, folder) = javascript(script);
                (command, Some(folder))
            }
        };
        command.args(arguments).env("OPENAI_API_KEY", key).env("NO_PROXY", "127.0.0.1").env("no_proxy", "127.0.0.1");
        command.env("PYTHONDONTWRITEBYTECODE", "1").env("PYTHONUTF8", "1").env("LANGSMITH_TRACING", "false");
        // What a person who runs the tests may have set for themselves.
        for variable in ["OPENAI_BASE_URL", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_LOG"] {
            command.env_remove(variable);
        }
        command.stdin(Stdio::null()).kill_on_drop(true);
        let output = command.output();
        let output = timeout(PATIENCE, output).await.map_err(|_| format!("{} does not end", self.script()))?;
        let Output { status, stdout, stderr } =
            output.expect("the tests need the SDKs: run scripts/install-test-tools");
        let (said, complained) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
        if !status.success() {
            return Err(format!("{} {}\n{complained}", self.script(), arguments[..2].join(" ")));
        }
        let check = |line: &str| serde_json::from_str(line).map_err(|_| format!("{}: {line}", self.script()));
        said.lines().map(check).collect()
    }
}

/// Where `scripts/install-test-tools` puts them.
fn tools() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("the folder is inside another");
    target.join("test-tools")
}

/// The folder of an environment that has the versions which `pins`, a file of `tests/sdk`, pins.
fn environment(name: &str, pins: &str) -> PathBuf {
    let folder = tools().join(name);
    let (there, wanted) =
        (std::fs::read(folder.join("pins")).ok(), std::fs::read(format!("{SCRIPTS}/{name}/{pins}")).ok());
    let (is_there, path) = (there.is_some() && there == wanted, folder.display());
    assert!(is_there, "the tests need the SDKs that {pins} pins in {path}: run scripts/install-test-tools");
    folder
}

fn python(script: &str) -> Command {
    let program = environment("python", "requirements.txt").join("bin/python");
    let mut command = Command::new(program);
    command.arg(format!("{SCRIPTS}/python/{script}"));
    command
}

/// A file of a package that `tests/sdk/javascript` pins.
pub(crate) fn package_file(path: &str) -> Vec<u8> {
    let file = environment("javascript", "package-lock.json").join("node_modules").join(path);
    std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// Node looks for packages beside a script and above it, so the scripts are copied to below where they are.
fn javascript(script: &str) -> (Command, TempDir) {
    let folder = tempfile::tempdir_in(environment("javascript", "package-lock.json")).unwrap();
    for entry in std::fs::read_dir(format!("{SCRIPTS}/javascript")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "mjs") {
            std::fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
        }
    }
    let mut command = Command::new("node");
    command.arg(folder.path().join(script));
    (command, folder)
}
