//! Whether a page could run something or fetch something from elsewhere: such a page would be published unseen, under the
//! project's name.

/// Elements that run, embed, or change what the rest of a page means.
const ELEMENTS: &[&str] = &[
    "script", "iframe", "frame", "frameset", "object", "embed", "applet", "link", "base", "form", "portal", "svg",
    "math", "template", "noscript",
];

/// Attributes whose address is fetched by itself.
const FETCHED: &[&str] =
    &["src", "srcset", "data", "poster", "background", "action", "formaction", "xlink:href", "ping"];

/// The first thing in `html` that runs or fetches, with its line; none in a page for readers. It reads too much rather than
/// too little: comments and texts in quotes count as well.
#[must_use]
pub fn active(html: &str) -> Option<(usize, String)> {
    let line = |at: usize| 1 + html[..at].matches('\n').count();
    let lower = html.to_ascii_lowercase();
    for bad in ["url(", "@import", "expression(", "-moz-binding"] {
        if let Some(at) = lower.find(bad) {
            return Some((line(at), format!("`{bad}` in a style fetches or runs something")));
        }
    }
    for (at, _) in lower.match_indices('<') {
        let rest = &lower[at + 1..];
        let name: String = rest.chars().take_while(|c| !c.is_ascii_whitespace() && !"/>".contains(*c)).collect();
        if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
            continue;
        }
        if ELEMENTS.contains(&name.as_str()) {
            return Some((line(at), format!("`<{name}>` runs or embeds something")));
        }
        for (attribute, value) in attributes(&rest[name.len()..]) {
            if let Some(why) = bad_attribute(&name, &attribute, &plain(&value)) {
                return Some((line(at), why));
            }
        }
    }
    None
}

fn bad_attribute(element: &str, name: &str, value: &str) -> Option<String> {
    let address = |v: &str| v.split(['/', '?', '#']).next().is_some_and(|first| first.contains(':'));
    let allowed = ["https:", "http:", "mailto:"].iter().any(|scheme| value.starts_with(scheme));
    match name {
        _ if name.starts_with("on") => Some(format!("`{name}` in `<{element}>` runs something")),
        "srcdoc" => Some(format!("`{name}` in `<{element}>` embeds something")),
        "http-equiv" if value != "content-security-policy" => {
            Some(format!("`<{element} http-equiv=\"{value}\">` changes what the page does"))
        }
        _ if FETCHED.contains(&name)
            && (address(value) || value.starts_with("//"))
            && !value.starts_with("data:image/") =>
        {
            Some(format!("`{name}` in `<{element}>` fetches something from elsewhere"))
        }
        "href" if address(value) && !allowed => {
            Some(format!("`{name}` in `<{element}>` runs something when it is followed"))
        }
        _ => None,
    }
}

/// The attributes of a tag, from behind its name.
fn attributes(text: &str) -> Vec<(String, String)> {
    let mut out = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/');
        if rest.is_empty() || rest.starts_with('>') {
            return out;
        }
        let end = rest.find(|c: char| c.is_ascii_whitespace() || "=/>".contains(c)).unwrap_or(rest.len());
        let end = if end == 0 { 1 } else { end };
        let name = rest.get(..end).unwrap_or(rest).to_owned();
        rest = rest.get(end..).unwrap_or_default().trim_start();
        let mut value = String::new();
        if let Some(after) = rest.strip_prefix('=') {
            let after = after.trim_start();
            (value, rest) = match after.chars().next() {
                Some(quote @ ('"' | '\'')) => {
                    let inner = &after[1..];
                    let end = inner.find(quote).unwrap_or(inner.len());
                    (inner[..end].to_owned(), inner.get(end + 1..).unwrap_or_default())
                }
                _ => {
                    let end = after.find(|c: char| c.is_ascii_whitespace() || c == '>').unwrap_or(after.len());
                    (after[..end].to_owned(), &after[end..])
                }
            };
        }
        out.push((name, value));
    }
}

/// An attribute's value as a browser takes it for an address: character references resolved, blanks and controls gone.
fn plain(value: &str) -> String {
    let mut out = String::new();
    let mut rest = value;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '#')).unwrap_or(rest.len());
        let name = &rest[..end];
        let number = name
            .strip_prefix("#x")
            .map(|n| u32::from_str_radix(n, 16))
            .or_else(|| name.strip_prefix('#').map(str::parse));
        match (number, name) {
            (Some(Ok(code)), _) => out.extend(char::from_u32(code)),
            (_, "colon") => out.push(':'),
            (_, "tab" | "newline") => {}
            (_, "amp") => out.push('&'),
            (_, "sol") => out.push('/'),
            _ => out.push_str(name),
        }
        rest = rest[end..].strip_prefix(';').unwrap_or(&rest[end..]);
    }
    out.push_str(rest);
    out.chars().filter(|c| !c.is_whitespace() && !c.is_control()).collect()
}

/// A template's text without its own language: what stands in the page whatever is filled in.
#[must_use]
pub fn without_language(source: &str) -> String {
    let mut out = String::new();
    let mut rest = source;
    while let Some(at) = rest.find('{') {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let end = match from.as_bytes().get(1) {
            Some(b'{') => Some("}}"),
            Some(b'%') => Some("%}"),
            Some(b'#') => Some("#}"),
            _ => None,
        };
        match end.and_then(|end| Some((end, from.find(end)?))) {
            Some((end, to)) => {
                // Lines stay where they are.
                out.extend(from[..to].matches('\n').map(|_| '\n'));
                rest = &from[to + end.len()..];
            }
            None => {
                out.push('{');
                rest = &from[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_or_fetches_is_found() {
        for bad in [
            "<script>x</script>",
            "<SCRIPT src=x>",
            "<p onclick=alert(1)>",
            "<p/onmouseover='x'>",
            "<img src=https://example.org/x.png>",
            "<img src='//example.org/x.png'>",
            "<link rel=stylesheet href=x.css>",
            "<a href=\"javascript:alert(1)\">",
            "<a href=\"&#106;avascript:alert(1)\">",
            "<a href=\"java\tscript&colon;alert(1)\">",
            "<a href=data:text/html,x>",
            "<style>p { background: url(https://example.org/) }</style>",
            "<style>@import 'x';</style>",
            "<meta http-equiv=refresh content=0>",
            "<base href=https://example.org/>",
            "<iframe srcdoc=x>",
            "<svg onload=x>",
            "<form action=https://example.org>",
            "<!-- <script> -->",
        ] {
            assert!(active(bad).is_some(), "{bad}");
        }
        for good in [
            "<!doctype html><p class=one title='<'>a < b, on = 1</p>",
            "<a href='https://example.org/a:b'>x</a> <a href=../index.html>y</a> <a href='#x'>z</a>",
            "<img src=logo.png> <img src='data:image/png;base64,AA=='>",
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'\">",
        ] {
            assert_eq!(active(good), None, "{good}");
        }
        assert_eq!(active("a\nb\n<p onclick=x>").unwrap().0, 3);
        assert_eq!(without_language("<scr{% if x\n %}ipt{# no #}>{{ y }}{"), "<scr\nipt>{");
    }
}
