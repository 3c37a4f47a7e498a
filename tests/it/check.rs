//! `llm-gateway check`, against vendors and stores that are there, or wrong in every way.

use axum::{
    Router,
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use crate::support::{Binary, Certificate, Fault, KEY, RedisCluster, RedisServer, Upstash, Vendors};

type Settings = [(&'static str, String)];

/// What is never to be seen.
const SECRETS: [&str; 4] = [KEY, "s3cr3t", "sk-wrong", "0123456789abcdef"];

/// Exit status and table, durations masked.
async fn check(settings: &Settings) -> (i32, String) {
    let (code, said) = run(settings, &["check"]).await;
    (code, said.lines().map(masked).collect::<Vec<_>>().join("\n"))
}

async fn run(settings: &Settings, arguments: &[&str]) -> (i32, String) {
    let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut command = Binary::command(&settings);
    command.args(arguments);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let said = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    for secret in SECRETS {
        assert!(!said.contains(secret), "`{secret}` is in {said}");
    }
    (output.status.code().unwrap(), said)
}

/// `   123 ms` and `     0 ms` alike.
fn masked(line: &str) -> String {
    let Some((before, behind)) = line.split_once(" ms  ") else { return line.to_owned() };
    format!("{}# ms  {behind}", before.trim_end_matches(|c: char| c.is_ascii_digit() || c == ' '))
}

/// The line of the table for `what`.
#[track_caller]
fn line<'a>(table: &'a str, what: &str) -> &'a str {
    table.lines().find(|line| line.starts_with(what)).unwrap_or_else(|| panic!("no {what} in {table}"))
}

fn owned(settings: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
    settings.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn where_all_is_well_it_says_so_and_leaves_nothing_behind() {
    let (vendors, redis) = (Vendors::start().await, RedisServer::start().await);
    let mut settings = vendors.settings();
    let sound = [
        ("NODE_ENV", "production"),
        ("API_KEYS", "web:0123456789abcdef"),
        ("ADMIN_TOKEN", "0123456789abcdefX"),
        ("CLIENT_IP_SOURCE", "CfConnectingIp"),
        ("FRONTEND_URL", "https://app.example.com"),
        ("BUDGET_HARD_LIMIT", "true"),
        ("COMPATIBLE_LOCAL_MODELS", "gpt-4o"),
        (
            "MODEL_ALIASES",
            "fast=xai:grok-4.7|openai:gpt-6-luna,only=xai:grok-4.7,vectors=openai:text-embedding-3-small",
        ),
    ];
    settings.extend(owned(&sound));
    settings.push(("REDIS_URL", redis.url()));
    let (code, said) = check(&settings).await;
    let expected = "\
what                state       took  what is wrong, and how to mend it
settings            ok             -  read; NODE_ENV is production
store Redis         ok# ms  reads, writes, counts, books, runs scripts and deletes
provider openai     ok# ms  takes the key, and lists 24 models
provider anthropic  ok# ms  takes the key, and lists 17 models
provider google     ok# ms  takes the key, and lists 14 models
provider xai        ok# ms  takes the key, and lists 15 models
provider ollama     ok# ms  lists 3 models
provider local      ok# ms  takes the key, and lists 1 model
alias fast          ok             -  leads to xai:grok-4.7, and 1 behind it
alias only          ok             -  leads to xai:grok-4.7
alias vectors       ok             -  leads to openai:text-embedding-3-small, for vectors
Everything that was tried works, with no warning.";
    assert_eq!((code, said.as_str()), (0, expected));
    assert!(vendors.seen().is_empty(), "nobody was asked a question");
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut redis.connection().await).await.unwrap();
    // What limits has to be remembered, and is for a second.
    assert!(keys.iter().all(|key| key.starts_with("ratelimit:check:")), "{keys:?}");
    for key in keys {
        let left: i64 = redis::cmd("PTTL").arg(&key).query_async(&mut redis.connection().await).await.unwrap();
        // Below zero: it is gone already.
        assert!(matches!(left, -2 | 0..=1_000), "{key}: {left}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_is_told_by_its_variable_whatever_status_the_vendor_has_for_it() {
    let vendors = Vendors::start().await;
    let mut settings = vendors.settings();
    for (name, value) in &mut settings {
        if name.ends_with("_KEY") {
            value.push_str("-wrong");
        }
    }
    let google = settings.iter_mut().find(|(name, _)| *name == "GOOGLE_API_KEY").unwrap();
    google.0 = "GEMINI_API_KEY";
    let (code, said) = check(&settings).await;
    let expected = "\
what                state       took  what is wrong, and how to mend it
settings            ok             -  read; NODE_ENV is not production
store               ok             -  this process's own memory: nothing to reach
provider openai     failed# ms  refuses the key. Put a valid one in OPENAI_API_KEY
provider anthropic  failed# ms  refuses the key. Put a valid one in ANTHROPIC_API_KEY
provider google     failed# ms  refuses the key. Put a valid one in GEMINI_API_KEY
provider xai        failed# ms  refuses the key. Put a valid one in XAI_API_KEY
provider ollama     ok# ms  lists 3 models
provider local      failed# ms  refuses the key. Put a valid one in COMPATIBLE_LOCAL_API_KEY
5 of 8 failed, with no warning: mend that first.";
    assert_eq!((code, said.as_str()), (1, expected));
    let without_key: Vec<_> = settings.into_iter().filter(|(name, _)| *name != "COMPATIBLE_LOCAL_API_KEY").collect();
    let (_, said) = check(&without_key).await;
    assert!(line(&said, "provider local").ends_with("wants a key. Set COMPATIBLE_LOCAL_API_KEY"), "{said}");
}

/// Who gives everyone this reply.
async fn replies(status: u16, content_type: &'static str, body: &'static str) -> String {
    let reply = move || async move { (StatusCode::from_u16(status).unwrap(), [(CONTENT_TYPE, content_type)], body) };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().fallback(reply);
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}/v1")
}

/// Who gives whoever has a key this list.
async fn for_who_has_a_key(list: &'static str) -> String {
    let reply = move |headers: HeaderMap| async move {
        if headers.contains_key("authorization") { (StatusCode::OK, list) } else { (StatusCode::UNAUTHORIZED, "{}") }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(reply)).await });
    format!("http://{address}/v1")
}

