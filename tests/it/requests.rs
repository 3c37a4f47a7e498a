//! What each dialect sends, field by field.

use llm_gateway::{
    generate::{
        Api, Delivery, Effort, ErrorKind, Format, GenerateRequest, Message, Params, Part, ReasoningControl, Sampling,
        TakesSampling, Target, Tool, ToolCall, ToolChoice, Tools,
    },
    providers::{Anthropic, Dialect, OpenAiChat, OpenAiResponses},
};
use serde_json::{Value, json};

fn user(text: &str) -> Message {
    Message::User(vec![Part::Text(text.into())])
}

fn call(id: &str, arguments: &str) -> ToolCall {
    ToolCall { id: id.into(), name: "f".into(), arguments: arguments.into(), signature: None }
}

fn result(id: &str) -> Message {
    Message::Tool { call_id: id.into(), content: "21C".into() }
}

fn plain(messages: Vec<Message>) -> GenerateRequest {
    GenerateRequest {
        target: Target { provider: "p".into(), model: "m".into() },
        messages,
        sampling: Sampling::default(),
        format: Format::Text,
        tools: Tools::default(),
        delivery: Delivery::Whole,
        allow_failover: true,
    }
}

fn tools(choice: ToolChoice) -> Tools {
    let (name, description) = ("f".into(), Some("d".into()));
    let tool = Tool { name, description, parameters: json!({"type": "object"}), strict: None };
    Tools { definitions: vec![tool], choice, parallel: Some(false) }
}

fn everything() -> GenerateRequest {
    GenerateRequest {
        sampling: Sampling { temperature: Some(0.5), max_tokens: Some(9), ..Sampling::default() },
        tools: tools(ToolChoice::Named("f".into())),
        delivery: Delivery::Stream,
        ..plain(vec![
            Message::System("Be brief.".into()),
            Message::User(vec![Part::Text("What?".into()), Part::Image { url: "data:image/png;base64,AA".into() }]),
            Message::Assistant { text: String::new(), tool_calls: vec![call("c1", "{}")] },
            result("c1"),
        ])
    }
}

fn sent(dialect: &impl Dialect, request: &GenerateRequest, params: &Params) -> Value {
    serde_json::from_slice(&dialect.request(request, params).unwrap().body).unwrap()
}

fn claude() -> Params {
    Params {
        api: Api::Messages,
        sampling: TakesSampling::No,
        reasoning_control: Some(ReasoningControl::Effort),
        max_output_tokens: Some(128_000),
        ..Params::unknown()
    }
}

#[test]
fn chat_completions_say_everything_in_the_vendors_words() {
    let body = |is_vendor| sent(&OpenAiChat::new(is_vendor), &everything(), &Params::unknown());
    let mut expected = json!({
        "model": "m",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [
                {"type": "text", "text": "What?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}},
            ]},
            {"role": "assistant", "content": null, "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}},
            ]},
            {"role": "tool", "tool_call_id": "c1", "content": "21C"},
        ],
        "temperature": 0.5,
        "max_completion_tokens": 9,
        "tools": [{"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}}],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "parallel_tool_calls": false,
        "stream": true,
        "stream_options": {"include_usage": true},
    });
    assert_eq!(body(true), expected);
    let limit = expected.as_object_mut().unwrap().remove("max_completion_tokens").unwrap();
    expected["max_tokens"] = limit;
    assert_eq!(body(false), expected);
}

