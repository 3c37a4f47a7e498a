//! One event, one line of JSON: when, how grave, of which request, and its fields.
//!
//! Written straight into the line. `tracing-subscriber`'s own reads the span's fields back from JSON for every event.

use std::fmt::{self, Debug, Write as _};

use time::OffsetDateTime;
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    field::RecordFields,
    fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields, format::Writer},
    registry::LookupSpan,
};

/// Room for the line of most requests.
const LINE_BYTES: usize = 512;

/// Room for the fields of most spans.
const SPAN_BYTES: usize = 128;

/// Writes an event as a line.
pub(super) struct JsonEvent;

/// Writes fields as members of an object, each behind a comma.
pub(super) struct JsonFields;

impl<S, N> FormatEvent<S, N> for JsonEvent
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut line: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        // Put together here, because each piece of it is a call that cannot be inlined there.
        let mut text = String::with_capacity(LINE_BYTES);
        text.push_str("{\"timestamp\":\"");
        text.push_str(timestamp(&mut [0; 27], OffsetDateTime::now_utc()));
        text.push_str("\",\"level\":\"");
        text.push_str(event.metadata().level().as_str());
        text.push('"');
        for span in context.event_scope().into_iter().flatten() {
            if let Some(fields) = span.extensions().get::<FormattedFields<N>>() {
                text.push_str(&fields.fields);
            }
        }
        let mut members = Members { line: &mut text, result: Ok(()) };
        event.record(&mut members);
        members.result?;
        text.push_str("}\n");
        line.write_str(&text)
    }
}

impl<'w> FormatFields<'w> for JsonFields {
    fn format_fields<R: RecordFields>(&self, mut line: Writer<'w>, fields: R) -> fmt::Result {
        let mut text = String::with_capacity(SPAN_BYTES);
        let mut members = Members { line: &mut text, result: Ok(()) };
        fields.record(&mut members);
        members.result?;
        line.write_str(&text)
    }
}

struct Members<'w> {
    line: &'w mut String,
    result: fmt::Result,
}

impl Members<'_> {
    fn member(&mut self, field: &Field, write: impl FnOnce(&mut String) -> fmt::Result) {
        let line = &mut *self.line;
        // Names are identifiers and need no escape.
        let mut whole = || {
            line.write_str(",\"")?;
            line.write_str(field.name())?;
            line.write_str("\":")
        };
        self.result = self.result.and_then(|()| whole()).and_then(|()| write(self.line));
    }

    fn text(&mut self, field: &Field, write: impl FnOnce(&mut Escaped<'_>) -> fmt::Result) {
        self.member(field, |line| {
            line.write_char('"')?;
            write(&mut Escaped(line))?;
            line.write_char('"')
        });
    }
}

impl Visit for Members<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.text(field, |text| write!(text, "{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, |text| text.write_str(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.member(field, |line| line.write_str(itoa::Buffer::new().format(value)));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.member(field, |line| write!(line, "{value}"));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.member(field, |line| write!(line, "{value}"));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON has no word for what is not finite.
        self.member(field, |line| if value.is_finite() { write!(line, "{value}") } else { line.write_str("null") });
    }
}

/// Writes what may stand inside of a JSON string (RFC 8259, section 7).
struct Escaped<'a>(&'a mut String);

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let needs_escape = |byte: u8| matches!(byte, b'"' | b'\\' | ..=0x1f);
        let mut rest = text;
        // Such a byte is a character of its own, never a part of one.
        while let Some(at) = rest.bytes().position(needs_escape) {
            let (plain, escaped) = rest.split_at(at);
            self.0.write_str(plain)?;
            let mut chars = escaped.chars();
            match chars.next() {
                Some('\n') => self.0.write_str("\\n")?,
                Some(c @ ('"' | '\\')) => write!(self.0, "\\{c}")?,
                Some(c) => write!(self.0, "\\u{:04x}", u32::from(c))?,
                None => {}
            }
            rest = chars.as_str();
        }
        self.0.write_str(rest)
    }
}

/// `2026-11-24T07:09:07.123456Z` (RFC 3339), in `buffer`.
fn timestamp(buffer: &mut [u8; 27], now: OffsetDateTime) -> &str {
    buffer.copy_from_slice(b"0000-00-00T00:00:00.000000Z");
    let year = u32::try_from(now.year()).unwrap_or_default();
    let parts = [
        (0..4, year),
        (5..7, u8::from(now.month()).into()),
        (8..10, now.day().into()),
        (11..13, now.hour().into()),
        (14..16, now.minute().into()),
        (17..19, now.second().into()),
        (20..26, now.microsecond()),
    ];
    for (range, mut number) in parts {
        for digit in buffer.get_mut(range).into_iter().flatten().rev() {
            *digit = b'0' + u8::try_from(number % 10).unwrap_or_default();
            number /= 10;
        }
    }
    std::str::from_utf8(buffer).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::log::tests::Written;

    fn logged(log: impl FnOnce()) -> Value {
        let written = Written::default();
        let writer = written.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .event_format(JsonEvent)
            .fmt_fields(JsonFields)
            .finish();
        tracing::subscriber::with_default(subscriber, log);
        let line = written.text();
        assert_eq!(line.matches('\n').count(), 1, "{line:?}");
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"))
    }

    #[test]
    fn a_line_is_json_whatever_its_fields_hold() {
        let awkward = "a \"quoted\" \\ line\nbreak, \t tab, \u{1} and ✅";
        let line = logged(|| {
            let span = tracing::info_span!("request", request_id = "id-7");
            span.in_scope(|| {
                tracing::warn!(text = awkward, whole = 7_u64, less = -7_i64, yes = true, part = 0.25, none = f64::NAN, debug = ?Some("x"), "message: {awkward}");
            });
        });
        let Value::Object(mut line) = line else { panic!("{line}") };
        let timestamp = line.remove("timestamp").unwrap();
        assert_eq!(timestamp.as_str().unwrap().len(), 27);
        assert_eq!(
            Value::Object(line),
            json!({
                "level": "WARN", "request_id": "id-7", "message": format!("message: {awkward}"), "text": awkward,
                "whole": 7, "less": -7, "yes": true, "part": 0.25, "none": null, "debug": "Some(\"x\")",
            })
        );
    }

    #[test]
    fn fields_that_a_span_gets_later_are_there_too() {
        let line = logged(|| {
            let span = tracing::info_span!("request", request_id = "id-7", user = tracing::field::Empty);
            span.record("user", "ann");
            span.in_scope(|| tracing::info!("x"));
        });
        assert_eq!((&line["request_id"], &line["user"]), (&json!("id-7"), &json!("ann")));
    }

    #[test]
    fn a_moment_is_written_to_the_microsecond() {
        let moment = OffsetDateTime::from_unix_timestamp_nanos(1_795_504_147_000_042_999).unwrap();
        assert_eq!(timestamp(&mut [0; 27], moment), "2026-11-24T07:09:07.000042Z");
    }
}
