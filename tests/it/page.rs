//! The status page in a real Chromium: what it shows, how it looks, and what becomes of tokens, answers and failures.

use std::{fs, time::Duration};

use axum::http::{HeaderMap, HeaderValue, header::CONTENT_TYPE};
use serde_json::{Value, json};

use crate::support::{Binary, Browser, LOOKS, Look, Vendor, Vendors};

const ADMIN: &str = "the-administrators-own";
const KEY: &str = "0123456789abcdef0123456789abcdef";
const KEYS: (&str, &str) = ("API_KEYS", "web:0123456789abcdef0123456789abcdef");
const PATIENCE: Duration = Duration::from_secs(60);

const IS_LIVE: &str = "document.getElementById('pulse').dataset.state === 'live'";
const IS_ANSWERED: &str = "!document.getElementById('send').disabled";

/// Opens the page, and waits until it shows how the gateway is doing.
async fn open(browser: &Browser, gateway: &Binary) {
    browser.open(&gateway.url("/")).await;
    browser.until(IS_LIVE).await;
}

/// Asks in the playground, and waits for the end.
async fn ask(browser: &Browser, prompt: &str, model: &str) {
    browser.fill("#prompt", prompt).await;
    browser.fill("#model", model).await;
    browser.click("#send").await;
    browser.until(IS_ANSWERED).await;
}

/// What the receipt says of something.
async fn receipt(browser: &Browser, term: &str) -> String {
    let term = format!("[...document.querySelectorAll('#receipt dt')].find(dt => dt.textContent === '{term}')");
    browser.evaluate(&format!("{term}?.nextElementSibling.innerText ?? ''")).await.as_str().unwrap().to_owned()
}

/// The page that is open fits every screen, by day and by night, and axe finds nothing grave in it.
async fn assert_presentable(browser: &Browser, state: &str) {
    let mut grounds = Vec::new();
    for look in LOOKS {
        browser.look(look).await;
        let Look { width, scheme } = look;
        // A phone makes its window wider when what is in it does not fit.
        let overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth";
        let seen = browser.evaluate(&format!("[{overflow}, innerWidth]")).await;
        assert_eq!(seen, json!([0, width]), "{state}: it can be scrolled sideways, {look:?}");
        grounds.push((scheme, browser.evaluate("getComputedStyle(document.body).backgroundColor").await));
        assert_eq!(browser.faults().await, Vec::<String>::new(), "{state}, {look:?}");
    }
    assert!(grounds[0].1 != grounds[1].1 && grounds[0] == grounds[2], "{grounds:?}");
}

async fn get(gateway: &Binary, path: &str) -> Value {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    client.get(gateway.url(path)).send().await.unwrap().json().await.unwrap()
}

