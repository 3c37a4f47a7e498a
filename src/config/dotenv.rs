//! What an `.env` says: `dotenvy`'s syntax, but `$` means itself, as it does to the original.
//!
//! Another variable in its place, or nothing where there is none of that name, would leave half of a secret. `dotenvy` cannot be
//! told so, and whether a backslash before a `$` helps or stays depends on all its quotes, comments and lines. So it sees no `$`:
//! a mark in which nothing means anything to it stands for each, and what it has read gets them back.

use std::io::Cursor;

/// It begins every mark: no variable can hold it.
const NUL: char = '\0';
/// What `$` becomes.
const PLAIN: &str = "\0.";
/// What `\$` becomes. Within single quotes it stays so, and as it was is what it means.
const ESCAPED: &str = "\0\\\\.";
/// What is read of it elsewhere, where two backslashes are one. It means `$`.
const UNESCAPED: &str = "\0\\.";

/// The variables of a file, in its order; `None` for each line that is not `NAME=value`.
///
/// `None` in all: it is not UTF-8 text.
pub(super) fn variables(file: &[u8]) -> Option<impl Iterator<Item = Option<(String, String)>>> {
    let text = std::str::from_utf8(file).ok().filter(|text| !text.contains(NUL))?;
    // The mark that some editors begin with is none of the first name's.
    let text = marked(text.strip_prefix('\u{feff}').unwrap_or(text));
    // The error's own text quotes the line, which may hold a secret.
    let lines = dotenvy::from_read_iter(Cursor::new(text)).map(Result::ok);
    Some(lines.map(|line| line.map(|(name, value)| (name, unmarked(&value)))))
}

fn marked(text: &str) -> String {
    let (mut marked, mut is_escaped) = (String::with_capacity(text.len()), false);
    for character in text.chars() {
        match character {
            '$' if is_escaped => {
                marked.pop();
                marked.push_str(ESCAPED);
            }
            '$' => marked.push_str(PLAIN),
            _ => marked.push(character),
        }
        is_escaped = character == '\\' && !is_escaped;
    }
    marked
}

fn unmarked(value: &str) -> String {
    value.replace(ESCAPED, r"\$").replace(UNESCAPED, "$").replace(PLAIN, "$")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Vec<Option<(String, String)>> {
        variables(text.as_bytes()).unwrap().collect()
    }

    #[test]
    fn a_dollar_means_itself_wherever_it_stands() {
        for (text, value) in [
            // Without quotes.
            ("K=a$x", "a$x"),
            ("K=a$PATH$$b\\$c", "a$PATH$$b$c"),
            ("K=$", "$"),
            ("K=${PATH}${x", "${PATH}${x"),
            (r"K=\\$x\\\$y", r"\$x\$y"),
            ("K=p=q$x", "p=q$x"),
            ("K = $x # it's $y", "$x"),
            ("export K=$x", "$x"),
            ("K=$x#y", "$x#y"),
            // In double quotes.
            (r#"K="a${x}$" # it's"#, "a${x}$"),
            (r#"K="\$x \"$y\" \\$z \\\$""#, r#"$x "$y" \$z \$"#),
            ("K=\"l1\nb='$x\"", "l1\nb='$x"),
            ("K=\"l1\n# it's $x\nl3$\"", "l1\n# it's $x\nl3$"),
            // In single quotes, where a backslash means itself too.
            ("K='a$x'", "a$x"),
            (r"K='\$x\\$y\\\$z'", r"\$x\\$y\\\$z"),
            ("K='l1\n$x l2'", "l1\n$x l2"),
            ("K='l1\n\\$x=\"$y'", "l1\n\\$x=\"$y"),
            // In one after the other.
            ("K=a'$x'", "a$x"),
            ("K=p=q'$x'", "p=q$x"),
            ("K='a'$x", "a$x"),
            (r#"K='a'"$x"$y'\$z'"#, r"a$x$y\$z"),
            (r"K='='…$", "=…$"),
            (r"K=\'$x\'", "'$x'"),
            // As files come.
            ("\u{feff}K=$x", "$x"),
            ("K='$x'\r\n", "$x"),
            ("K=\"$x\r\n$y\"\r\n", "$x\r\n$y"),
        ] {
            let expected = vec![Some(("K".to_owned(), value.to_owned()))];
            assert_eq!(read(text), expected, "{text}");
            let amid = format!("# it's \"$\n{}\n  # '$'\n", text.trim_start_matches('\u{feff}'));
            assert_eq!(read(&amid), expected, "{amid}");
        }
    }

    #[test]
    fn no_line_is_taken_for_another() {
        let text = "A=$x # it's\\\nB $y\nexport C='$\\\\'\nD=\"$\nE=$";
        let said = |name: &str, value: &str| Some((name.to_owned(), value.to_owned()));
        assert_eq!(read(text), [said("A", "$x"), None, said("C", r"$\\"), None]);
        assert!(variables(b"K=\xff").is_none());
        // As Windows writes what it calls Unicode.
        assert!(variables(b"K\0=\0$\0").is_none());
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

        #[test]
        fn what_is_quoted_comes_out_as_itself(value in r#"([$\\{}"'#= \nax§]|\\\$){0,12}"#) {
            let value = value.as_str();
            let double = format!("\"{}\"", value.replace('\\', r"\\").replace('"', "\\\""));
            // Single quotes hold none of their own; and before the closing one, `dotenvy` takes a backslash for an escape.
            let single = value.split('\'').map(|part| {
                let end = part.trim_end_matches('\\');
                format!("'{end}'{}", part.get(end.len()..).unwrap_or_default().replace('\\', r"\\"))
            });
            let single = single.collect::<Vec<_>>().join("\\'");
            for quoted in [double, single] {
                let said = read(&format!("A='$'\nK={quoted}\nB=$"));
                let values = said.iter().map(|line| line.as_ref().map(|(_, value)| value.as_str()));
                prop_assert_eq!(values.collect::<Vec<_>>(), [Some("$"), Some(value), Some("$")], "{}", quoted);
            }
        }
    }
}
