//! The spans of requests, as a collector gets them.

use serde_json::json;

use crate::support::{Gateway, KEY, Vendors, post};

#[tokio::test]
async fn without_a_collector_nobody_hears_of_a_trace() {
    let vendors = Vendors::start().await;
    let address = format!("{}/v1", vendors.url("openai"));
    let gateway = Gateway::configured([("OPENAI_API_KEY", KEY), ("OPENAI_BASE_URL", &address)]);
    let mut request = post("/llm/generate", &json!({"prompt": "hello", "model": "gpt-4o"}));
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    request.headers_mut().insert("traceparent", traceparent.parse().unwrap());
    gateway.send(request).await.expect(200);
    let seen = vendors.seen();
    assert_eq!((seen.len(), seen[0].headers.get("traceparent")), (1, None));
}

#[cfg(feature = "otel")]
mod exported {
    use std::{
        collections::{BTreeMap, BTreeSet},
        io::Read,
        time::Duration,
    };

    use flate2::read::GzDecoder;
    use opentelemetry_proto::tonic::{
        collector::trace::v1::ExportTraceServiceRequest,
        common::v1::{AnyValue, KeyValue, any_value::Value},
        trace::v1::Span,
    };
    use prost::Message as _;
    use serde_json::{Value as Json, json};

    use crate::support::{Binary, KEY, RedisServer, Sink, Taken, Vendors};

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const CALLER: &str = "b7ad6b7169203331";
    const SECRET: &str = "s3cret-of-the-collector";

    // As the protocol numbers them.
    const INTERNAL: i32 = 1;
    const SERVER: i32 = 2;
    const CLIENT: i32 = 3;
    const ERROR: i32 = 2;

    /// A span as it is easily compared.
    #[derive(Clone, Debug)]
    struct Told {
        id: String,
        parent: String,
        trace: String,
        name: String,
        kind: i32,
        is_error: bool,
        attributes: BTreeMap<String, Json>,
        links: Vec<(String, String)>,
        took: Duration,
    }

    fn value(value: Option<AnyValue>) -> Json {
        match value.unwrap().value.unwrap() {
            Value::StringValue(text) => json!(text),
            Value::IntValue(number) => json!(number),
            Value::BoolValue(is_true) => json!(is_true),
            Value::ArrayValue(array) => array.values.into_iter().map(|one| self::value(Some(one))).collect(),
            other => panic!("{other:?}"),
        }
    }

    fn attributes(pairs: Vec<KeyValue>) -> BTreeMap<String, Json> {
        pairs.into_iter().map(|pair| (pair.key, value(pair.value))).collect()
    }

    impl From<Span> for Told {
        fn from(span: Span) -> Self {
            assert_eq!(span.events, [], "no line of the log is told");
            Self {
                id: hex::encode(&span.span_id),
                parent: hex::encode(&span.parent_span_id),
                trace: hex::encode(&span.trace_id),
                name: span.name,
                kind: span.kind,
                is_error: span.status.is_some_and(|status| status.code == ERROR),
                attributes: attributes(span.attributes),
                links: span
                    .links
                    .iter()
                    .map(|link| (hex::encode(&link.trace_id), hex::encode(&link.span_id)))
                    .collect(),
                took: Duration::from_nanos(span.end_time_unix_nano - span.start_time_unix_nano),
            }
        }
    }

    fn unpacked(taken: &Taken) -> Vec<u8> {
        let mut bytes = Vec::new();
        match taken.headers.get("content-encoding") {
            Some(encoding) if encoding == "gzip" => GzDecoder::new(&*taken.body).read_to_end(&mut bytes).unwrap(),
            Some(other) => panic!("{other:?}"),
            None => Read::read_to_end(&mut &*taken.body, &mut bytes).unwrap(),
        };
        bytes
    }

    /// Everything that `collector` was told, and of whom.
    fn told(collector: &Sink) -> Vec<Told> {
        let mut spans = Vec::new();
        for taken in collector.taken() {
            assert_eq!(taken.path, "/v1/traces");
            assert_eq!(taken.headers["content-type"], "application/x-protobuf");
            assert_eq!(taken.headers["x-api-key"], SECRET);
            for of in ExportTraceServiceRequest::decode(unpacked(&taken).as_slice()).unwrap().resource_spans {
                let resource = attributes(of.resource.unwrap().attributes);
                assert_eq!(resource["service.name"], "our-gateway");
                assert_eq!(resource["service.version"], env!("CARGO_PKG_VERSION"));
                assert_eq!(resource["deployment.environment.name"], "development");
                spans.extend(of.scope_spans.into_iter().flat_map(|of| of.spans).map(Told::from));
            }
        }
        spans
    }

