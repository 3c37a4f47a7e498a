//! What each dialect sends, field by field.

use llm_gateway::{
    generate::{
        Api, Conditions, Delivery, Effort, ErrorKind, Failover, Format, GenerateRequest, Message, Params, Part, Policy,
        Purpose, ReasoningControl, Sampling, TakesSampling, Target, Tool, ToolCall, ToolChoice, Tools,
    },
    providers::{Anthropic, ChatVendor, Dialect, Gemini, Ollama, OpenAiChat, OpenAiResponses},
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
        wanted: Sampling::default(),
        format: Format::Text,
        tools: Tools::default(),
        delivery: Delivery::Whole,
        failover: Failover::AnyModel,
        conditions: Conditions::default(),
        policy: Policy::default(),
        private_to: None,
        lookup_time: std::time::Duration::ZERO,
        purpose: Purpose::default(),
        end_user: None,
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
            Message::User(vec![
                Part::Text("What?".into()),
                Part::Image { url: "data:image/png;base64,AA".into(), detail: None },
            ]),
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
    let body = |vendor| sent(&OpenAiChat::new(vendor), &everything(), &Params::unknown());
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
    assert_eq!(body(ChatVendor::OpenAi), expected);
    let limit = expected.as_object_mut().unwrap().remove("max_completion_tokens").unwrap();
    expected["max_tokens"] = limit;
    assert_eq!(body(ChatVendor::Compatible), expected);
}

