//! A real Chromium without a window, driven over `WebDriver`: a process of its own with a profile of its own.
//!
//! Not for tests that pause time.

use std::{
    collections::HashMap,
    io::{self, BufRead as _, BufReader},
    process::{Child, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use axum::http::{HeaderMap, StatusCode};
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Certificate, Reply};

/// For a page to load, and for a script to end: a loaded machine takes its time.
const PATIENCE: Duration = Duration::from_secs(60);

/// What every browser of the tests is started with.
const ARGUMENTS: [&str; 7] = [
    "--headless=new",
    // Chromium has no sandbox for root, which tests in a container run as.
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--no-first-run",
    // So that it hears when its driver has ended, and ends.
    "--remote-debugging-pipe",
    "--no-proxy-server",
];

/// One browser with one window.
pub(crate) struct Browser {
    pub(super) client: Client,
    _driver: Driver,
}

impl Browser {
    /// Takes every name for this machine's, and `certificate` for a good one.
    pub(crate) async fn start(certificate: &Certificate) -> Self {
        let arguments = [
            "--host-resolver-rules=MAP * 127.0.0.1",
            &format!("--ignore-certificate-errors-spki-list={}", certificate.public_key_hash),
        ];
        Self::launch(&arguments).await
    }

    /// Takes only names that this machine's are, and nothing for a certificate: for pages of the gateway's own.
    pub(crate) async fn at_home() -> Self {
        Self::launch(&[]).await
    }

    async fn launch(more: &[&str]) -> Self {
        let arguments = [&ARGUMENTS, more].concat();
        let patience_ms = u64::try_from(PATIENCE.as_millis()).unwrap();
        let capabilities = json!({
            "timeouts": {"pageLoad": patience_ms, "script": patience_ms},
            "goog:loggingPrefs": {"browser": "ALL"},
            "goog:chromeOptions": {
                "args": arguments,
                // Keep and send the cookies of other sites, which Debian's Chromium does not by itself.
                "prefs": {"profile.cookie_controls_mode": 0},
            },
        });
        let driver = Driver::start();
        let mut builder = ClientBuilder::new(HttpConnector::new());
        builder.capabilities(serde_json::from_value(capabilities).unwrap());
        let client = builder.connect(&driver.url).await;
        Self { client: client.expect("chromedriver starts Chromium"), _driver: driver }
    }

    /// Opens a page in place of the one that is open.
    pub(crate) async fn open(&self, url: &str) {
        self.client.goto(url).await.unwrap();
    }

    /// What the page that is open gets for `fetch(url, init)`, or else the name of the error.
    pub(crate) async fn fetch(&self, url: &str, init: Value) -> Result<Seen, String> {
        let fetched = self.client.execute_async(FETCH, vec![url.into(), init]).await.unwrap();
        let fetched: Result<Answer, String> =
            Deserialize::deserialize(&fetched).unwrap_or_else(|_| panic!("the page failed: {fetched}"));
        let Answer { status, headers, reads } = fetched?;
        let (status, headers) = (StatusCode::from_u16(status).unwrap(), HeaderMap::try_from(&headers).unwrap());
        Ok(Seen { reply: Reply { status, headers, body: reads.concat() }, reads })
    }

    /// What an expression is in the page that is open, or what its promise comes to.
    pub(crate) async fn evaluate(&self, expression: &str) -> Value {
        let script = format!(
            "const done = arguments[0]; Promise.resolve({expression}).then(done, error => done(String(error)))"
        );
        self.client.execute_async(&script, Vec::new()).await.unwrap()
    }

    /// Waits until an expression is true in the page that is open. What it speaks of may not be there yet.
    pub(crate) async fn until(&self, expression: &str) {
        let begun = Instant::now();
        let tried = format!("(() => {{ try {{ return {expression} }} catch {{ return false }} }})()");
        while self.evaluate(&tried).await != true {
            if begun.elapsed() > PATIENCE {
                let page = self.evaluate("document.body.innerText").await;
                panic!("`{expression}` does not come true. The page:\n{}", page.as_str().unwrap_or_default());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The text of an element, as it is seen.
    pub(crate) async fn text(&self, selector: &str) -> String {
        let text = self.evaluate(&format!("document.querySelector({selector:?}).innerText")).await;
        text.as_str().unwrap_or_else(|| panic!("{selector}: {text}")).to_owned()
    }

    /// Puts a text into a field, as if it had been typed.
    pub(crate) async fn fill(&self, selector: &str, text: &str) {
        let field = self.client.find(Locator::Css(selector)).await.unwrap();
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    /// Clicks where a person would.
    pub(crate) async fn click(&self, selector: &str) {
        self.client.find(Locator::Css(selector)).await.unwrap().click().await.unwrap();
    }
}

/// The last argument is the driver's, and takes the result. Not every error is the network's: those of reading are bugs.
const FETCH: &str = r"
    const [url, init, done] = arguments;
    const read = async reply => {
        const reader = reply.body.getReader(), decoder = new TextDecoder(), reads = [];
        for (let read; !(read = await reader.read()).done;) {
            reads.push(decoder.decode(read.value, { stream: true }));
        }
        return { Ok: { status: reply.status, headers: Object.fromEntries(reply.headers), reads } };
    };
    fetch(url, init).then(read, error => ({ Err: error.name })).then(done, error => done(String(error)));
";

#[derive(Deserialize)]
struct Answer {
    status: u16,
    headers: HashMap<String, String>,
    reads: Vec<String>,
}

/// A reply as a page sees it: with those headers only that it may read.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) reply: Reply,
    /// The body in the pieces in which it came.
    pub(crate) reads: Vec<String>,
}

/// `chromedriver` and the browsers that it started, which end with it.
struct Driver {
    child: Child,
    url: String,
    said: BufReader<ChildStdout>,
    /// Where it makes a folder for each browser's profile.
    _folder: TempDir,
}

impl Driver {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new("chromedriver")
            .arg("--port=0")
            .env("TMPDIR", folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the tests need `chromium` and `chromedriver`: run scripts/install-test-tools");
        let mut said = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        // «ChromeDriver was started successfully on port 12345.»
        while !line.contains("successfully on port ") {
            line.clear();
            assert_ne!(said.read_line(&mut line).unwrap(), 0, "chromedriver did not start");
        }
        let port = line.trim_end_matches(['.', '\n']).rsplit(' ').next().unwrap();
        Self { url: format!("http://127.0.0.1:{port}"), child, said, _folder: folder }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        // The browser holds the other end too. While it lives, it writes in the folder that is about to go.
        drop(io::copy(&mut self.said, &mut io::sink()));
    }
}
