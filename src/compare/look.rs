//! What a value has to look like, whatever it is.

use serde_json::Value;

/// The fields of an object and what stands there. A name that ends in `?` may be left out; what is not named must not be there.
pub(super) type Form = &'static [(&'static str, Look)];

/// What a value has to be.
#[derive(Clone, Copy)]
pub(super) enum Look {
    /// A number that is not below zero.
    Amount,
    /// A whole one.
    Count,
    /// One of 100 at most.
    Percent,
    /// A number.
    Number,
    /// A text that is not empty.
    Text,
    /// One of these.
    Word(&'static [&'static str]),
    /// `$` and an amount with two decimals.
    Dollars,
    /// A moment in ISO 8601, in UTC.
    Time,
    /// A clock time such as `01:55 AM`.
    Clock,
    /// True or false.
    Flag,
    /// A list of texts.
    Texts,
    /// A list of texts that is not empty, and none of which is blank.
    Lines,
    /// Whatever was sent.
    Any,
    /// An object of this form.
    Object(Form),
    /// A list of such objects.
    List(Form),
}

pub(super) const MISSING: &str = "is not there";
pub(super) const WRONG: &str = "is not what it has to be";
pub(super) const STRANGE: &str = "is nothing that belongs there";

impl Look {
    /// Whether `value` is that.
    pub(super) fn fits(self, value: &Value) -> bool {
        self.faults("", value).is_empty()
    }

    /// What is wrong with the value at `path`: where, and why.
    pub(super) fn faults(self, path: &str, value: &Value) -> Vec<(String, &'static str)> {
        let text = |fits: fn(&str) -> bool| value.as_str().is_some_and(fits);
        let number = |fits: fn(f64) -> bool| value.as_f64().is_some_and(fits);
        let texts = |fits: fn(&str) -> bool| {
            value.as_array().is_some_and(|list| list.iter().all(|entry| entry.as_str().is_some_and(fits)))
        };
        let is_fit = match self {
            Self::Amount => number(|number| number >= 0.0),
            Self::Count => number(|number| number >= 0.0 && number.fract() == 0.0),
            Self::Percent => number(|number| (0.0..=100.0).contains(&number)),
            Self::Number => value.is_number(),
            Self::Text => text(|text| !text.is_empty()),
            Self::Word(words) => value.as_str().is_some_and(|text| words.contains(&text)),
            Self::Dollars => text(is_dollars),
            Self::Time => text(is_time),
            Self::Clock => text(is_clock),
            Self::Flag => value.is_boolean(),
            Self::Texts => texts(|_| true),
            Self::Lines => texts(|text| !text.trim().is_empty()) && value.get(0).is_some(),
            Self::Any => true,
            Self::Object(form) => match value.as_object() {
                Some(fields) => return of_fields(path, form, fields),
                None => false,
            },
            Self::List(form) => match value.as_array() {
                Some(list) => {
                    let path = format!("{path}[]");
                    return list.iter().flat_map(|entry| Self::Object(form).faults(&path, entry)).collect();
                }
                None => false,
            },
        };
        if is_fit { Vec::new() } else { vec![(path.to_owned(), WRONG)] }
    }
}

fn of_fields(path: &str, form: Form, fields: &serde_json::Map<String, Value>) -> Vec<(String, &'static str)> {
    let of = |name: &str| form.iter().find(|(known, _)| known.trim_end_matches('?') == name);
    let needed = form.iter().map(|(name, _)| *name).filter(|name| !name.ends_with('?'));
    let missing = needed.filter(|name| !fields.contains_key(*name)).map(|name| (below(path, name), MISSING));
    let present = fields.iter().flat_map(|(name, value)| match of(name) {
        Some((_, look)) => look.faults(&below(path, name), value),
        None => vec![(below(path, name), STRANGE)],
    });
    missing.chain(present).collect()
}

/// The path of what `name` is called at `path`. What is no name is not repeated: it may be anything.
pub(super) fn below(path: &str, name: &str) -> String {
    let name = shown(name);
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// Names that are none, and known.
const SPACED: [&str; 3] = ["Google AI", "Ollama (Local)", "Supernova AI"];

/// `name`, if it is short and has nothing that no name has.
pub(super) fn shown(name: &str) -> &str {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.*".contains(&byte);
    let is_name = (1..=40).contains(&name.len()) && name.bytes().all(is_plain);
    if is_name || SPACED.contains(&name) { name } else { "…" }
}

fn is_dollars(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let amount = text.strip_prefix('$').and_then(|amount| amount.split_once('.'));
    amount.is_some_and(|(whole, cents)| digits(whole) && digits(cents) && cents.len() == 2)
}

/// Whether `text` has the form of `pattern`, in which `0` stands for any digit.
fn looks_like(pattern: &str, text: &str) -> bool {
    let is_same = |(pattern, byte): (u8, u8)| if pattern == b'0' { byte.is_ascii_digit() } else { pattern == byte };
    pattern.len() == text.len() && pattern.bytes().zip(text.bytes()).all(is_same)
}

/// A moment of this century, since nobody knows an earlier one.
fn is_time(text: &str) -> bool {
    let is_within = |at: usize, least: u8, most: u8| {
        text.get(at..at + 2).and_then(|digits| digits.parse().ok()).is_some_and(|part| (least..=most).contains(&part))
    };
    looks_like("2000-00-00T00:00:00.000Z", text)
        && [(5, 1, 12), (8, 1, 31), (11, 0, 23), (14, 0, 59), (17, 0, 59)]
            .into_iter()
            .all(|(at, least, most)| is_within(at, least, most))
}

fn is_clock(text: &str) -> bool {
    ["00:00 AM", "00:00 PM"].iter().any(|pattern| looks_like(pattern, text))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_look_takes_what_it_names_and_nothing_else() {
        assert!(is_dollars("$0.01") && !is_dollars("$0.1") && !is_dollars("0.01") && !is_dollars("$.01"));
        assert!(is_time("2026-11-24T01:55:06.112Z") && !is_time("2026-11-24T01:55:06Z") && !is_time("tomorrow"));
        assert!(!is_time("2099-99-99T99:99:99.999Z") && !is_time("2026-11-24T24:00:00.000Z"));
        assert!(!is_time("1970-01-01T00:00:00.000Z"));
        assert!(is_clock("01:55 AM") && !is_clock("13:55") && !is_clock("1:55 AM"));
        assert!(
            Look::Count.fits(&json!(2.0)) && !Look::Count.fits(&json!(1.5)) && !Look::Percent.fits(&json!(3_333.33))
        );
        assert!(Look::Lines.fits(&json!(["a"])) && !Look::Lines.fits(&json!([])) && !Look::Lines.fits(&json!([" "])));
    }

    #[test]
    fn an_object_has_what_is_named_and_nothing_else() {
        const FORM: Form = &[("a", Look::Text), ("b?", Look::List(&[("c", Look::Flag)]))];
        let faults = |value: Value| Look::Object(FORM).faults("x", &value);
        assert_eq!(faults(json!({"a": "b"})), []);
        assert_eq!(faults(json!({"b": [{"c": 1}]})), [("x.a".into(), MISSING), ("x.b[].c".into(), WRONG)]);
        let long = "k".repeat(100);
        assert_eq!(faults(json!({"a": "b", "key": 1})), [("x.key".into(), STRANGE)]);
        assert_eq!(faults(json!({"a": "b", long: 1})), [("x.…".into(), STRANGE)]);
    }
}
