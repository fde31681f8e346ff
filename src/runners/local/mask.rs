//! Takes secret values out of a stream, also where they arrive in pieces.

use std::io::{self, Write};

/// What stands in the log instead of a secret.
const MASK: &[u8] = b"[secret]";
/// Shorter values would be found in innocent text.
const SHORTEST: usize = 4;
/// Lines of a secret of several lines are masked on their own from this length on.
const SHORTEST_LINE: usize = 8;

/// Writes what it is given to `out`, without the secrets.
pub(super) struct Mask<W> {
    out: W,
    /// Longest first, so that a secret that holds another is masked whole.
    secrets: Vec<Vec<u8>>,
    /// What could still become a secret.
    held: Vec<u8>,
    found: bool,
}

impl<W: Write> Mask<W> {
    /// Masks these values, and the lines of those that have several.
    pub(super) fn new(out: W, values: &[String]) -> Self {
        let whole = values.iter().map(|v| v.trim_end_matches(['\n', '\r'])).filter(|v| v.len() >= SHORTEST);
        let lines = values.iter().flat_map(|v| v.lines()).map(str::trim).filter(|l| l.len() >= SHORTEST_LINE);
        let mut secrets: Vec<Vec<u8>> = whole.chain(lines).map(|v| v.as_bytes().to_vec()).collect();
        secrets.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        secrets.dedup();
        Self { out, secrets, held: Vec::new(), found: false }
    }

    /// Takes the next piece.
    pub(super) fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.held.extend_from_slice(bytes);
        self.drain(End::Open)
    }

    /// Writes what was held back; says whether a secret was found in all.
    pub(super) fn finish(mut self) -> io::Result<(W, bool)> {
        self.drain(End::Reached)?;
        self.out.flush()?;
        Ok((self.out, self.found))
    }

    fn drain(&mut self, end: End) -> io::Result<()> {
        let mut at = 0;
        let mut clean_from = 0;
        while at < self.held.len() {
            let rest = &self.held[at..];
            if let Some(secret) = self.secrets.iter().find(|s| rest.starts_with(s)) {
                self.out.write_all(&self.held[clean_from..at])?;
                self.out.write_all(MASK)?;
                self.found = true;
                at += secret.len();
                clean_from = at;
            } else if end == End::Open && self.secrets.iter().any(|s| s.starts_with(rest)) {
                break;
            } else {
                at += 1;
            }
        }
        self.out.write_all(&self.held[clean_from..at])?;
        self.held.drain(..at);
        Ok(())
    }
}

/// Whether more may come.
#[derive(Clone, Copy, PartialEq)]
enum End {
    Open,
    Reached,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn masked(values: &[&str], pieces: &[&str]) -> (String, bool) {
        let values: Vec<String> = values.iter().map(|v| (*v).to_owned()).collect();
        let mut mask = Mask::new(Vec::new(), &values);
        for piece in pieces {
            mask.take(piece.as_bytes()).unwrap();
        }
        let (out, found) = mask.finish().unwrap();
        (String::from_utf8(out).unwrap(), found)
    }

    #[test]
    fn secrets_in_pieces_and_within_each_other() {
        assert_eq!(masked(&["hunter2"], &["a hun", "ter", "2 b"]), ("a [secret] b".into(), true));
        assert_eq!(masked(&["hunter2", "hunter2000"], &["hunter2000!"]), ("[secret]!".into(), true));
        assert_eq!(masked(&["hunter2", "hunter2000"], &["hunter200!"]), ("[secret]00!".into(), true));
        assert_eq!(masked(&["aab!"], &["aaab!"]), ("a[secret]".into(), true));
        assert_eq!(masked(&["abc"], &["abc"]), ("abc".into(), false));
        assert_eq!(masked(&["first-line\nsecond-line\n"], &["x second-line y"]), ("x [secret] y".into(), true));
        assert_eq!(masked(&["hunter2"], &["hunter"]), ("hunter".into(), false));
    }

    proptest! {
        #[test]
        fn however_it_is_cut_the_output_is_the_same(text in "[ab]{0,40}", cut in prop::collection::vec(1usize..5, 0..20)) {
            let mut pieces = Vec::new();
            let mut rest = text.as_str();
            for n in cut {
                let (piece, tail) = rest.split_at(n.min(rest.len()));
                pieces.push(piece);
                rest = tail;
            }
            pieces.push(rest);
            let (out, _) = masked(&["abab", "aabba"], &pieces);
            prop_assert_eq!(&out, &masked(&["abab", "aabba"], &[text.as_str()]).0);
            prop_assert!(!out.contains("abab"));
        }
    }
}