#[test]
fn responses_say_everything_in_the_vendors_words() {
    let mut request = everything();
    request.messages.push(Message::Assistant { text: "Warm.".into(), tool_calls: Vec::new() });
    request.messages.push(Message::System("Be kind.".into()));
    request.sampling = Sampling { top_p: Some(0.5), effort: Some(Effort::Low), ..request.sampling };
    request.format = Format::JsonSchema {
        name: "x".into(),
        description: None,
        schema: json!({"type": "object"}),
        strict: Some(true),
    };
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
        "tools": [{"type": "function", "name": "f", "description": "d", "parameters": {"type": "object"}, "strict": false}],
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

/// In a tool, saying nothing means strict there; in a format it does not.
#[test]
fn responses_hold_a_tool_to_its_schema_only_where_the_client_wants_it() {
    for (wanted, of_tool, of_format) in [
        (None, json!(false), Value::Null),
        (Some(false), json!(false), json!(false)),
        (Some(true), json!(true), json!(true)),
    ] {
        let mut request = plain(vec![user("Hi")]);
        let (name, description, schema) = ("x".to_owned(), None, json!({"type": "object"}));
        request.format = Format::JsonSchema { name, description, schema, strict: wanted };
        request.tools = tools(ToolChoice::Auto);
        request.tools.definitions[0].strict = wanted;
        let body = sent(&OpenAiResponses, &request, &Params::unknown());
        assert_eq!(
            (&body["tools"][0]["strict"], &body["text"]["format"]["strict"]),
            (&of_tool, &of_format),
            "{wanted:?}"
        );
    }
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
    request.sampling.stop = vec!["END".into()];
    request.format = Format::JsonSchema {
        name: "x".into(),
        description: None,
        schema: json!({"type": "object"}),
        strict: Some(true),
    };
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
        "output_config": {"format": {
            "type": "json_schema", "schema": {"type": "object", "additionalProperties": false},
        }},
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
    assert_eq!(think(Effort::Max, Some(40_000), None, &budget), tokens(32_768));
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
    let image = |url: &str| Message::User(vec![Part::Image { url: url.into(), detail: None }]);
    let called = |arguments| Message::Assistant { text: String::new(), tool_calls: vec![call("c", arguments)] };
    for message in [image("http://a/b.png"), image("data:image/png,AA"), called("{"), called("[]"), user(" ")] {
        let refused = Anthropic.request(&plain(vec![message]), &claude()).err().unwrap();
        assert_eq!(refused.kind, ErrorKind::InvalidRequest);
    }
    for (url, source) in [
        ("https://a/b.png", json!({"type": "url", "url": "https://a/b.png"})),
        ("HTTPS://a/b.png", json!({"type": "url", "url": "HTTPS://a/b.png"})),
        ("Data:image/png;base64,AA", json!({"type": "base64", "media_type": "image/png", "data": "AA"})),
    ] {
        let body = sent(&Anthropic, &plain(vec![image(url)]), &claude());
        assert_eq!(body["messages"][0]["content"], json!([{"type": "image", "source": source}]), "{url}");
    }
}

#[test]
fn each_vendor_gets_its_key_in_its_own_header() {
    assert_eq!(Anthropic.key("k"), ("x-api-key".parse().unwrap(), "k".to_owned()));
    assert_eq!(OpenAiResponses.key("k"), ("authorization".parse().unwrap(), "Bearer k".to_owned()));
}

#[test]
fn generate_content_says_everything_in_the_vendors_words() {
    let params = Params {
        api: Api::GenerateContent,
        reasoning_control: Some(ReasoningControl::ThinkingLevel),
        ..Params::unknown()
    };
    let mut request = everything();
    request.sampling = Sampling {
        effort: Some(Effort::Max),
        seed: Some(7),
        stop: (0..5).map(|at| at.to_string()).collect(),
        ..request.sampling
    };
    request.format = Format::JsonSchema {
        name: "x".into(),
        description: None,
        schema: json!({"type": "object"}),
        strict: Some(true),
    };
    let expected = json!({
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "contents": [
            {"role": "user", "parts": [
                {"text": "What?"},
                {"inlineData": {"mimeType": "image/png", "data": "AA"}},
            ]},
            {"role": "model", "parts": [{
                "functionCall": {"id": "c1", "name": "f", "args": {}},
                "thoughtSignature": "skip_thought_signature_validator",
            }]},
            {"role": "user", "parts": [{"functionResponse": {"id": "c1", "name": "f", "response": {"output": "21C"}}}]},
        ],
        "generationConfig": {
            "maxOutputTokens": 9,
            "temperature": 0.5,
            "seed": 7,
            "stopSequences": ["0", "1", "2", "3", "4"],
            "responseMimeType": "application/json",
            "responseJsonSchema": {"type": "object"},
            "thinkingConfig": {"thinkingLevel": "HIGH"},
        },
        "tools": [{"functionDeclarations": [
            {"name": "f", "description": "d", "parametersJsonSchema": {"type": "object"}},
        ]}],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
    });
    assert_eq!(sent(&Gemini, &request, &params), expected);
    let path =
        |delivery| Gemini.request(&GenerateRequest { delivery, ..plain(vec![user("x")]) }, &params).unwrap().path;
    assert_eq!(path(Delivery::Whole), "/v1/models/m:generateContent");
    assert_eq!(path(Delivery::Stream), "/v1/models/m:streamGenerateContent?alt=sse");
}

#[test]
fn generate_content_keeps_signatures_and_refuses_what_it_cannot_say() {
    let params = Params { reasoning_control: Some(ReasoningControl::ThinkingBudget), ..Params::unknown() };
    let signed = ToolCall { signature: Some("sig".into()), ..call("c1", "{}") };
    let calls = vec![signed, call("c2", "{}")];
    let mut request = plain(vec![user("x"), Message::Assistant { text: "y".into(), tool_calls: calls }]);
    request.sampling.effort = Some(Effort::Medium);
    let body = sent(&Gemini, &request, &params);
    let parts = &body["contents"][1]["parts"];
    assert_eq!((&parts[1]["thoughtSignature"], &parts[2]["thoughtSignature"]), (&json!("sig"), &Value::Null));
    assert_eq!(body["generationConfig"]["thinkingConfig"], json!({"thinkingBudget": 8192}));

    let image = Message::User(vec![Part::Image { url: "https://x.test/a.png".into(), detail: None }]);
    let garbled = Message::Assistant { text: String::new(), tool_calls: vec![call("c1", "[]")] };
    for messages in [vec![image], vec![user("x"), garbled], vec![result("nobody")], Vec::new()] {
        let refused = Gemini.request(&plain(messages), &params).err().unwrap();
        assert_eq!(refused.kind, ErrorKind::InvalidRequest);
    }
    let mut request = plain(vec![user("x")]);
    request.target.model = "../secrets".into();
    assert_eq!(Gemini.request(&request, &params).err().unwrap().kind, ErrorKind::ModelNotFound);
}

#[test]
fn generate_content_says_how_much_to_think_as_the_model_takes_it() {
    let think = |control: Option<ReasoningControl>, off: Option<&str>, effort| {
        let params = Params { reasoning_control: control, reasoning_off: off.map(str::to_owned), ..Params::unknown() };
        let sampling = Sampling { effort: Some(effort), ..Sampling::default() };
        let request = GenerateRequest { sampling, ..plain(vec![user("Hi")]) };
        sent(&Gemini, &request, &params)["generationConfig"]["thinkingConfig"].clone()
    };
    let (level, budget) = (Some(ReasoningControl::ThinkingLevel), Some(ReasoningControl::ThinkingBudget));
    for (effort, word, tokens) in [
        (Effort::None, "MINIMAL", 0),
        (Effort::Minimal, "MINIMAL", 1_024),
        (Effort::Low, "LOW", 1_024),
        (Effort::Medium, "MEDIUM", 8_192),
        (Effort::Max, "HIGH", 24_576),
    ] {
        assert_eq!(think(level, None, effort), json!({"thinkingLevel": word}));
        assert_eq!(think(budget, Some("0"), effort), json!({"thinkingBudget": tokens}));
    }
    // What cannot be said is left to the model.
    assert_eq!(think(budget, None, Effort::None), Value::Null);
    for control in [None, Some(ReasoningControl::Effort), Some(ReasoningControl::ReasoningEffort)] {
        assert_eq!(think(control, None, Effort::High), Value::Null, "{control:?}");
    }
}

#[test]
fn blank_instructions_are_left_out_where_instructions_stand_apart() {
    let said = |instructions: &[&'static str]| {
        let system = instructions.iter().map(|text| Message::System((*text).into()));
        let request = plain(system.chain([user("Hi")]).collect());
        let params = Params::unknown();
        [
            sent(&Anthropic, &request, &params)["system"].clone(),
            sent(&Gemini, &request, &params)["systemInstruction"]["parts"][0]["text"].clone(),
            sent(&OpenAiResponses, &request, &params)["instructions"].clone(),
        ]
    };
    assert_eq!(said(&["", " "]), [const { Value::Null }; 3]);
    assert_eq!(said(&["", "Be brief.", " "]), ["Be brief."; 3]);
}

#[test]
fn arguments_that_are_no_object_are_refused_where_they_are_sent_as_json() {
    let body = |arguments| {
        let called = Message::Assistant { text: String::new(), tool_calls: vec![call("c1", arguments)] };
        Ollama.request(&plain(vec![user("x"), called]), &Params::unknown())
    };
    for arguments in ["{", "[]", "1"] {
        let refused = body(arguments).err().unwrap();
        let param = Some("messages[1].tool_calls[0].function.arguments".into());
        assert_eq!((refused.kind, refused.param), (ErrorKind::InvalidRequest, param), "{arguments}");
    }
    assert!(body(" ").is_ok(), "none are none");
}

#[test]
fn ollama_is_told_to_think_as_its_model_takes_it() {
    for (model, effort, expected) in [
        ("qwen3:8b", Effort::None, json!(false)),
        ("qwen3:8b", Effort::Minimal, json!(true)),
        ("qwen3:8b", Effort::Max, json!(true)),
        ("gpt-oss:20b", Effort::None, json!(false)),
        ("gpt-oss:20b", Effort::Minimal, json!("low")),
        ("gpt-oss:20b", Effort::Low, json!("low")),
        ("gpt-oss:20b", Effort::Medium, json!("medium")),
        ("gpt-oss:20b", Effort::High, json!("high")),
        ("gpt-oss:20b", Effort::Max, json!("high")),
    ] {
        let mut request = plain(vec![user("Hi")]);
        (request.target.model, request.sampling.effort) = (model.into(), Some(effort));
        assert_eq!(sent(&Ollama, &request, &Params::unknown())["think"], expected, "{model} {effort:?}");
    }
}

#[test]
fn ollama_fetches_no_pictures() {
    let image = |url: &str| Part::Image { url: url.into(), detail: None };
    let picture = Message::User(vec![Part::Text("What?".into()), image("https://x.test/a.png")]);
    let refused = Ollama.request(&plain(vec![user("Hi"), picture]), &Params::unknown()).err().unwrap();
    let param = Some("messages[1].content[1].image_url.url".into());
    assert_eq!((refused.kind, refused.param), (ErrorKind::InvalidRequest, param));
}

#[test]
fn each_vendor_is_told_in_its_words_whether_a_tool_must_be_called() {
    for (choice, openai, gemini, has_tools) in [
        (ToolChoice::Auto, "auto", "AUTO", true),
        (ToolChoice::None, "none", "NONE", false),
        (ToolChoice::Required, "required", "ANY", true),
    ] {
        let request = GenerateRequest { tools: tools(choice), ..plain(vec![user("Hi")]) };
        let params = Params::unknown();
        assert_eq!(sent(&OpenAiChat::new(ChatVendor::OpenAi), &request, &params)["tool_choice"], openai);
        assert_eq!(sent(&OpenAiResponses, &request, &params)["tool_choice"], openai);
        let calling = json!({"functionCallingConfig": {"mode": gemini}});
        assert_eq!(sent(&Gemini, &request, &params)["toolConfig"], calling);
        // It knows no choice, but calls no tool that it is not given.
        assert_eq!(sent(&Ollama, &request, &params)["tools"].is_array(), has_tools, "{openai}");
    }
}

#[test]
fn each_vendor_is_asked_for_json_in_its_words() {
    let request = GenerateRequest { format: Format::JsonObject, ..plain(vec![user("Hi")]) };
    let params = Params::unknown();
    let object = json!({"type": "json_object"});
    assert_eq!(sent(&OpenAiChat::new(ChatVendor::OpenAi), &request, &params)["response_format"], object);
    assert_eq!(sent(&OpenAiResponses, &request, &params)["text"], json!({"format": object}));
    let config = json!({"responseMimeType": "application/json"});
    assert_eq!(sent(&Gemini, &request, &params)["generationConfig"], config);
    assert_eq!(sent(&Ollama, &request, &params)["format"], "json");
}

#[test]
fn what_one_says_twice_is_one_turn_where_turns_alternate() {
    let request = plain(vec![user("Hi"), Message::System("Be brief.".into()), user("And?")]);
    let expected = json!([{"role": "user", "parts": [{"text": "Hi"}, {"text": "And?"}]}]);
    assert_eq!(sent(&Gemini, &request, &Params::unknown())["contents"], expected);
}

#[test]
fn ollama_says_everything_in_its_own_words() {
    let mut request = everything();
    request.sampling.effort = Some(Effort::None);
    request.sampling.stop = vec!["x".into()];
    request.format = Format::JsonObject;
    let expected = json!({
        "model": "m",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "What?", "images": ["AA"]},
            {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f", "arguments": {}}}]},
            {"role": "tool", "tool_name": "f", "content": "21C"},
        ],
        "stream": true,
        "think": false,
        "format": "json",
        "options": {"num_predict": 9, "temperature": 0.5, "stop": ["x"]},
        "tools": [{"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}}],
    });
    assert_eq!(sent(&Ollama, &request, &Params::unknown()), expected);
    let bare = json!({"model": "m", "messages": [{"role": "user", "content": "Hi"}], "stream": false});
    assert_eq!(sent(&Ollama, &plain(vec![user("Hi")]), &Params::unknown()), bare);
}

/// Every model of the catalogue, asked with every setting: what its `params` refuse is not on the wire.
#[test]
fn what_a_model_refuses_is_not_sent() {
    let catalogue = include_str!("../../src/catalogue/models.json");
    let catalogue: Value = serde_json::from_str(catalogue).unwrap();
    for model in catalogue["models"].as_array().unwrap() {
        let name = format!("{}:{}", model["provider"], model["id"]);
        let params: Params = serde_json::from_value(model["params"].clone()).unwrap();
        let reasoning = model["capabilities"]["reasoning"] == true;
        let most = model["max_output_tokens"].as_u64().and_then(|most| u32::try_from(most).ok());
        let params = Params { reasoning, max_output_tokens: most, ..params };
        for effort in [None, Some(Effort::None), Some(Effort::Minimal), Some(Effort::High), Some(Effort::Max)] {
            let mut request = plain(vec![user("x")]);
            request.target.model = model["id"].as_str().unwrap().into();
            let wanted = Sampling {
                temperature: Some(1.5),
                top_p: Some(0.5),
                max_tokens: Some(u32::MAX),
                seed: Some(1),
                presence_penalty: Some(0.5),
                frequency_penalty: Some(0.5),
                stop: vec!["x".into()],
                effort,
            };
            (request.sampling, _) = params.fit(wanted, !request.tools.definitions.is_empty());
            let (wire, body) = match params.api {
                Api::Messages => {
                    let wire = Anthropic.request(&request, &params).unwrap();
                    let version = wire.headers[0].1.to_str().unwrap();
                    let is_old = params.sampling == TakesSampling::OldVersionOnly;
                    assert_eq!(version == "2023-06-01", is_old, "{name}");
                    (sent(&Anthropic, &request, &params), "max_tokens")
                }
                Api::GenerateContent => {
                    (sent(&Gemini, &request, &params)["generationConfig"].clone(), "maxOutputTokens")
                }
                Api::Ollama => (sent(&Ollama, &request, &params)["options"].clone(), "num_predict"),
                Api::ChatCompletions => {
                    (sent(&OpenAiChat::new(ChatVendor::OpenAi), &request, &params), "max_completion_tokens")
                }
            };
            assert_eq!(wire[body].as_u64(), most.map(u64::from), "{name}");
            let takes = match params.sampling {
                TakesSampling::Yes | TakesSampling::OldVersionOnly => true,
                TakesSampling::No => false,
                TakesSampling::OnlyWithEffortNone => effort == Some(Effort::None),
            };
            assert_eq!(wire.get("temperature").is_some(), takes, "{name} {effort:?}");
            if let Some(word) = wire.get("reasoning_effort").and_then(Value::as_str) {
                let known = model["params"]["efforts"].as_array();
                let is_off = model["params"]["reasoning_off"] == word;
                assert!(is_off || known.is_none_or(|known| known.iter().any(|effort| effort == word)), "{name} {word}");
            }
            if reasoning && params.api == Api::ChatCompletions {
                for refused in ["stop", "presence_penalty", "frequency_penalty"] {
                    assert!(wire.get(refused).is_none(), "{name} {refused}");
                }
            }
        }
    }
}

#[test]
fn a_schema_is_sent_with_its_keys_in_their_order() {
    fn assert_in_order(dialect: &impl Dialect) {
        let schema: Value = serde_json::from_str(r#"{"type":"object","properties":{"zeta":{},"alpha":{}}}"#).unwrap();
        let mut request = plain(vec![user("x")]);
        let (name, parameters) = ("f".to_owned(), schema.clone());
        request.tools.definitions = vec![Tool { name, description: None, parameters, strict: None }];
        request.format = Format::JsonSchema { name: "x".into(), description: None, schema, strict: None };
        let body = String::from_utf8(dialect.request(&request, &Params::unknown()).unwrap().body).unwrap();
        let order: Vec<&str> = body.split('"').filter(|word| ["zeta", "alpha"].contains(word)).collect();
        assert_eq!(order, ["zeta", "alpha", "zeta", "alpha"], "{body}");
    }
    assert_in_order(&OpenAiChat::new(ChatVendor::OpenAi));
    assert_in_order(&OpenAiResponses);
    assert_in_order(&Anthropic);
    assert_in_order(&Gemini);
    assert_in_order(&Ollama);
}