#[tokio::test]
async fn its_numbers_are_the_services_and_nothing_comes_from_elsewhere() {
    let vendors = Vendors::start().await;
    let settings = vendors.settings();
    let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let gateway = Binary::start(&[&settings[..], &[("BUDGET_DAILY_USD", "0.001")]].concat());
    let browser = Browser::at_home().await;
    open(&browser, &gateway).await;
    let page = browser.text("main").await;
    assert_eq!(page.matches("Nothing has been asked yet.").count(), 2, "{page}");
    assert_presentable(&browser, "nothing asked").await;

    for prompt in ["hello a", "hello b", "hello c", "hello a", "hello a"] {
        ask(&browser, prompt, "openai:gpt-4o").await;
    }
    browser.until("document.getElementById('recent').rows.length === 6").await;
    let (counted, status) = (get(&gateway, "/llm/cache/stats").await, get(&gateway, "/llm/status").await);
    assert_eq!((&counted["hits"], &counted["misses"], &counted["hitRate"]), (&json!(2), &json!(3), &json!(40)));
    assert_eq!(browser.text("#hit-rate").await, "40 %");
    assert!(browser.text("#hit-rate + .muted").await.starts_with("2 hits, 3 misses"));
    assert_eq!(browser.text("#saved").await, counted["estimatedSavings"].as_str().unwrap());
    assert_eq!(browser.text("#requests").await, "5");
    // Thousandths of a cent are told apart.
    let used = status["budget"]["daily"]["used"].as_f64().unwrap();
    assert!((0.0005..0.01).contains(&used), "{used}");
    let spent = browser.text("#spent").await;
    let spent: f64 = spent.strip_prefix('$').unwrap().parse().unwrap();
    assert!((spent - used).abs() < used / 20.0, "{spent} {used}");
    let recent = browser.text("#recent").await;
    assert_eq!((recent.matches("hit").count(), recent.matches("miss").count()), (2, 3), "{recent}");
    assert!(!browser.text("#numbers").await.contains("hello"), "a prompt is shown");
    // A third of what is allowed a day, and then more.
    assert!(browser.text("#alert-list").await.contains("daily budget"));
    let said = "document.querySelector('#generations-by-outcome [role=img]').getAttribute('aria-label')";
    let said = browser.evaluate(said).await;
    assert!(said.as_str().unwrap().contains("5 generations: 2 hit, 3 miss"), "{said}");
    browser.click("#generations-by-outcome summary").await;
    browser.until("document.querySelector('#generations-by-outcome tbody').rows.length > 0").await;
    assert_presentable(&browser, "asked and answered").await;

    // A chart has the colours of the scheme that is.
    let drawn = "[...document.querySelectorAll('.uplot canvas')].map(canvas => canvas.toDataURL()).join()";
    let dark = browser.evaluate(drawn).await;
    browser.look(LOOKS[2]).await;
    assert_ne!(browser.evaluate(drawn).await, dark);

    let loaded = "performance.getEntriesByType('resource').map(entry => entry.name)";
    let loaded = browser.evaluate(loaded).await;
    let loaded: Vec<_> = loaded.as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    assert!(loaded.len() > 20 && loaded.iter().all(|name| name.starts_with(&gateway.url("/"))), "{loaded:#?}");
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    assert_eq!(vendors.refused(), Vec::<String>::new());
}

#[tokio::test]
async fn the_playground_streams_an_answer_and_shows_its_receipt() {
    let gateway = Binary::start(&[]);
    let browser = Browser::at_home().await;
    open(&browser, &gateway).await;
    browser
        .evaluate(
            "(window.lengths = [], new MutationObserver(() => lengths.push(document.getElementById('answer').textContent.length))
                .observe(document.getElementById('answer'), { childList: true, characterData: true, subtree: true }))",
        )
        .await;
    ask(&browser, "Create a login form", "").await;
    let lengths = browser.evaluate("lengths.filter(length => length > 0)").await;
    let lengths: Vec<_> = lengths.as_array().unwrap().iter().map(|length| length.as_u64().unwrap()).collect();
    assert!(lengths.len() > 3 && lengths.is_sorted() && lengths[0] < lengths[lengths.len() - 1], "{lengths:?}");
    assert!(browser.text("#answer").await.starts_with("This is the demo provider"));
    assert!(browser.text("#steps").await.contains("Calling gpt-4o at demo (attempt 1)."));
    let cache = receipt(&browser, "Cache").await;
    assert!(cache.starts_with("Miss") && cache.ends_with("llm-gateway; fwd=miss; stored"), "{cache}");
    assert!(receipt(&browser, "Provider").await.starts_with("demo"));
    assert_eq!((receipt(&browser, "Model").await, receipt(&browser, "Calls").await), ("gpt-4o".into(), "1".into()));
    assert!(receipt(&browser, "Tokens").await.contains("130 in, 130 out"));
    assert_eq!((receipt(&browser, "Cost").await, receipt(&browser, "Ended by").await), ("$0".into(), "stop".into()));
    for term in ["First text", "Total", "Server-Timing"] {
        assert!(
            receipt(&browser, term).await.contains(" ms") || receipt(&browser, term).await.contains(" s"),
            "{term}"
        );
    }
    let request = receipt(&browser, "Request").await;
    assert_eq!(get(&gateway, "/llm/status").await["recent"][0]["requestId"], *request);

    ask(&browser, "Create a login form", "").await;
    let cache = receipt(&browser, "Cache").await;
    assert!(cache.starts_with("Hit"), "{cache}");
    assert!(receipt(&browser, "Age").await.ends_with('s') && receipt(&browser, "Calls").await == "0");
    browser.click("#afresh").await;
    ask(&browser, "Create a login form", "").await;
    assert!(receipt(&browser, "Cache").await.starts_with("Asked afresh"));
    assert_presentable(&browser, "a receipt").await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

