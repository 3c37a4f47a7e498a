//! What a browser's own tools see and do: its console, the screen that it has, how it is set up, and faults that axe finds.

use axum::http::Method;
use fantoccini::wd::WebDriverCompatibleCommand;
use serde_json::{Value, json};
use url::{ParseError, Url};

use super::{Browser, package_file};

/// How somebody looks at a page.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    /// Of the window, in CSS pixels.
    pub(crate) width: u32,
    /// `light` or `dark`.
    pub(crate) scheme: &'static str,
}

/// A phone and a desktop, by day and by night.
pub(crate) const LOOKS: [Look; 4] = [
    Look { width: 390, scheme: "light" },
    Look { width: 390, scheme: "dark" },
    Look { width: 1_440, scheme: "light" },
    Look { width: 1_440, scheme: "dark" },
];

impl Browser {
    /// From now on, pages are looked at so.
    pub(crate) async fn look(&self, Look { width, scheme }: Look) {
        let is_phone = width < 600;
        let screen = json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": is_phone});
        self.devtools("Emulation.setDeviceMetricsOverride", screen).await;
        let scheme = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.devtools("Emulation.setEmulatedMedia", scheme).await;
        // What follows the size of the window has done so in the frame after the next.
        self.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done())))").await;
    }

    /// What runs before anything else in every page that is opened from now on.
    pub(crate) async fn before_pages(&self, script: &str) {
        self.devtools("Page.addScriptToEvaluateOnNewDocument", json!({"source": script})).await;
    }

    /// What the console says since it was asked last: warnings and errors, of scripts, of the network and of policies.
    pub(crate) async fn complaints(&self) -> Vec<String> {
        let entries = self.command("se/log", json!({"type": "browser"})).await;
        let entries = entries.as_array().unwrap().iter();
        let bad = entries.filter(|entry| ["SEVERE", "WARNING"].contains(&entry["level"].as_str().unwrap()));
        bad.map(|entry| entry["message"].as_str().unwrap().to_owned()).collect()
    }

    /// The serious and critical faults that axe finds in the page that is open: what, and where.
    pub(crate) async fn faults(&self) -> Vec<String> {
        if self.evaluate("typeof window.axe").await == "undefined" {
            let axe = String::from_utf8(package_file("axe-core/axe.min.js")).unwrap();
            self.client.execute(&axe, Vec::new()).await.unwrap();
        }
        let found = self.evaluate("axe.run({resultTypes: ['violations']}).then(found => found.violations)").await;
        let found = found.as_array().unwrap_or_else(|| panic!("axe does not run: {found}")).iter();
        let grave =
            found.filter(|fault| ["serious", "critical"].contains(&fault["impact"].as_str().unwrap_or_default()));
        grave.map(|fault| format!("{}: {}", fault["help"], fault["nodes"])).collect()
    }

    /// Says a command of Chromium's own protocol.
    async fn devtools(&self, name: &'static str, parameters: Value) {
        self.command("goog/cdp/execute", json!({"cmd": name, "params": parameters})).await;
    }

    async fn command(&self, path: &'static str, body: Value) -> Value {
        self.client.issue_cmd(Command { path, body }).await.unwrap()
    }
}

/// A command that is chromedriver's own.
#[derive(Debug)]
struct Command {
    /// Behind the session's.
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Command {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.body.to_string()))
    }
}