#[tokio::test(flavor = "multi_thread")]
async fn each_way_not_to_get_a_list_has_a_sentence_of_its_own() {
    let raw = r#"{"error":{"message":"s3cr3t words of the vendor about sk-wrong","code":"x"}}"#;
    let scopes =
        r#"{"error":{"message":"You have insufficient permissions for this operation. Missing scopes: s3cr3t."}}"#;
    let spent = r#"{"error":{"message":"s3cr3t","code":"insufficient_quota"}}"#;
    for (status, body, state, said) in [
        (401, raw, "failed", "refuses the key. Put a valid one in OPENAI_API_KEY"),
        (403, raw, "warning", "the key in OPENAI_API_KEY may not list models (status 403)"),
        (401, scopes, "warning", "the key in OPENAI_API_KEY may not list models (status 401)"),
        (404, raw, "failed", "there is nothing at this address (status 404). Look at the path of OPENAI_BASE_URL"),
        (405, raw, "failed", "refuses to list its models (status 405)"),
        (301, raw, "failed", "has moved (status 301). Put its new address in OPENAI_BASE_URL"),
        (429, raw, "warning", "limits the key in OPENAI_API_KEY for the moment (status 429)"),
        (429, spent, "failed", "the account of OPENAI_API_KEY has nothing left"),
        (500, raw, "warning", "is in trouble itself (status 500)"),
        (408, raw, "warning", "is in trouble itself (status 408)"),
        (200, r#"{"data":[],"error":{"message":"s3cr3t"}}"#, "failed", "answers, but with no list of models"),
        (503, "<html>s3cr3t</html>", "warning", "is in trouble itself (status 503)"),
        (200, "<html>s3cr3t</html>", "failed", "answers, but with no list of models: a web page"),
        (200, raw, "failed", "answers, but with no list of models: a web page"),
    ] {
        let url = replies(status, "text/html", body).await;
        let settings = [("OPENAI_API_KEY", "sk-wrong".to_owned()), ("OPENAI_BASE_URL", url)];
        let (code, table) = check(&settings).await;
        let line = line(&table, "provider openai");
        assert_eq!(code, i32::from(state == "failed"), "{table}");
        assert!(line.contains(&format!("{state}# ms  {said}")), "{line}");
    }
    // Nothing is said of a key to who has none.
    for (status, state, said) in [
        (429, "warning", "has too much to do for the moment (status 429). Try again later"),
        (503, "warning", "is in trouble itself (status 503). Try again later"),
        (400, "failed", "refuses to list its models (status 400). Look at OLLAMA_BASE_URL"),
    ] {
        let url = replies(status, "application/json", raw).await;
        let (code, table) = check(&[("OLLAMA_BASE_URL", url)]).await;
        assert_eq!(code, i32::from(state == "failed"), "{table}");
        assert!(line(&table, "provider ollama").ends_with(&format!("{state}# ms  {said}")), "{table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_cannot_be_reached_is_told_apart_by_why() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent_at = silent.local_addr().unwrap();
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let plain = replies(200, "application/json", "{}").await;
    let plain_at: std::net::SocketAddr = plain[7..plain.len() - 3].parse().unwrap();
    let tls_port = Certificate::of(["localhost"]).in_front_of(plain_at).await;
    // Accepts, and leaves.
    let leaving = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let leaving_at = leaving.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((connection, _)) = leaving.accept().await {
            drop(connection);
        }
    });
    // Promises more than it sends.
    let breaking = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let breaking_at = breaking.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = breaking.accept().await {
            assert!(connection.read(&mut [0; 4096]).await.unwrap() > 0);
            connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{").await.unwrap();
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let (expired, other) = (Certificate::expired(["localhost"]), Certificate::of(["other.example"]));
    let (expired_port, other_port) = (expired.in_front_of(plain_at).await, other.in_front_of(plain_at).await);
    let authorities = folder.path().join("authorities.pem");
    std::fs::write(&authorities, format!("{}{}", expired.pem, other.pem)).unwrap();
    for (port, said) in [
        (tls_port, "its certificate is not trusted, even with EXTRA_CA_FILE"),
        (expired_port, "its certificate has expired, or is not valid yet"),
        (other_port, "its certificate is for another host. Mend the host in XAI_BASE_URL"),
    ] {
        let settings = [
            ("XAI_API_KEY", "sk-wrong".to_owned()),
            ("XAI_BASE_URL", format!("https://localhost:{port}")),
            ("REDIS_URL", format!("rediss://localhost:{port}")),
            ("EXTRA_CA_FILE", authorities.display().to_string()),
        ];
        let (code, table) = check(&settings).await;
        assert!(code == 1 && line(&table, "provider xai").contains(said), "{table}");
        let (said, _) = said.split_once([',', '.']).unwrap_or((said, ""));
        assert!(line(&table, "store Redis").contains(said), "{table}");
    }
    for (url, said) in [
        (format!("http://{closed}"), "nobody listens there. Look whether host and port of XAI_BASE_URL are right"),
        (
            format!("https://localhost:{tls_port}"),
            "its certificate is not trusted. Name who vouches for it in EXTRA_CA_FILE",
        ),
        (format!("https://{plain_at}"), "does not speak TLS. Look whether XAI_BASE_URL should begin with http://"),
        (
            format!("http://{leaving_at}"),
            "the connection broke before there was an answer. Look whether XAI_BASE_URL should",
        ),
        (
            format!("https://{leaving_at}"),
            "the connection broke before there was an answer. Look whether XAI_BASE_URL is",
        ),
        (
            format!("http://{breaking_at}"),
            "its answer broke off. Try again; if it stays so, look at what stands between",
        ),
        (format!("http://{silent_at}"), "no answer in 5 s. Look whether XAI_BASE_URL is right"),
        ("https://no-such-host.invalid".to_owned(), "not found: the name in XAI_BASE_URL has no address"),
    ] {
        let (code, table) = check(&[("XAI_API_KEY", "sk-wrong".to_owned()), ("XAI_BASE_URL", url)]).await;
        assert_eq!(code, 1, "{table}");
        assert!(line(&table, "provider xai").contains(&format!("failed# ms  {said}")), "{table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_vendor_does_not_list_is_named_and_who_lists_nothing_is_not_blamed() {
    let some = r#"{"data":[{"id":"gpt-4o"},{"id":"gpt-6-sol"}]}"#;
    let url = for_who_has_a_key(some).await;
    let openai = [("OPENAI_API_KEY", "sk-wrong".to_owned()), ("OPENAI_BASE_URL", url.clone())];
    let (code, said) = check(&openai).await;
    let told = line(&said, "provider openai");
    assert_eq!(code, 0, "{said}");
    assert!(told.contains("warning# ms  takes the key, and lists 2 models, but not `gpt-"), "{told}");
    assert!(told.contains(" others of the catalogue") && !told.contains("`gpt-6-sol`"), "{told}");

    let without_default = for_who_has_a_key(r#"{"data":[{"id":"gpt-6-sol"}]}"#).await;
    let (_, said) = check(&[("OPENAI_API_KEY", "sk-wrong".to_owned()), ("OPENAI_BASE_URL", without_default)]).await;
    assert!(said.contains(", which answers when no model is named. Put a newer catalogue in MODELS_FILE"), "{said}");

    let none = for_who_has_a_key(r#"{"data":[]}"#).await;
    let (_, said) = check(&[("OPENAI_API_KEY", "sk-wrong".to_owned()), ("OPENAI_BASE_URL", none)]).await;
    assert!(said.contains("lists 0 models: this key may see none, or OPENAI_BASE_URL leads elsewhere"), "{said}");

    let more = for_who_has_a_key(r#"{"data":[{"id":"gpt-4o"}],"has_more":true}"#).await;
    let (_, said) = check(&[("OPENAI_API_KEY", "sk-wrong".to_owned()), ("OPENAI_BASE_URL", more)]).await;
    assert!(line(&said, "provider openai").contains("ok# ms  takes the key, and lists 1 model"), "{said}");

    let url = replies(200, "application/json", some).await;
    let local = [("COMPATIBLE_LOCAL_BASE_URL", url), ("COMPATIBLE_LOCAL_MODELS", "gpt-4o,rocket".to_owned())];
    let (code, said) = check(&local).await;
    assert_eq!(code, 0);
    assert!(said.contains("warning# ms  lists 2 models, but not `rocket`. Mend COMPATIBLE_LOCAL_MODELS"), "{said}");

    let [(_, address), (_, models)] = local.clone();
    let told = "warning# ms  lists 2 models to anyone: whether it takes the key cannot be tried for free";
    let openai = [("OPENAI_API_KEY", "sk-wrong".to_owned()), ("OPENAI_BASE_URL", address.clone())];
    let (_, said) = check(&openai).await;
    assert!(line(&said, "provider openai").contains(told), "{said}");
    let public = [("COMPATIBLE_LOCAL_BASE_URL", address), ("COMPATIBLE_LOCAL_API_KEY", "sk-wrong".to_owned())];
    let (code, said) = check(&public).await;
    assert!(code == 0 && line(&said, "provider local").ends_with(told), "{said}");
    let (_, said) = check(&[&public[..], &[("COMPATIBLE_LOCAL_MODELS", models)]].concat()).await;
    assert!(said.contains("for free. It has not `rocket`. Mend COMPATIBLE_LOCAL_MODELS"), "{said}");

    let none = replies(404, "application/json", "{}").await;
    let (code, said) = check(&[("COMPATIBLE_LOCAL_BASE_URL", none)]).await;
    assert_eq!(code, 0);
    let told = "warning# ms  is there, but lists no models: it cannot be checked for free. The path of COMPATIBLE_LOCAL_BASE_URL may be wrong";
    assert!(line(&said, "provider local").contains(told), "{said}");

    for status in [401, 403] {
        let guarded = replies(status, "application/json", "{}").await;
        let (_, said) = check(&[("OLLAMA_BASE_URL", guarded)]).await;
        assert!(said.contains("which Ollama cannot be given here"), "{said}");
    }

    let empty = replies(200, "application/json", r#"{"models":[]}"#).await;
    let (_, said) = check(&[("OLLAMA_BASE_URL", empty)]).await;
    assert!(line(&said, "provider ollama").contains("none that could answer. Install one"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_answers_is_told() {
    let aliases = ("MODEL_ALIASES", "fast=xai:grok-4.7,able=google:gemini-4-argon");
    let settings = owned(&[("DEMO_PROVIDER", "off"), aliases]);
    let (code, said) = check(&settings).await;
    assert_eq!(code, 1);
    let expected = "\
what        state       took  what is wrong, and how to mend it
settings    ok             -  read; NODE_ENV is not production
store       ok             -  this process's own memory: nothing to reach
providers   failed         -  none is configured: every generation is refused. Set OPENAI_API_KEY, or another provider's
alias fast  warning        -  leads to nobody. Set XAI_API_KEY, or name another model in MODEL_ALIASES
alias able  warning        -  leads to nobody. Set GOOGLE_API_KEY, or name another model in MODEL_ALIASES
1 of 5 failed, with 2 warnings: mend that first.";
    assert_eq!(said, expected);
    let (code, said) = check(&owned(&[("MODEL_ALIASES", "fast=acme:rocket"), ("OPENAI_API_KEY", "sk-wrong")])).await;
    assert_eq!(code, 78);
    assert!(said.starts_with("MODEL_ALIASES: `fast` stands for `acme:rocket`"), "{said}");
}

/// What is said of the store.
async fn store(settings: &Settings) -> (i32, String) {
    let (code, table) = check(settings).await;
    let line = line(&table, "store ");
    (code, line.split_once("# ms  ").unwrap_or_else(|| panic!("{line}")).1.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_does_not_do_is_told_with_what_to_mend() {
    let locked = RedisServer::start_with(&["--requirepass", "s3cr3t"]).await;
    let replica =
        RedisServer::start_with(&["--replicaof", "127.0.0.1", "1", "--replica-serve-stale-data", "yes"]).await;
    let reader = RedisServer::start_with(&["--user", "reader", "on", ">s3cr3t", "~*", "+@read"]).await;
    let narrow = RedisServer::start_with(&["--user", "narrow", "on", ">s3cr3t", "~llm:*", "+@all"]).await;
    let user = async |name: &str, rights: &[&str]| {
        let arguments = [&["--user", name, "on", ">s3cr3t"], rights].concat();
        RedisServer::start_with(&arguments).await
    };
    let known = ["~llm:cache:*", "~llm:lease:*", "~llm:sessions:*", "~session:*", "~ratelimit:*", "+@all"];
    let start = user("start", &known).await;
    let unstarted = user("unstarted", &[&known[..], &["~llm:stats:*", "~llm:{ledger}:*"]].concat()).await;
    let unhashed = user("unhashed", &["~*", "+@all", "-@hash"]).await;
    let unwritten = user("unwritten", &["~*", "+@all", "-hset"]).await;
    let unscanned = user("unscanned", &["~*", "+@all", "-scan"]).await;
    let several = [
        &["--user", "unread", "on", ">s3cr3t", "~*", "+@all", "-get"][..],
        &["--user", "unsigned", "on", ">s3cr3t", "~llm:cache:*", "~llm:stats:*", "~ratelimit:*", "+@all"],
        &["--user", "unleased", "on", ">s3cr3t", "~llm:cache:*", "~llm:stats:*", "~ratelimit:*", "~session:*"],
        &["~llm:sessions:*", "+@all"],
    ];
    let several = RedisServer::start_with(&several.concat()).await;
    let strange = RedisServer::start().await;
    let set = redis::cmd("SET").arg("llm:{ledger}:all").arg("1").to_owned();
    set.exec_async(&mut strange.connection().await).await.unwrap();
    let (sealed, cluster) = (RedisServer::tls().await, RedisCluster::start().await);
    let full = RedisServer::start_with(&["--maxmemory", "1"]).await;
    let lonely = RedisServer::start_with(&["--min-replicas-to-write", "1"]).await;
    // A node of a cluster that has not been given its share.
    let forming = RedisServer::start_with(&["--cluster-enabled", "yes"]).await;
    let frozen = RedisServer::start().await;
    frozen.freeze();
    let gone = RedisServer::start().await;
    gone.kill();
    let page = replies(200, "text/html", "<html>").await.replace("http://", "redis://").replace("/v1", "");
    let by = |redis: &RedisServer, user: &str| redis.url().replace("redis://", &format!("redis://{user}:s3cr3t-no@"));
    let right = |redis: &RedisServer, user: &str| redis.url().replace("redis://", &format!("redis://{user}:s3cr3t@"));
    for (url, said) in [
        (right(&locked, ""), "reads, writes, counts, books, runs scripts and deletes"),
        (cluster.urls(), "reads, writes, counts, books, runs scripts and deletes"),
        (sealed.url(), "not reached (its certificate is not trusted; EXTRA_CA_FILE can name who vouches for it)"),
        (by(&locked, ""), "the password or token is refused. Put the right one in REDIS_URL"),
        (locked.url(), "the password or token is refused. Put the right one in REDIS_URL"),
        (replica.url(), "takes no writes: it is a replica. REDIS_URL has to name the primary"),
        (right(&reader, "reader"), "the user or token of REDIS_URL may not write under llm:cache:. Give it that right"),
        (right(&narrow, "narrow"), "the user or token of REDIS_URL may not run scripts under ratelimit:. Give it that"),
        (format!("{}/99", gone.url()), "not reached (connection refused). Look whether REDIS_URL is right"),
        (format!("{}/99", right(&locked, "")), "refuses to write under llm:cache: ("),
        (cluster.nodes[0].url(), "this is a cluster: name several of its nodes in REDIS_URL, with commas between"),
        (right(&start, "start"), "the user or token of REDIS_URL may not count under llm:stats:"),
        (right(&unstarted, "unstarted"), "the user or token of REDIS_URL may not write llm:check, as each start does"),
        (right(&unhashed, "unhashed"), "the user or token of REDIS_URL may not read the books under llm:{ledger}:"),
        (right(&unwritten, "unwritten"), "the user or token of REDIS_URL may not keep books under llm:{ledger}:"),
        (right(&unscanned, "unscanned"), "the user or token of REDIS_URL may not look for keys"),
        (full.url(), "full: it takes no writes. Enlarge it, or let it evict"),
        (lonely.url(), "takes no writes: too few of its replicas are there (min-replicas-to-write)"),
        (forming.url(), "not ready yet (CLUSTERDOWN). Try again in a moment"),
        (right(&several, "unread"), "the user or token of REDIS_URL may not read what it has written"),
        (right(&several, "unsigned"), "the user or token of REDIS_URL may not keep sessions under session: and llm:"),
        (right(&several, "unleased"), "the user or token of REDIS_URL may not take leases under llm:lease:"),
        (strange.url(), "cannot read the books under llm:{ledger}:: a key there holds something else"),
        ("redis://no-such-host.invalid:6379".to_owned(), "not found: the name in REDIS_URL has no address"),
        (page, "no answer that makes sense (not the protocol of Redis). Look whether REDIS_URL names a Redis"),
        (frozen.url(), "no answer in 5 s. Look whether REDIS_URL is right, and how the store is"),
    ] {
        let (code, told) = store(&[("REDIS_URL", url)]).await;
        assert!(told.starts_with(said), "{told}");
        let passes = said.starts_with("reads") || said.starts_with("not ready yet");
        assert_eq!(code, i32::from(!passes), "{told}");
    }
    frozen.thaw();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstash_that_does_not_do_is_told_with_what_to_mend() {
    let behind = RedisServer::start().await;
    let upstash = Upstash::start(&behind).await;
    for (token, said) in [
        (upstash.token(), "reads, writes, counts, books, runs scripts and deletes"),
        ("0123456789abcdef", "the password or token is refused. Put the right one in UPSTASH_REDIS_REST_TOKEN"),
        (upstash.read_only_token(), "the user or token of UPSTASH_REDIS_REST_TOKEN may not write under llm:cache:"),
    ] {
        let settings = [("UPSTASH_REDIS_REST_URL", upstash.url()), ("UPSTASH_REDIS_REST_TOKEN", token.to_owned())];
        let (code, told) = store(&settings).await;
        assert!(told.starts_with(said) && !told.contains(token), "{told}");
        assert_eq!(code, i32::from(!said.starts_with("reads")), "{told}");
    }
    for (status, code, said) in [
        (
            404,
            1,
            "no answer that makes sense (status 404). Look whether UPSTASH_REDIS_REST_URL is the REST address of an",
        ),
        (429, 0, "too many commands for the moment (status 429)"),
        (500, 0, "is in trouble itself (status 500)"),
    ] {
        let url = replies(status, "text/html", "<html>").await;
        let settings = owned(&[("UPSTASH_REDIS_REST_URL", &url), ("UPSTASH_REDIS_REST_TOKEN", upstash.token())]);
        let (ended, told) = store(&settings).await;
        assert!(told.starts_with(said), "{told}");
        assert_eq!(ended, code, "{told}");
    }
    for (fault, code, said) in [
        (Fault::TooManyRequests { retry_after: 60 }, 0, "too much to do (status 429). Try again later"),
        (Fault::QuotaExceeded, 1, "the account's commands are used up. Wait for the next period, or enlarge the plan"),
    ] {
        upstash.fail(fault, &[], usize::MAX);
        let url = ("UPSTASH_REDIS_REST_URL", upstash.url());
        let (ended, told) = store(&[url, ("UPSTASH_REDIS_REST_TOKEN", upstash.token().to_owned())]).await;
        assert_eq!((ended, told.as_str()), (code, said));
        upstash.heal();
    }
    let (url, token) = (upstash.url(), upstash.token().to_owned());
    upstash.close().await;
    let (code, told) = store(&[("UPSTASH_REDIS_REST_URL", url), ("UPSTASH_REDIS_REST_TOKEN", token)]).await;
    assert_eq!(code, 1);
    assert!(told.starts_with("not reached ("), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_get_the_same_as_json() {
    let settings = owned(&[("DEMO_PROVIDER", "off"), ("INSTANCES", "2")]);
    let (code, said) = run(&settings, &["check", "--json"]).await;
    let report: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(code, 1);
    assert_eq!((&report["ok"], &report["failed"], &report["warnings"]), (&false.into(), &1.into(), &1.into()));
    let checks = report["checks"].as_array().unwrap();
    let found: Vec<_> = checks.iter().map(|check| (check["what"].as_str(), check["state"].as_str())).collect();
    let expected = [("settings", "warning"), ("store", "ok"), ("providers", "failed")];
    assert_eq!(found, expected.map(|(what, state)| (Some(what), Some(state))));
    assert!(checks.iter().all(|check| check["milliseconds"].is_null() && check["said"].is_string()));
}