#[tokio::test]
async fn what_comes_is_shown_as_text() {
    let html = "<b>bold</b><img src=x onerror=\"document.title='run'\"><script>document.title='run'</script>";
    let pieces = [json!({"content": html}), json!({"content": html})];
    let chunks = pieces.map(|delta| json!({"choices": [{"index": 0, "delta": delta}]}).to_string());
    let end = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}).to_string();
    let stream: String = [&chunks[0], &chunks[1], &end, "[DONE]"].map(|data| format!("data: {data}\n\n")).concat();
    let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"))]);
    let vendor = Vendor::serving(200, headers, stream.into(), 50).await;
    let gateway = Binary::start(&[("OPENAI_API_KEY", "any"), ("OPENAI_BASE_URL", &vendor.base_url)]);
    let browser = Browser::at_home().await;
    open(&browser, &gateway).await;
    ask(&browser, html, "openai:gpt-4o").await;
    assert_eq!(browser.text("#answer").await, html.repeat(2));
    assert!(browser.text("#steps").await.contains("<b>bold</b><img"));
    ask(&browser, html, "<b>who</b>:<i>what</i>").await;
    assert!(browser.text("#failure").await.contains("<b>who</b>"));
    browser.until("document.getElementById('recent').rows.length > 1").await;
    let made = browser
        .evaluate(
            "document.querySelectorAll('main img, main script, #answer *, #steps b b, #failure b, #recent b').length",
        )
        .await;
    assert_eq!((made, browser.evaluate("document.title").await), (json!(0), json!("llm-gateway")));
    // And no script could make markup of a text if it wanted to.
    let tried =
        browser.evaluate("(() => { try { document.body.innerHTML = '<b>'; } catch (error) { return error.name; } })()");
    assert_eq!(tried.await, "TypeError");
}

#[tokio::test]
async fn failures_say_what_can_be_done() {
    let gateway = Binary::start(&[("RATE_LIMIT_MAX", "6"), ("RATE_LIMIT_WINDOW_SECONDS", "3600")]);
    let browser = Browser::at_home().await;
    open(&browser, &gateway).await;

    let offered =
        browser.evaluate("[...document.querySelectorAll('#models option')].map(option => option.value)").await;
    let offered: Vec<_> = offered.as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let faults = readme.lines().filter_map(|line| line.strip_prefix("| `demo:")?.split('`').next());
    let faults: Vec<_> = faults.map(|fault| format!("demo:{fault}")).collect();
    let offered_faults: Vec<_> = offered.iter().copied().filter(|name| name.starts_with("demo:")).collect();
    assert_eq!(offered_faults, faults);
    assert!(offered.contains(&"gpt-4o"), "{offered:?}");

    ask(&browser, "x", "demo:cut").await;
    assert!(browser.text("#failure").await.contains("The answer broke off"));
    assert!(browser.text("#failure").await.contains("Try again."));
    assert!(browser.text("#answer").await.starts_with("This is the demo"), "what has come stays");
    assert_eq!(browser.text("#ask-said").await, "Not the whole answer");
    ask(&browser, "x", "demo:error").await;
    assert!(
        browser.text("#failure").await.contains("The provider failed")
            && browser.text("#ask-said").await == "No answer"
    );
    assert_presentable(&browser, "a failure").await;
    ask(&browser, "x", "demo:rate-limited").await;
    assert!(browser.text("#failure").await.contains("Wait 7 s before you ask again."));
    ask(&browser, "", "").await;
    assert!(browser.text("#failure").await.contains("prompt: Prompt must be a non-empty string."));

    browser.fill("#prompt", "x").await;
    browser.fill("#model", "demo:hang").await;
    browser.click("#send").await;
    browser.until("document.getElementById('steps').children.length > 2").await;
    browser.click("#stop").await;
    browser.until(IS_ANSWERED).await;
    assert!(browser.text("#ask-said").await.starts_with("Stopped. "));

    ask(&browser, "x", "").await;
    ask(&browser, "x", "").await;
    let failure = browser.text("#failure").await;
    assert!(
        failure.contains("Rate limit exceeded") && failure.contains("Wait 5") && failure.contains(" min"),
        "{failure}"
    );
}