#[test]
fn responses_say_everything_in_the_vendors_words() {
    let mut request = everything();
    request.messages.push(Message::Assistant { text: "Warm.".into(), tool_calls: Vec::new() });
    request.messages.push(Message::System("Be kind.".into()));
    request.sampling = Sampling { top_p: Some(0.5), effort: Some(Effort::Low), ..request.sampling };
    request.format = Format::JsonSchema { name: "x".into(), schema: json!({"type": "object"}), strict: Some(true) };
    let expected = json!({
        "model": "m",
        "instructions": "Be brief.\n\nBe kind.",
        "input": [
            {"role": "user", "content": [
                {"type": "input_text", "text": "What?"},
                {"type": "input_image", "image_url": "data:image/png;base64,AA", "detail": "auto"},
            ]},
            {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": "21C"},
            {"role": "assistant", "content": [{"type": "output_text", "text": "Warm."}]},
        ],
        "temperature": 0.5,
        "top_p": 0.5,
        "max_output_tokens": 9,
        "reasoning": {"effort": "low"},
        "text": {"format": {"type": "json_schema", "name": "x", "schema": {"type": "object"}, "strict": true}},
        "tools": [{"type": "function", "name": "f", "description": "d", "parameters": {"type": "object"}}],
        "tool_choice": {"type": "function", "name": "f"},
        "parallel_tool_calls": false,
        "store": false,
        "stream": true,
    });
    assert_eq!(sent(&OpenAiResponses, &request, &Params::unknown()), expected);
    let input = json!([{"role": "user", "content": [{"type": "input_text", "text": "Hi"}]}]);
    let bare = json!({"model": "m", "input": input, "store": false});
    assert_eq!(sent(&OpenAiResponses, &plain(vec![user("Hi")]), &Params::unknown()), bare);
}

#[test]
fn messages_say_everything_in_the_vendors_words() {
    let mut request = everything();
    request.messages.splice(
        2..,
        [
            Message::System("Be kind.".into()),
            user("And?"),
            Message::Assistant {
                text: "Let me see.".into(),
                tool_calls: vec![call("c1", r#"{"b":1,"a":2}"#), call("c2", "")],
            },
            result("c1"),
            user("Quick!"),
            result("c2"),
        ],
    );
    request.sampling.stop = vec!["END".into(), " \n".into()];
    request.format = Format::JsonSchema { name: "x".into(), schema: json!({"type": "object"}), strict: Some(true) };
    let expected = json!({
        "model": "m",
        "max_tokens": 9,
        "system": "Be brief.\n\nBe kind.",
        "messages": [
            {"role": "user", "content": [
                {"type": "text", "text": "What?"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA"}},
                {"type": "text", "text": "And?"},
            ]},
            {"role": "assistant", "content": [
                {"type": "text", "text": "Let me see."},
                {"type": "tool_use", "id": "c1", "name": "f", "input": {"b": 1, "a": 2}},
                {"type": "tool_use", "id": "c2", "name": "f", "input": {}},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "c1", "content": "21C"},
                {"type": "tool_result", "tool_use_id": "c2", "content": "21C"},
                {"type": "text", "text": "Quick!"},
            ]},
        ],
        "temperature": 0.5,
        "stop_sequences": ["END"],
        "output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}},
        "tools": [{"name": "f", "description": "d", "input_schema": {"type": "object"}}],
        "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": true},
        "stream": true,
    });
    assert_eq!(sent(&Anthropic, &request, &claude()), expected);
}

#[test]
fn messages_need_little() {
    let expected = json!({"model": "m", "max_tokens": 8192, "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]});
    assert_eq!(sent(&Anthropic, &plain(vec![user("Hi")]), &claude()), expected);
    let small = Params { max_output_tokens: Some(4_096), ..claude() };
    assert_eq!(sent(&Anthropic, &plain(vec![user("Hi")]), &small)["max_tokens"], 4_096);
}

#[test]
fn the_old_version_of_messages_is_asked_only_for_sampling() {
    let version = |sampling| {
        let request = GenerateRequest { sampling, ..plain(vec![user("Hi")]) };
        let sent = Anthropic.request(&request, &claude()).unwrap();
        assert_eq!(sent.path, "/v1/messages");
        let (name, value) = sent.headers.into_iter().next().unwrap();
        assert_eq!(name, "anthropic-version");
        value.to_str().unwrap().to_owned()
    };
    assert_eq!(version(Sampling::default()), "2026-10-21");
    assert_eq!(version(Sampling { temperature: Some(1.0), ..Sampling::default() }), "2023-06-01");
    assert_eq!(version(Sampling { top_p: Some(1.0), ..Sampling::default() }), "2023-06-01");
}

#[test]
fn a_long_message_is_streamed_whatever_the_client_wants() {
    let stream = |max_tokens| {
        let sampling = Sampling { max_tokens: Some(max_tokens), ..Sampling::default() };
        sent(&Anthropic, &GenerateRequest { sampling, ..plain(vec![user("Hi")]) }, &claude())["stream"].clone()
    };
    assert_eq!((stream(21_333), stream(21_334)), (Value::Null, json!(true)));
}

#[test]
fn messages_say_whether_a_tool_must_be_called() {
    let choice = |choice, params: &Params| {
        let tools = Tools { parallel: None, ..tools(choice) };
        let body = sent(&Anthropic, &GenerateRequest { tools, ..plain(vec![user("Hi")]) }, params);
        (body["tool_choice"].clone(), body["system"].as_str().unwrap_or_default().to_owned())
    };
    let any = claude();
    assert_eq!(choice(ToolChoice::Auto, &any), (json!({"type": "auto"}), String::new()));
    assert_eq!(choice(ToolChoice::None, &any), (json!({"type": "none"}), String::new()));
    assert_eq!(choice(ToolChoice::Required, &any), (json!({"type": "any"}), String::new()));
    assert_eq!(choice(ToolChoice::Named("f".into()), &any).0, json!({"type": "tool", "name": "f"}));
    let never = Params { forced_tool_choice: false, ..claude() };
    assert_eq!(choice(ToolChoice::Auto, &never), (json!({"type": "auto"}), String::new()));
    let (required, in_words) = choice(ToolChoice::Required, &never);
    assert!(required == json!({"type": "auto"}) && in_words.contains("must call"), "{in_words}");
    let (named, in_words) = choice(ToolChoice::Named("f".into()), &never);
    assert!(named == json!({"type": "auto"}) && in_words.contains("`f`"), "{in_words}");
}

#[test]
fn messages_say_how_much_to_think_as_the_model_takes_it() {
    let think = |effort, max_tokens, temperature, params: &Params| {
        let sampling = Sampling { effort: Some(effort), max_tokens, temperature, ..Sampling::default() };
        let body = sent(&Anthropic, &GenerateRequest { sampling, ..plain(vec![user("Hi")]) }, params);
        (body["thinking"].clone(), body["output_config"].clone())
    };
    let nothing = (Value::Null, Value::Null);
    let off = |off: Option<&str>| Params { reasoning_off: off.map(str::to_owned), ..claude() };
    assert_eq!(think(Effort::Xhigh, None, None, &claude()), (Value::Null, json!({"effort": "xhigh"})));
    assert_eq!(think(Effort::None, None, None, &off(Some("disabled"))), (json!({"type": "disabled"}), Value::Null));
    let between = (json!({"type": "between_tools"}), Value::Null);
    assert_eq!(think(Effort::None, None, None, &off(Some("between_tools"))), between);
    assert_eq!(think(Effort::None, None, None, &off(Some("omit"))), nothing);
    assert_eq!(think(Effort::None, None, None, &off(None)), nothing);
    let budget = Params { reasoning_control: Some(ReasoningControl::ThinkingBudget), ..off(Some("omit")) };
    let tokens = |tokens: u32| (json!({"type": "enabled", "budget_tokens": tokens}), Value::Null);
    assert_eq!(think(Effort::Low, None, None, &budget), tokens(1_024));
    assert_eq!(think(Effort::Medium, None, None, &budget), tokens(4_096));
    assert_eq!(think(Effort::High, Some(20_000), None, &budget), tokens(16_384));
    assert_eq!(think(Effort::High, None, None, &budget), tokens(4_096), "the most that fits");
    assert_eq!(think(Effort::Low, Some(1_024), None, &budget), nothing);
    assert_eq!(think(Effort::Low, None, Some(0.5), &budget), nothing);
    assert_eq!(think(Effort::None, None, None, &budget), nothing);
}

#[test]
fn messages_ask_for_json_in_words() {
    let request =
        GenerateRequest { format: Format::JsonObject, ..plain(vec![Message::System("S".into()), user("Hi")]) };
    let body = sent(&Anthropic, &request, &claude());
    let system = body["system"].as_str().unwrap();
    assert!(system.starts_with("S\n\n") && system.contains("JSON"), "{system}");
    assert_eq!(body["output_config"], Value::Null);
}

#[test]
fn messages_refuse_what_they_cannot_say() {
    let image = |url: &str| Message::User(vec![Part::Image { url: url.into() }]);
    let called = |arguments| Message::Assistant { text: String::new(), tool_calls: vec![call("c", arguments)] };
    for message in [image("http://a/b.png"), image("data:image/png,AA"), called("{"), called("[]"), user(" ")] {
        let refused = Anthropic.request(&plain(vec![message]), &claude()).err().unwrap();
        assert_eq!(refused.kind, ErrorKind::InvalidRequest);
    }
    let body = sent(&Anthropic, &plain(vec![image("https://a/b.png")]), &claude());
    let source = json!({"type": "url", "url": "https://a/b.png"});
    assert_eq!(body["messages"][0]["content"], json!([{"type": "image", "source": source}]));
}

#[test]
fn each_vendor_gets_its_key_in_its_own_header() {
    assert_eq!(Anthropic.key("k"), ("x-api-key".parse().unwrap(), "k".to_owned()));
    assert_eq!(OpenAiResponses.key("k"), ("authorization".parse().unwrap(), "Bearer k".to_owned()));
}
