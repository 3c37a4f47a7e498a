//! The operator's own names for models, as the environment says.

use super::read::Reader;

const ACCEPTED: &str = "`name=provider:model|provider:model`, comma-separated";

/// `MODEL_ALIASES`: names, with the models that each stands for, in the order in which they are tried.
pub(super) fn read_aliases(read: &mut Reader) -> Vec<(String, Vec<String>)> {
    const VARIABLE: &str = "MODEL_ALIASES";
    let mut aliases: Vec<(String, Vec<String>)> = Vec::new();
    for entry in read.list(VARIABLE) {
        let Some((name, models)) = entry.split_once('=') else {
            read.problem(VARIABLE, format_args!("has `{entry}`"), ACCEPTED);
            continue;
        };
        let name = name.trim().to_lowercase();
        let models: Vec<String> = models.split('|').map(|model| model.trim().to_owned()).collect();
        let is_plain = (1..=128).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_plain || models.iter().any(String::is_empty) {
            read.problem(VARIABLE, format_args!("has `{entry}`"), ACCEPTED);
        } else if aliases.iter().any(|(other, _)| *other == name) {
            read.problem(VARIABLE, format_args!("has `{name}` twice"), "each name once");
        } else {
            aliases.push((name, models));
        }
    }
    aliases
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sources;

    fn aliases(text: &str) -> Result<Vec<(String, Vec<String>)>, Vec<String>> {
        let mut read = Reader::new(Sources::from([("MODEL_ALIASES", text)]));
        let aliases = read_aliases(&mut read);
        let problems = |problems: Vec<crate::config::Problem>| problems.iter().map(ToString::to_string).collect();
        read.finish().map(|_| aliases).map_err(problems)
    }

    #[test]
    fn a_name_stands_for_models_in_order() {
        let expected = |name: &str, models: &[&str]| (name.to_owned(), models.iter().map(|&m| m.to_owned()).collect());
        let read = aliases(" Fast = google:gemini-3.8-flash | openai:gpt-6-luna ,best=anthropic/claude-opus-5-5,");
        let fast = expected("fast", &["google:gemini-3.8-flash", "openai:gpt-6-luna"]);
        assert_eq!(read, Ok(vec![fast, expected("best", &["anthropic/claude-opus-5-5"])]));
    }

    #[test]
    fn what_makes_no_sense_is_told_entry_by_entry() {
        for (text, problems) in
            [("fast", 1), ("=a:b", 1), ("fast=", 1), ("fast=a:b|", 1), ("a b=c", 1), ("x=a,X=b", 1), ("a,b,c=d", 2)]
        {
            assert_eq!(aliases(text).unwrap_err().len(), problems, "{text}");
        }
    }
}