#[tokio::test]
async fn tokens_are_asked_for_kept_in_the_tab_and_forgotten() {
    let gateway = Binary::start(&[("ADMIN_TOKEN", ADMIN), KEYS]);
    let browser = Browser::at_home().await;
    browser.open(&gateway.url("/")).await;
    let are_wanted = "!document.getElementById('admin').hidden && !document.getElementById('key').hidden";
    browser.until(are_wanted).await;
    assert!(browser.evaluate("document.getElementById('numbers').hidden").await == true);
    assert_eq!(browser.text("#pulse-word").await, "Locked");
    assert_presentable(&browser, "locked").await;
    // The playground leads to where its key is entered.
    browser.fill("#prompt", "x").await;
    browser.click("#send").await;
    assert_eq!(browser.evaluate("document.activeElement.id").await, "key-token");

    browser.fill("#admin-token", "wr0ng").await;
    browser.click("#admin button").await;
    browser.until("document.getElementById('admin-said').innerText.includes('does not take this token')").await;
    assert_eq!(browser.evaluate("document.activeElement.id").await, "admin-token");
    assert_presentable(&browser, "a wrong token").await;
    browser.fill("#admin-token", "tökén").await;
    browser.click("#admin button").await;
    browser.until("document.getElementById('admin-said').innerText.includes('does not take this token')").await;
    browser.fill("#admin-token", ADMIN).await;
    browser.click("#admin button").await;
    browser.until(IS_LIVE).await;
    assert!(browser.evaluate("document.getElementById('numbers').hidden").await == false);

    browser.fill("#key-token", ADMIN).await;
    browser.click("#key button").await;
    browser.until("document.getElementById('key-said').innerText.includes('does not take this key')").await;
    browser.fill("#key-token", KEY).await;
    browser.click("#key button").await;
    browser.until("document.getElementById('models').options.length > 0").await;
    ask(&browser, "Create a login form", "").await;
    assert!(browser.text("#answer").await.starts_with("This is the demo provider"));
    browser.until("document.getElementById('recent').innerText.includes('key')").await;
    assert_presentable(&browser, "opened").await;

    let kept = browser
        .evaluate("[Object.values({...sessionStorage}).sort(), localStorage.length, document.cookie, location.href]");
    assert_eq!(kept.await, json!([[KEY, ADMIN], 0, "", gateway.url("/")]));
    // As long as the tab lives.
    open(&browser, &gateway).await;
    browser.click("#admin-held button").await;
    browser.until("document.getElementById('numbers').hidden").await;
    browser.click("#key-held button").await;
    browser.until(are_wanted).await;
    assert_eq!(browser.evaluate("sessionStorage.length").await, 0);
}

#[tokio::test]
async fn one_key_opens_all_where_there_is_no_administrator_and_nobody_wants_one_where_there_are_no_keys() {
    let browser = Browser::at_home().await;
    let keyed = Binary::start(&[KEYS]);
    browser.open(&keyed.url("/")).await;
    browser.until("!document.getElementById('key').hidden").await;
    assert!(browser.text("#key-help").await.contains("and the numbers"));
    assert_eq!(browser.evaluate("document.getElementById('admin').hidden").await, true);
    browser.fill("#key-token", KEY).await;
    browser.click("#key button").await;
    browser.until(IS_LIVE).await;
    ask(&browser, "x", "").await;
    assert_ne!(browser.text("#answer").await, "");

    let administered = Binary::start(&[("ADMIN_TOKEN", ADMIN)]);
    browser.open(&administered.url("/")).await;
    browser.until("!document.getElementById('admin').hidden").await;
    assert_eq!(browser.evaluate("document.getElementById('key').hidden").await, true);
    ask(&browser, "x", "").await;
    assert_ne!(browser.text("#answer").await, "");
}

