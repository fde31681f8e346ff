//! Texts with placeholders such as `{version}`: how each place that has some fills them in.
//!
//! *Templates* are texts of the configuration: names of tags and artifacts, command lines, what a changelog says. `{word}`
//! is a placeholder, and a word that the place does not know is refused. `{{` and `}}` are braces. `${word}`, and braces
//! around anything but a word, stay as they are, so that shell command lines need no escaping. Every value put in comes
//! from a grammar of [`crate::model`] or is a semantic version: none holds a character that a shell would act on.
//!
//! What a changelog says is stricter ([`render_strictly`]): whatever stands in braces is a placeholder, so that a slip is
//! refused and not published.
//!
//! *Patterns* are lines of somebody else's file with the version taken out ([`fill_pattern`]): `{{` and words that are not
//! known are text of that file.

use std::collections::BTreeMap;

/// The values of placeholders, by name.
pub(crate) type Values<'a> = BTreeMap<&'a str, &'a str>;

enum Piece<'t> {
    Text(&'t str),
    /// A brace that was written twice.
    Brace(&'t str),
    Placeholder(&'t str),
}

fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Which texts in braces are placeholders.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Syntax {
    /// Words, unless a `$` stands before them.
    Words,
    /// All.
    Strict,
}

fn pieces(template: &str, syntax: Syntax) -> Vec<Piece<'_>> {
    let mut out = Vec::new();
    let mut from = 0;
    let mut at = 0;
    while let Some(found) = template[at..].find(['{', '}']) {
        let brace = at + found;
        let rest = &template[brace..];
        let after_dollar = syntax == Syntax::Words && template[..brace].ends_with('$');
        let name =
            rest[1..].find('}').map(|end| &rest[1..=end]).filter(|name| syntax == Syntax::Strict || is_word(name));
        if rest.starts_with("{{") && !after_dollar || rest.starts_with("}}") {
            out.push(Piece::Text(&template[from..brace]));
            out.push(Piece::Brace(&rest[..1]));
            at = brace + 2;
            from = at;
        } else if let (true, false, Some(name)) = (rest.starts_with('{'), after_dollar, name) {
            out.push(Piece::Text(&template[from..brace]));
            out.push(Piece::Placeholder(name));
            at = brace + name.len() + 2;
            from = at;
        } else if let (true, Some(name)) = (after_dollar, name) {
            at = brace + name.len() + 2;
        } else {
            at = brace + 1;
        }
    }
    out.push(Piece::Text(&template[from..]));
    out
}

/// The names of the placeholders in a template, in their order.
pub(crate) fn placeholders(template: &str, syntax: Syntax) -> Vec<&str> {
    pieces(template, syntax)
        .into_iter()
        .filter_map(|p| match p {
            Piece::Placeholder(name) => Some(name),
            Piece::Text(_) | Piece::Brace(_) => None,
        })
        .collect()
}

/// Puts the values in.
///
/// # Errors
/// The name of a placeholder without a value.
pub(crate) fn render(template: &str, values: &Values<'_>) -> Result<String, String> {
    let mut out = String::with_capacity(template.len());
    for piece in pieces(template, Syntax::Words) {
        match piece {
            Piece::Text(text) | Piece::Brace(text) => out.push_str(text),
            Piece::Placeholder(name) => match values.get(name) {
                Some(value) => out.push_str(value),
                None => return Err(name.to_owned()),
            },
        }
    }
    Ok(out)
}

/// Puts in what `value` says of each text in braces, such as `date:%Y`.
///
/// # Errors
/// What `value` refuses, and a `{` that no `}` follows.
pub(crate) fn render_strictly(
    template: &str,
    value: impl Fn(&str) -> Result<String, String>,
) -> Result<String, String> {
    let mut out = String::with_capacity(template.len());
    for piece in pieces(template, Syntax::Strict) {
        match piece {
            Piece::Text(text) if text.contains('{') => {
                return Err(format!("`{{` without `}}` in `{template}`"));
            }
            Piece::Text(text) | Piece::Brace(text) => out.push_str(text),
            Piece::Placeholder(name) => out.push_str(&value(name)?),
        }
    }
    Ok(out)
}

/// Puts the values into a pattern. All but the placeholders of these names stays as it is.
pub(crate) fn fill_pattern(pattern: &str, values: &Values<'_>) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut rest = pattern;
    while let Some(open) = rest.find('{') {
        let (before, after) = (&rest[..open], &rest[open + 1..]);
        out.push_str(before);
        let known = values.iter().find_map(|(name, v)| Some((v, after.strip_prefix(name)?.strip_prefix('}')?)));
        match known {
            Some((value, after)) => {
                out.push_str(value);
                rest = after;
            }
            None => {
                out.push('{');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
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
        assert_eq!(placeholders("{a} ${b} {{c}} {d:e}{f}", Syntax::Words), ["a", "f"]);
        assert_eq!(placeholders("{a} ${b} {{c}} {d:e}{f}", Syntax::Strict), ["a", "b", "d:e", "f"]);
    }

    #[test]
    fn what_a_changelog_says_has_no_other_braces() {
        let strictly = |template: &str| {
            render_strictly(template, |name| match name {
                "v" | "v:x y" => Ok("1.2.3".to_owned()),
                other => Err(format!("no {other}")),
            })
        };
        assert_eq!(strictly("[{v}] {v:x y} ${v}").as_deref(), Ok("[1.2.3] 1.2.3 $1.2.3"));
        assert_eq!(strictly("## {v} {{#top}} }").as_deref(), Ok("## 1.2.3 {#top} }"));
        assert_eq!(strictly("{v} { v }"), Err("no  v ".to_owned()));
        assert_eq!(strictly("{v} {v"), Err("`{` without `}` in `{v} {v`".to_owned()));
    }

    #[test]
    fn a_pattern_is_text_but_for_the_names_that_are_known() {
        let filled = |pattern: &str| fill_pattern(pattern, &Values::from([("v", "1.2.3"), ("version", "4.5.6")]));
        assert_eq!(filled("rev: v{version}"), "rev: v4.5.6");
        assert_eq!(filled(r"\newcommand{\v}{{v}}"), r"\newcommand{\v}{1.2.3}");
        assert_eq!(filled("${v} {w} {{ }} {v {v}ü{"), "$1.2.3 {w} {{ }} {v 1.2.3ü{");
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
