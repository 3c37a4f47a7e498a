//! The functions that a model may call, and whether it must.

use std::collections::HashSet;

use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::{
    error::ApiError,
    generate::{Tool, ToolChoice, Tools},
};

use super::body::{refuse, unsupported};

/// The most functions, as `OpenAI` limits them.
const MAX_TOOLS: usize = 128;
/// The longest name of one.
pub(super) const MAX_NAME_BYTES: usize = 64;

#[derive(Deserialize, ToSchema)]
#[schema(as = ChatTool)]
pub(super) struct WireTool {
    /// Nothing but `function`.
    #[serde(rename = "type")]
    #[schema(example = "function")]
    kind: String,
    function: Option<Function>,
}

#[derive(Deserialize, ToSchema)]
struct Function {
    #[schema(pattern = "^[A-Za-z0-9_-]{1,64}$")]
    name: String,
    description: Option<String>,
    /// A JSON schema.
    #[schema(value_type = Option<Object>)]
    parameters: Option<Value>,
    strict: Option<bool>,
}

#[derive(Deserialize, ToSchema)]
#[schema(as = ChatToolChoice)]
#[serde(untagged, expecting = "must be `none`, `auto`, `required`, or an object that names a function")]
pub(super) enum WireToolChoice {
    Word(ChoiceWord),
    Object(ChoiceObject),
}

#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum ChoiceWord {
    None,
    Auto,
    Required,
}

#[derive(Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum ChoiceObject {
    Function { function: Named },
    AllowedTools { allowed_tools: Allowed },
}

#[derive(Deserialize, ToSchema)]
pub(super) struct Named {
    name: String,
}

#[derive(Deserialize, ToSchema)]
pub(super) struct Allowed {
    mode: ChoiceWord,
    tools: Vec<AllowedTool>,
}

#[derive(Deserialize, ToSchema)]
struct AllowedTool {
    function: Named,
}

/// What the model may call.
///
/// # Errors
/// 400, with the first thing that is wrong with it.
pub(super) fn tools(
    wire: Option<Vec<WireTool>>,
    choice: Option<WireToolChoice>,
    parallel: Option<bool>,
) -> Result<Tools, ApiError> {
    let wire = wire.unwrap_or_default();
    if wire.len() > MAX_TOOLS {
        return Err(refuse("tools", format!("`tools` has more than {MAX_TOOLS} functions")));
    }
    let mut definitions =
        wire.into_iter().enumerate().map(|(at, tool)| definition(at, tool)).collect::<Result<Vec<_>, _>>()?;
    let mut names = HashSet::new();
    if let Some(at) = definitions.iter().position(|tool| !names.insert(tool.name.clone())) {
        return Err(refuse(format!("tools[{at}].function.name"), "Two functions of `tools` have the same name"));
    }
    let choice = match choice {
        None => ToolChoice::Auto,
        Some(WireToolChoice::Word(word)) => word.choice(),
        Some(WireToolChoice::Object(ChoiceObject::Function { function: Named { name } })) => {
            known(&name, &names)?;
            ToolChoice::Named(name)
        }
        Some(WireToolChoice::Object(ChoiceObject::AllowedTools { allowed_tools: Allowed { mode, tools } })) => {
            let allowed: HashSet<String> = tools.into_iter().map(|tool| tool.function.name).collect();
            allowed.iter().try_for_each(|name| known(name, &names))?;
            // The same as not to offer the others.
            definitions.retain(|tool| allowed.contains(&tool.name));
            mode.choice()
        }
    };
    if definitions.is_empty() && matches!(choice, ToolChoice::Required) {
        return Err(refuse("tool_choice", "`tool_choice` wants a call, and there are no `tools` to call"));
    }
    Ok(Tools { definitions, choice, parallel })
}

fn known(name: &str, names: &HashSet<String>) -> Result<(), ApiError> {
    if names.contains(name) {
        return Ok(());
    }
    Err(refuse("tool_choice", "`tool_choice` names a function that `tools` does not have"))
}

fn definition(at: usize, tool: WireTool) -> Result<Tool, ApiError> {
    let WireTool { kind, function } = tool;
    let function = match (kind.as_str(), function) {
        ("function", Some(function)) => function,
        ("function", None) => return Err(refuse(format!("tools[{at}].function"), "A tool lacks its `function`")),
        _ => return Err(unsupported(format!("tools[{at}].type"), "A tool's `type` can only be `function`")),
    };
    let Function { name, description, parameters, strict } = function;
    let is_name = (1..=MAX_NAME_BYTES).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    if !is_name {
        let rule = format!("A function's name has 1 to {MAX_NAME_BYTES} letters, digits, `_` or `-`");
        return Err(refuse(format!("tools[{at}].function.name"), rule));
    }
    let parameters = parameters.filter(|parameters| !parameters.is_null());
    let parameters = parameters.unwrap_or_else(|| json!({"type": "object", "properties": {}}));
    if !parameters.is_object() {
        return Err(refuse(format!("tools[{at}].function.parameters"), "A function's `parameters` is a JSON schema"));
    }
    Ok(Tool { name, description, parameters, strict })
}

impl ChoiceWord {
    fn choice(self) -> ToolChoice {
        match self {
            ChoiceWord::None => ToolChoice::None,
            ChoiceWord::Auto => ToolChoice::Auto,
            ChoiceWord::Required => ToolChoice::Required,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(definitions: Value, choice: Value) -> Result<Tools, ApiError> {
        tools(serde_json::from_value(definitions).unwrap(), serde_json::from_value(choice).unwrap(), None)
    }

    fn function(name: &str) -> Value {
        json!({"type": "function", "function": {"name": name}})
    }

    #[test]
    fn only_what_is_allowed_is_offered() {
        let allowed = json!({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [function("b")]}});
        let Ok(tools) = read(json!([function("a"), function("b")]), allowed) else { panic!("it is good") };
        let names: Vec<_> = tools.definitions.iter().map(|tool| tool.name.as_str()).collect();
        assert!(names == ["b"] && matches!(tools.choice, ToolChoice::Required));
    }

    #[test]
    fn one_that_is_named_must_be_called_and_none_is_not_to_be() {
        let choice = |choice| read(json!([function("a"), function("b")]), choice).map(|tools| tools.choice);
        assert!(matches!(choice(function("b")), Ok(ToolChoice::Named(name)) if name == "b"));
        assert!(matches!(choice(json!("none")), Ok(ToolChoice::None)));
    }

    #[test]
    fn what_cannot_be_called_is_refused() {
        for (definitions, choice, param) in [
            (json!([function("a"), function("a")]), json!("auto"), "tools[1].function.name"),
            (json!([function("a b")]), json!("auto"), "tools[0].function.name"),
            (Value::Array(vec![function("a"); MAX_TOOLS + 1]), json!("auto"), "tools"),
            (json!([{"type": "custom", "custom": {"name": "a"}}]), json!("auto"), "tools[0].type"),
            (json!([{"type": "function"}]), json!("auto"), "tools[0].function"),
            (
                json!([{"type": "function", "function": {"name": "a", "parameters": []}}]),
                json!("auto"),
                "tools[0].function.parameters",
            ),
            (json!([function("a")]), function("b"), "tool_choice"),
            (json!([]), json!("required"), "tool_choice"),
        ] {
            let Err(error) = read(definitions.clone(), choice) else { panic!("{definitions} was found good") };
            assert_eq!(error.param.as_deref(), Some(param), "{definitions}");
        }
    }
}