#[tokio::test]
async fn what_is_old_looks_old_until_the_service_is_back() {
    let mut gateway = Binary::start(&[]);
    let browser = Browser::at_home().await;
    open(&browser, &gateway).await;
    ask(&browser, "x", "").await;
    browser.until("document.getElementById('recent').rows.length === 2").await;
    let address = gateway.address;
    gateway.terminate();
    gateway.ended(PATIENCE).await;
    browser.until("!document.getElementById('trouble').hidden").await;
    assert!(browser.text("#trouble").await.contains("The service does not answer. What is shown is from "));
    assert_eq!(
        browser.evaluate("[document.body.dataset.state, document.getElementById('pulse-word').innerText]").await,
        json!(["old", "Old"])
    );
    assert_ne!(browser.evaluate("getComputedStyle(document.getElementById('numbers')).filter").await, "none");
    assert!(browser.evaluate("document.getElementById('recent').rows.length").await == 2, "what was known stays");
    assert_presentable(&browser, "away").await;
    ask(&browser, "x", "").await;
    assert!(browser.text("#failure").await.contains("The service does not answer"));

    let port = address.port().to_string();
    let _again = Binary::start(&[("PORT", &port)]);
    browser.evaluate("document.getElementById('trouble-now').click()").await;
    browser.until(IS_LIVE).await;
    assert_eq!(browser.text("#requests").await, "0");
    assert_eq!(
        browser
            .evaluate("[document.getElementById('trouble').hidden, document.getElementById('recent-box').hidden]")
            .await,
        json!([true, true])
    );

    // Nor does it look fresh when the page itself is at a loss.
    browser.evaluate("(window.fetch = async () => new Response('{}'), 0)").await;
    browser
        .until("document.getElementById('trouble-text').innerText.includes('cannot show what the service answers')")
        .await;
    assert_eq!(browser.text("#pulse-word").await, "Old");
}

#[tokio::test]
async fn nobody_is_asked_while_nobody_looks() {
    let gateway = Binary::start(&[]);
    let browser = Browser::at_home().await;
    // So that it does not take a minute: a second is a twentieth of one.
    browser.before_pages("{ const real = setTimeout; window.setTimeout = (act, ms) => real(act, ms / 20); }").await;
    browser
        .before_pages("addEventListener('DOMContentLoaded', () => performance.setResourceTimingBufferSize(10000))")
        .await;
    open(&browser, &gateway).await;
    let polls = "performance.getEntriesByType('resource').filter(({ name }) => name.endsWith('/llm/status')).length";
    browser.until(&format!("{polls} > 3")).await;
    let look = |is_hidden: bool| {
        format!(
            "(Object.defineProperty(document, 'hidden', {{ configurable: true, get: () => {is_hidden} }}), \
                 document.dispatchEvent(new Event('visibilitychange')))"
        )
    };
    browser.evaluate(&look(true)).await;
    // One that was under way may still end.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let asked = browser.evaluate(polls).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(browser.evaluate(polls).await, asked);
    browser.evaluate(&look(false)).await;
    browser.until(&format!("{polls} > {asked} + 3")).await;
}

#[tokio::test]
async fn numbers_are_said_as_people_read_them() {
    let gateway = Binary::start(&[]);
    let browser = Browser::at_home().await;
    open(&browser, &gateway).await;
    let module = |calls: &str| format!("import('/assets/format.js').then(f => [{calls}])");
    let money = "[0, 0.000001, 0.000024, 0.00033, 0.0123, 0.5, 1, 1234.567].map(f.money)";
    let said = ["$0", "$0.000001", "$0.000024", "$0.00033", "$0.012", "$0.50", "$1.00", "$1,234.57"];
    assert_eq!(browser.evaluate(&module(money)).await, json!([said]));
    let times = "[0.12345, 12.3, 999.4, 1234, 59_000, 61_500].map(f.milliseconds), [0, 59, 61, 3600, 7384, 200_000].map(f.stretch)";
    let said = json!([
        ["0.123 ms", "12.3 ms", "999 ms", "1.23 s", "59 s", "1 min 1 s"],
        ["0 s", "59 s", "1 min 1 s", "1 h", "2 h 3 min", "2 d 7 h"],
    ]);
    assert_eq!(browser.evaluate(&module(times)).await, said);
    let rest =
        "f.percent(33.333), f.percent(0.0051), f.bytes(999), f.bytes(5440), f.plural(1, 'hit'), f.plural(1000, 'hit')";
    let said = json!(["33.3 %", "0.01 %", "999 bytes", "5.44 KB", "1 hit", "1,000 hits"]);
    assert_eq!(browser.evaluate(&module(rest)).await, said);
}
