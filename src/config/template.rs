//! Templates of the configuration: text with placeholders such as `{version}`.
//!
//! `{word}` is a placeholder; `{{` and `}}` are braces; `${word}`, and braces around anything but a word, stay as they
//! are, so that shell command lines need no escaping. Every value put in comes from a grammar of [`crate::model`] or is a
//! semantic version: none holds a character that a shell would act on.

use std::collections::BTreeMap;

/// The values of placeholders, by name.
pub(super) type Values<'a> = BTreeMap<&'a str, &'a str>;

enum Piece<'t> {
    Text(&'t str),
    Placeholder(&'t str),
}

fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn pieces(template: &str) -> Vec<Piece<'_>> {
    let mut out = Vec::new();
    let mut from = 0;
    let mut at = 0;
    while let Some(found) = template[at..].find(['{', '}']) {
        let brace = at + found;
        let rest = &template[brace..];
        let after_dollar = template[..brace].ends_with('$');
        let word = rest[1..].find('}').map(|end| &rest[1..=end]).filter(|w| is_word(w));
        if rest.starts_with("{{") && !after_dollar || rest.starts_with("}}") {
            out.push(Piece::Text(&template[from..=brace]));
            at = brace + 2;
            from = at;
        } else if let (true, false, Some(word)) = (rest.starts_with('{'), after_dollar, word) {
            out.push(Piece::Text(&template[from..brace]));
            out.push(Piece::Placeholder(word));
            at = brace + word.len() + 2;
            from = at;
        } else if let (true, Some(word)) = (after_dollar, word) {
            at = brace + word.len() + 2;
        } else {
            at = brace + 1;
        }
    }
    out.push(Piece::Text(&template[from..]));
    out
}

/// The names of the placeholders in a template, in their order.
pub(super) fn placeholders(template: &str) -> Vec<&str> {
    pieces(template)
        .into_iter()
        .filter_map(|p| match p {
            Piece::Placeholder(name) => Some(name),
            Piece::Text(_) => None,
        })
        .collect()
}

/// Puts the values in.
///
/// # Errors
/// The name of a placeholder without a value.
pub(super) fn render(template: &str, values: &Values<'_>) -> Result<String, String> {
    let mut out = String::with_capacity(template.len());
    for piece in pieces(template) {
        match piece {
            Piece::Text(text) => out.push_str(text),
            Piece::Placeholder(name) => match values.get(name) {
                Some(value) => out.push_str(value),
                None => return Err(name.to_owned()),
            },
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn with_v(template: &str) -> Result<String, String> {
        render(template, &Values::from([("v", "1.2.3")]))
    }

    #[test]
    fn placeholders_braces_and_shell() {
        assert_eq!(with_v("dist/a-{v}.tar").as_deref(), Ok("dist/a-1.2.3.tar"));
        assert_eq!(with_v("${v} $(x) ${v:-{v}}").as_deref(), Ok("${v} $(x) ${v:-1.2.3}"));
        assert_eq!(
            with_v("find . -exec rm {} + ; { a; } x.{a,b}").as_deref(),
            Ok("find . -exec rm {} + ; { a; } x.{a,b}")
        );
        assert_eq!(with_v("awk '{{print}}'").as_deref(), Ok("awk '{print}'"));
        assert_eq!(with_v("{w}"), Err("w".to_owned()));
        assert_eq!(with_v("{v}{v}").as_deref(), Ok("1.2.31.2.3"));
        assert_eq!(with_v("{").as_deref(), Ok("{"));
        assert_eq!(with_v("ü{v}ü}").as_deref(), Ok("ü1.2.3ü}"));
        assert_eq!(placeholders("{a} ${b} {{c}} {d}"), ["a", "d"]);
    }

    proptest! {
        #[test]
        fn no_template_panics_and_text_without_braces_is_kept(text in "[a-z{}$ü ]{0,40}") {
            let rendered = with_v(&text);
            if !text.contains(['{', '}']) {
                prop_assert_eq!(rendered, Ok(text));
            }
        }
    }
}
