//! Words of commands that people paste into a shell.

use std::path::Path;

/// A word as every POSIX shell reads it back, whatever is in it: as it stands if it is plain, else in single quotes.
#[must_use]
pub fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:@%,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// A path as a shell's word. One that begins with `-` is written with its directory, so that no program takes it for an option.
#[must_use]
pub fn shell_path(path: &Path) -> String {
    let text = path.to_string_lossy();
    if text.starts_with('-') { shell_word(&format!("./{text}")) } else { shell_word(&text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_a_shell_would_split_or_expand_are_quoted() {
        for plain in ["train.toml", "../train.toml", "/srv/a-b_c+d/x", "v1.0.5", "file:///srv/x"] {
            assert_eq!(shell_word(plain), plain);
        }
        for (word, quoted) in [
            ("", "''"),
            ("a b", "'a b'"),
            ("it's", r"'it'\''s'"),
            ("a\"b", "'a\"b'"),
            ("$HOME", "'$HOME'"),
            ("~", "'~'"),
        ] {
            assert_eq!(shell_word(word), quoted);
        }
        assert_eq!(shell_path(Path::new("-x.toml")), "./-x.toml");
    }
}