    fn named<'a>(spans: &'a [Told], trace: &str, name: &str) -> Vec<&'a Told> {
        spans.iter().filter(|span| span.trace == trace && span.name == name).collect()
    }

    #[track_caller]
    fn only<'a>(spans: &'a [Told], trace: &str, name: &str) -> &'a Told {
        match named(spans, trace, name)[..] {
            [span] => span,
            ref others => panic!("`{name}` is there {} times: {spans:#?}", others.len()),
        }
    }

    /// A gateway with `collector` behind it, and all vendors.
    fn start(collector: &Sink, vendors: &Vendors, more: &[(&str, &str)]) -> Binary {
        let (endpoint, headers) = (format!("http://{}", collector.address), format!("x-api-key={SECRET}"));
        let openai = format!("{}/v1", vendors.url("openai"));
        let mut settings = vec![
            ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
            ("OTEL_EXPORTER_OTLP_HEADERS", &headers),
            ("OTEL_SERVICE_NAME", "our-gateway"),
            ("OPENAI_API_KEY", KEY),
            ("OPENAI_BASE_URL", &openai),
            // Whatever the log is told.
            ("LOG_LEVEL", "off,llm_gateway=info,llm_gateway::http=off"),
        ];
        settings.extend(more);
        Binary::start(&settings)
    }

    async fn ask(gateway: &Binary, traceparent: &str, body: &Json) -> reqwest::Response {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = client.post(gateway.url("/llm/generate")).bearer_auth("pr1vate-k3y").json(body);
        request.header("traceparent", traceparent).header("tracestate", "shop=7").send().await.unwrap()
    }

    async fn stop(mut gateway: Binary) -> Vec<Json> {
        gateway.terminate();
        assert!(gateway.ended(Duration::from_secs(60)).await.success());
        gateway.log()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_generation_with_a_retry_and_a_cache_write_is_one_tree() {
        let (collector, vendors) = (Sink::answering(Some(200)).await, Vendors::start().await);
        let redis = RedisServer::start().await;
        let gateway = start(&collector, &vendors, &[("REDIS_URL", &redis.url()), ("API_KEYS", "web:pr1vate-k3y")]);
        let question = json!({"prompt": "fail-once pr1vate", "model": "gpt-4o", "allowFailover": false});
        let reply = ask(&gateway, &format!("00-{TRACE}-{CALLER}-01"), &question).await;
        assert_eq!(reply.status(), 200);
        assert!(!reply.headers().contains_key("traceparent"));
        let id = reply.headers()["x-request-id"].to_str().unwrap().to_owned();
        assert!(reply.text().await.unwrap().contains("wörld"));
        // A traceparent that is none begins a trace; the answer is stored.
        assert_eq!(ask(&gateway, "00-pr1vate", &question).await.status(), 200);
        for path in ["/health", "/metrics", "/no/such/pr1vate", "/users/pr1vate/sessions"] {
            let client = reqwest::Client::builder().no_proxy().build().unwrap();
            client.get(gateway.url(path)).bearer_auth("pr1vate-k3y").send().await.unwrap();
        }
        let log = stop(gateway).await;
        assert!(!json!(log).to_string().contains("otel"), "{log:#?}");

        let spans = told(&collector);
        let root = only(&spans, TRACE, "POST /llm/generate");
        assert_eq!((root.parent.as_str(), root.kind, root.is_error), (CALLER, SERVER, false));
        assert_eq!(
            json!(root.attributes),
            json!({
                "http.request.method": "POST", "http.response.status_code": 200, "http.route": "/llm/generate",
                "llm_gateway.ending": "miss", "request_id": id, "url.path": "/llm/generate", "url.scheme": "http",
            })
        );
        let lookup = only(&spans, TRACE, "cache.lookup");
        assert_eq!((&lookup.parent, lookup.kind), (&root.id, INTERNAL));
        assert_eq!(json!(lookup.attributes), json!({"llm_gateway.cache.result": "miss"}));
        for (operation, parent) in
            [("counter.admit", root), ("cache.get", lookup), ("lease.take", root), ("cache.put", root)]
        {
            let call = only(&spans, TRACE, operation);
            assert_eq!((&call.parent, call.kind, call.is_error), (&parent.id, CLIENT, false), "{operation}");
            assert_eq!(json!(call.attributes), json!({"db.system.name": "redis", "db.operation.name": operation}));
        }
        let port: u16 = vendors.url("").trim_end_matches('/').rsplit_once(':').unwrap().1.parse().unwrap();
        let mut attempts = named(&spans, TRACE, "chat gpt-4o");
        attempts.sort_by_key(|attempt| attempt.attributes["llm_gateway.attempt"].as_i64());
        let [failed, succeeded] = attempts[..] else { panic!("{attempts:#?}") };
        let mut common = json!({
            "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o",
            "server.address": "127.0.0.1", "server.port": port, "llm_gateway.attempt": 1, "error.type": "server_error",
        });
        assert_eq!(json!(failed.attributes), common);
        assert_eq!((&failed.parent, failed.kind, failed.is_error), (&root.id, CLIENT, true));
        common.as_object_mut().unwrap().remove("error.type");
        common["llm_gateway.attempt"] = json!(2);
        common["gen_ai.usage.input_tokens"] = json!(14);
        common["gen_ai.usage.output_tokens"] = json!(29);
        common["gen_ai.response.finish_reasons"] = json!(["stop"]);
        assert_eq!(json!(succeeded.attributes), common);
        assert_eq!((&succeeded.parent, succeeded.kind, succeeded.is_error), (&root.id, CLIENT, false));

        let seen = vendors.seen();
        let passed_on: Vec<_> = seen.iter().map(|seen| seen.headers["traceparent"].to_str().unwrap()).collect();
        assert_eq!(passed_on, [failed, succeeded].map(|attempt| format!("00-{TRACE}-{}-01", attempt.id)));
        assert!(seen.iter().all(|seen| seen.headers["tracestate"] == "shop=7"));

        let others = spans.iter().filter(|span| span.kind == SERVER && span.trace != TRACE);
        let others: BTreeMap<&str, &Told> = others.map(|span| (span.name.as_str(), span)).collect();
        assert_eq!(
            others.keys().copied().collect::<Vec<_>>(),
            ["GET", "GET /users/{id}/sessions", "POST /llm/generate"],
            "{spans:#?}"
        );
        assert_eq!(others["GET"].attributes["http.response.status_code"], 404);
        let hit = others["POST /llm/generate"];
        assert_eq!((hit.parent.as_str(), &hit.attributes["llm_gateway.ending"]), ("", &json!("hit")));
        assert_eq!(only(&spans, &hit.trace, "cache.lookup").attributes["llm_gateway.cache.result"], "hit");
        // What the service does for itself is nobody's trace.
        let is_of_a_request = |span: &Told| span.trace == TRACE || others.values().any(|of| of.trace == span.trace);
        assert!(spans.iter().all(is_of_a_request), "{spans:#?}");
        for secret in ["fail-once", "pr1vate", "wörld", KEY, SECRET] {
            assert!(!collector.holds(secret), "`{secret}` was told");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_span_lasts_as_long_as_its_stream_and_who_joins_refers_to_the_call() {
        let (collector, vendors) = (Sink::answering(Some(200)).await, Vendors::start().await);
        let gateway = start(&collector, &vendors, &[]);
        let question = json!({"prompt": "slow", "model": "gpt-4o", "streaming": true});
        let mut first = ask(&gateway, &format!("00-{TRACE}-{CALLER}-01"), &question).await;
        let mut came = Vec::new();
        while !String::from_utf8_lossy(&came).contains("DELTA") {
            came.extend(first.chunk().await.unwrap().unwrap());
        }
        let second = ask(&gateway, "", &question).await;
        let (first, second) = tokio::join!(first.text(), second.text());
        assert!(first.unwrap().contains("49 ") && second.unwrap().contains("49 "));
        stop(gateway).await;

        let spans = told(&collector);
        let root = only(&spans, TRACE, "POST /llm/generate");
        let attempt = only(&spans, TRACE, "chat gpt-4o");
        // The answer comes within five seconds.
        assert!(attempt.took > Duration::from_secs(4) && root.took >= attempt.took, "{spans:#?}");
        let joined = spans.iter().find(|span| span.kind == SERVER && span.trace != TRACE).unwrap();
        assert_eq!(joined.links, [(root.trace.clone(), root.id.clone())]);
        assert_eq!(joined.attributes["llm_gateway.ending"], "joined");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn vectors_and_what_fails_are_told_too() {
        let (collector, vendors) = (Sink::answering(Some(200)).await, Vendors::start().await);
        let gateway = start(&collector, &vendors, &[("PROVIDER_RETRIES", "0")]);
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let inputs = json!({"input": "pr1vate", "model": "text-embedding-3-small"});
        let reply = client.post(gateway.url("/v1/embeddings")).json(&inputs).send().await.unwrap();
        assert_eq!(reply.status(), 200);
        let question = json!({"prompt": "overloaded pr1vate", "model": "gpt-4o", "allowFailover": false});
        let reply = ask(&gateway, &format!("00-{TRACE}-{CALLER}-01"), &question).await;
        assert_eq!(reply.status(), 503);
        stop(gateway).await;

        let spans = told(&collector);
        let root = only(&spans, TRACE, "POST /llm/generate");
        let attempt = only(&spans, TRACE, "chat gpt-4o");
        assert_eq!((root.is_error, attempt.is_error), (true, true));
        assert_eq!(root.attributes["error.type"], attempt.attributes["error.type"]);
        let embeddings = spans.iter().find(|span| span.name == "embeddings text-embedding-3-small").unwrap();
        assert_eq!(embeddings.attributes["gen_ai.operation.name"], "embeddings");
        assert!(embeddings.attributes["gen_ai.usage.input_tokens"].as_i64() > Some(0), "{embeddings:?}");
        assert_eq!(only(&spans, &embeddings.trace, "POST /v1/embeddings").id, embeddings.parent);
        assert!(!collector.holds("pr1vate"));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn that_a_client_left_is_told_and_no_error() {
        let (collector, vendors) = (Sink::answering(Some(200)).await, Vendors::start().await);
        let gateway = start(&collector, &vendors, &[("DEMO_PROVIDER", "on"), ("SHUTDOWN_GRACE_SECONDS", "1")]);
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let asking = client.post(gateway.url("/llm/generate")).json(&json!({"prompt": "x", "model": "demo:hang"}));
        let leaves = tokio::spawn(asking.header("traceparent", format!("00-{TRACE}-{CALLER}-01")).send());
        gateway.until_under_way(1).await;
        leaves.abort();
        gateway.until_under_way(0).await;
        stop(gateway).await;

        let root = only(&told(&collector), TRACE, "POST /llm/generate").clone();
        let of = |name: &str| root.attributes.get(name).and_then(Json::as_str);
        assert_eq!((of("error.type"), of("llm_gateway.ending")), (Some("cancelled"), Some("left")));
        assert!(!root.is_error && !root.attributes.contains_key("http.response.status_code"), "{root:#?}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_the_sdk_reads_itself_holds() {
        let (collector, vendors) = (Sink::answering(Some(200)).await, Vendors::start().await);
        let more = [
            ("OTEL_TRACES_SAMPLER", "parentbased_always_off"),
            ("OTEL_RESOURCE_ATTRIBUTES", "team=pears"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ];
        let gateway = start(&collector, &vendors, &more);
        let question = json!({"prompt": "hello", "model": "gpt-4o"});
        for traceparent in ["", "00-0af7651916cd43dd8448eb211c80319d-b7ad6b7169203331-00"] {
            assert_eq!(ask(&gateway, traceparent, &question).await.status(), 200);
        }
        assert_eq!(ask(&gateway, &format!("00-{TRACE}-{CALLER}-01"), &question).await.status(), 200);
        stop(gateway).await;
        let spans = told(&collector);
        assert!(!spans.is_empty() && spans.iter().all(|span| span.trace == TRACE), "{spans:#?}");
        let packed = collector.taken();
        assert!(packed.iter().all(|taken| taken.headers["content-encoding"] == "gzip"));
        assert!(String::from_utf8_lossy(&unpacked(&packed[0])).contains("pears"));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_collector_in_trouble_troubles_nobody() {
        let vendors = Vendors::start().await;
        let (hanging, failing) = (Sink::answering(None).await, Sink::answering(Some(500)).await);
        for collector in [hanging, failing, Sink::away()] {
            let gateway = start(
                &collector,
                &vendors,
                &[("RATE_LIMIT_MAX", "0"), ("LOG_LEVEL", "info"), ("SENTRY_DSN", "http://key@127.0.0.1:9/1")],
            );
            for number in 0..30 {
                let question = json!({"prompt": format!("hello {number}"), "model": "gpt-4o"});
                assert_eq!(ask(&gateway, "", &question).await.status(), 200);
            }
            let begun = std::time::Instant::now();
            let log = stop(gateway).await;
            assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
            let is_warning = |line: &&Json| line["level"] == "WARN" || line["level"] == "ERROR";
            let warnings: Vec<_> = log.iter().filter(is_warning).collect();
            assert!((1..=2).contains(&warnings.len()), "{warnings:#?}");
            // And the log lacks nothing because somebody else listens too.
            let told = |line: &&Json| line["message"].as_str().is_some_and(|said| said.starts_with("LLM Cache MISS"));
            let ids: BTreeSet<_> = log.iter().filter(told).map(|line| line["request_id"].as_str().unwrap()).collect();
            assert_eq!(ids.len(), 30, "{log:#?}");
            assert!(!json!(log).to_string().contains(SECRET));
        }
    }

    #[test]
    fn a_wrong_endpoint_stops_the_start_and_is_not_repeated() {
        let settings = [("OTEL_EXPORTER_OTLP_ENDPOINT", "s3cret@collector")];
        let output = Binary::command(&settings).output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), told.lines().count()), (Some(78), 1), "{told}");
        assert!(told.starts_with("OTEL_EXPORTER_OTLP_ENDPOINT ") && !told.contains("s3cret"), "{told}");
    }
}
