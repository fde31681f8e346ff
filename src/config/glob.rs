//! Patterns over branch and target names: `*` stands for any characters, `?` for one.

/// Whether `pattern` matches the whole of `text`. `*` matches `/` too: branch names are not paths here.
#[must_use]
pub fn glob_matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    // Where to go on after the last `*` if what follows it does not fit.
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                retry = Some((p + 1, t));
                p += 1;
            }
            Some(&c) if c == '?' || c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match retry {
                Some((after, from)) => {
                    p = after;
                    t = from + 1;
                    retry = Some((after, t));
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&c| c == '*')
}

/// Whether a name holds `*` or `?`.
pub(super) fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?'])
}

#[cfg(test)]
mod tests {
    use super::glob_matches;

    #[test]
    fn patterns() {
        for (p, t) in [("release-*", "release-36.0.0"), ("*", ""), ("*-min", "a-min-min"), ("a?c*", "abc"), ("a", "a")]
        {
            assert!(glob_matches(p, t), "{p} {t}");
        }
        for (p, t) in [("release-*", "main"), ("*-min", "a-mi"), ("", "a"), ("a?", "a"), ("*a*b", "ba")] {
            assert!(!glob_matches(p, t), "{p} {t}");
        }
    }
}
