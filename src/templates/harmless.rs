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

/// The first thing in `html` that runs or fetches, with its line; none in a page that may be published. It reads too much rather than
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
    for (at, _) in lower.match_indices("<style") {
        let style = &lower[at..];
        let style = &style[..style.find("</style").unwrap_or(style.len())];
        if let Some(bad) = bad_style(style) {
            return Some((line(at), format!("`{bad}` in a style can fetch something")));
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

/// What of a style's functions or escapes can name an address in another way than `url(`.
fn bad_style(style: &str) -> Option<&'static str> {
    ["\\", "image(", "image-set", "src("].into_iter().find(|bad| style.contains(bad))
}

fn bad_attribute(element: &str, name: &str, value: &str) -> Option<String> {
    // Browsers take `\` for `/` in an address.
    let value = &value.replace('\\', if name == "style" { "\\" } else { "/" });
    let address = |v: &str| v.split(['/', '?', '#']).next().is_some_and(|first| first.contains(':'));
    let elsewhere = |v: &str| (address(v) || v.starts_with("//")) && !v.starts_with("data:image/");
    let allowed = ["https:", "http:", "mailto:"].iter().any(|scheme| value.starts_with(scheme));
    match name {
        _ if name.starts_with("on") => Some(format!("`{name}` in `<{element}>` runs something")),
        "srcdoc" => Some(format!("`{name}` in `<{element}>` embeds something")),
        "style" if bad_style(value).is_some() => Some(format!("`{name}` in `<{element}>` can fetch something")),
        "http-equiv" if value != "content-security-policy" => {
            Some(format!("`<{element} http-equiv=\"{value}\">` changes what the page does"))
        }
        // A set of addresses: `a.png 1x, b.png 2x`. Blanks are gone here.
        _ if FETCHED.contains(&name) && (elsewhere(value) || name == "srcset" && value.split(',').any(elsewhere)) => {
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
        let (code, end) = reference(rest);
        out.extend(code);
        rest = rest[end..].strip_prefix(';').unwrap_or(&rest[end..]);
    }
    out.push_str(rest);
    out.chars().filter(|c| !c.is_whitespace() && !c.is_control()).collect()
}

/// What the reference behind a `&` stands for, and where it ends. A number ends with its last digit: the `;` may be missing.
fn reference(text: &str) -> (Option<char>, usize) {
    let digits = |from: usize, radix: u32| {
        let end = text[from..].find(|c: char| !c.is_digit(radix)).map_or(text.len(), |n| from + n);
        (u32::from_str_radix(&text[from..end], radix).ok().and_then(char::from_u32), end)
    };
    if text.starts_with("#x") {
        return digits(2, 16);
    }
    if text.starts_with('#') {
        return digits(1, 10);
    }
    let end = text.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(text.len());
    let named = match &text[..end] {
        "colon" => ':',
        "sol" => '/',
        "bsol" => '\\',
        "amp" => '&',
        "tab" | "newline" => '\n',
        // Any other stays as it is written.
        _ => return (None, 0),
    };
    (Some(named), end)
}

/// The line with which a page's head must begin: it lets a browser run and fetch nothing of what the search above overlooks.
pub const POLICY: &str = "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; base-uri 'none'; form-action 'none'\">";

/// The same without images, as in the pages built in.
const STRICTER: &str = "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\">";

/// Whether the head of a page begins with [`POLICY`]; only elements `<meta>` that say nothing to a browser may stand before it. Where
/// anything else does, a browser begins the page's body, and takes no policy from there.
#[must_use]
pub fn has_policy(html: &str) -> bool {
    let mut rest = html.trim_start();
    for tag in ["<!doctype html", "<html", "<head"] {
        if rest.get(..tag.len()).is_some_and(|start| start.eq_ignore_ascii_case(tag)) {
            let Some(end) = rest.find('>') else { return false };
            rest = rest[end + 1..].trim_start();
        } else if tag == "<head" {
            return false;
        }
    }
    loop {
        if [POLICY, STRICTER].iter().any(|line| rest.starts_with(line)) {
            return true;
        }
        let Some(after) = rest.strip_prefix("<meta ") else { return false };
        let Some(end) = after.find('>') else { return false };
        if attributes(&after[..=end].to_ascii_lowercase()).iter().any(|(name, _)| name == "http-equiv") {
            return false;
        }
        rest = after[end + 1..].trim_start();
    }
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
            "<a href=\"javascript&#58alert(1)\">",
            "<a href=\"javascript&#x3Avoid(0)\">",
            "<img src=\"\\\\evil\\x.png\">",
            "<img src='/\\evil/x.png'>",
            "<img src='&bsol;&bsol;evil/x.png'>",
            "<img srcset=\"a.png 1x, //evil/y.png 2x\">",
            "<img srcset='a.png 1x,https://evil/y.png 2x'>",
            "<style>p { background: image-set(\"https://evil/x.png\" 1x) }</style>",
            "<style>p { background: u\\72l(https://evil) }</style>",
            "<p style='background: u\\72l(https://evil)'>",
            "<p style='background: -webkit-image-set(\"//evil\" 1x)'>",
        ] {
            assert!(active(bad).is_some(), "{bad}");
        }
        for good in [
            "<!doctype html><p class=one title='<'>a < b, on = 1</p>",
            "<a href='https://example.org/a:b'>x</a> <a href=../index.html>y</a> <a href='#x'>z</a>",
            "<img srcset='a.png 1x, b/c.png 2x'> <p>C:\\x, image-set()</p> <a href='?a=1&b=2&copy;'>x</a>",
            "<img src=logo.png> <img src='data:image/png;base64,AA=='>",
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'\">",
        ] {
            assert_eq!(active(good), None, "{good}");
        }
        assert_eq!(active("a\nb\n<p onclick=x>").unwrap().0, 3);
        assert_eq!(without_language("<scr{% if x\n %}ipt{# no #}>{{ y }}{"), "<scr\nipt>{");
    }

    #[test]
    fn a_head_begins_with_the_policy() {
        for good in [
            format!("<!doctype html>\n<html lang=\"en\">\n<head>\n{POLICY}\n<title>x</title>"),
            format!("<head><meta charset=\"utf-8\">\n<meta name=generator content='a'>{STRICTER}"),
        ] {
            assert!(has_policy(&good), "{good}");
        }
        for bad in [
            String::new(),
            POLICY.to_owned(),
            format!("<!doctype html><p>x<head>{POLICY}"),
            format!("<!doctype html><html><head><title>x</title>{POLICY}"),
            format!("<head><meta http-equiv=refresh content=0>{POLICY}"),
            format!("<head><!-- {POLICY} -->"),
            format!("<head>{}", POLICY.replace("'none'; style", "*; style")),
            format!("<head>{}", POLICY.replace("http-equiv", "name")),
            format!("<body>{POLICY}"),
            "<head".to_string(),
        ] {
            assert!(!has_policy(&bad), "{bad}");
        }
    }
}
