//! Programs of the Python environment that `scripts/install-test-tools` makes.

use std::{path::Path, process::Stdio, time::Duration};

use tokio::{process::Command, time::timeout};

/// A loaded machine takes its time.
const PATIENCE: Duration = Duration::from_secs(180);
const PINS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sdk/python/requirements.txt");

/// `program` of the environment, which is that of `tests/sdk/python/requirements.txt`.
pub(crate) fn python(program: &str) -> Command {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("the folder is inside another");
    let folder = target.join("test-tools/python");
    let (there, wanted) = (std::fs::read(folder.join("pins")).ok(), std::fs::read(PINS).ok());
    let (is_there, path) = (there.is_some() && there == wanted, folder.display());
    assert!(is_there, "the tests need what {PINS} pins in {path}: run scripts/install-test-tools");
    let mut command = Command::new(folder.join("bin").join(program));
    command.env("NO_PROXY", "127.0.0.1").env("no_proxy", "127.0.0.1").env("PYTHONUTF8", "1");
    command.env("PYTHONDONTWRITEBYTECODE", "1").stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// Waits for its end, which must be a good one; what it said otherwise is what the test fails with.
pub(crate) async fn succeeds(mut command: Command) {
    let output = timeout(PATIENCE, command.output()).await.expect("it does not end").expect("it does not start");
    let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}\n{complained}");
}
