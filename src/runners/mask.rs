//! Takes secret values out of a stream, also where they arrive in pieces, and as hex, base64 or in an address.

use std::io::{self, Write};

/// What stands in the log instead of a secret.
const MASK: &[u8] = b"[secret]";
/// Shorter values would be found in innocent text.
const SHORTEST: usize = 4;
/// Lines of a secret of several lines, and values in other writings, are masked from this length on.
const SHORTEST_LINE: usize = 8;
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Writes what it is given to `out`, without the secrets.
pub(super) struct Mask<W> {
    out: W,
    /// Longest first, so that a secret that holds another is masked whole.
    forms: Vec<Form>,
    /// What could still become a secret.
    held: Vec<u8>,
    found: bool,
}

/// One writing of a secret.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Form {
    bytes: Vec<u8>,
    how: How,
}

/// What is equal in a writing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum How {
    /// The bytes themselves.
    Plain,
    /// Digits of any case, with line ends anywhere: hex, and `%3D` of an address.
    AnyCase,
    /// Both alphabets of RFC 4648, with line ends anywhere.
    Base64,
}

/// How a form and the beginning of what is held go together.
enum Fits {
    /// It is there, in so many bytes.
    Whole(usize),
    /// It may be, once more is there.
    SoFar,
    No,
}

impl Form {
    fn fits(&self, held: &[u8]) -> Fits {
        let mut wanted = self.bytes.iter();
        let mut next = wanted.next();
        for (i, byte) in held.iter().enumerate() {
            let Some(want) = next else { return Fits::Whole(i) };
            match self.how {
                How::Plain | How::AnyCase | How::Base64 if byte == want => {}
                How::AnyCase if byte.eq_ignore_ascii_case(want) => {}
                How::Base64 if matches!((byte, want), (b'-', b'+') | (b'_', b'/')) => {}
                // One line end at a time: what is held must have an end.
                How::AnyCase | How::Base64 if *byte == b'\n' && i > 0 && held[i - 1] != b'\n' => continue,
                How::AnyCase | How::Base64
                    if *byte == b'\r' && i > 0 && held.get(i + 1).is_none_or(|b| *b == b'\n') =>
                {
                    continue;
                }
                _ => return Fits::No,
            }
            next = wanted.next();
        }
        if next.is_none() { Fits::Whole(held.len()) } else { Fits::SoFar }
    }
}

/// The writings of a value.
fn forms(value: &[u8]) -> Vec<Form> {
    let hex: String = value.iter().map(|b| format!("{b:02x}")).collect();
    let in_address = |b: &u8| match b {
        b if b.is_ascii_alphanumeric() || b"-._~".contains(b) => char::from(*b).to_string(),
        b => format!("%{b:02X}"),
    };
    let address: String = value.iter().map(in_address).collect();
    let mut out = vec![
        Form { bytes: hex.into_bytes(), how: How::AnyCase },
        Form { bytes: address.into_bytes(), how: How::AnyCase },
    ];
    // Something may stand before and behind it in what was encoded: the digits that hold nothing else.
    for before in 0..3 {
        let bytes: Vec<u8> = std::iter::repeat_n(&0, before).chain(value).copied().collect();
        let digits = (before * 8).div_ceil(6)..bytes.len() * 8 / 6;
        let bit = |n: usize| usize::from(bytes[n / 8] >> (7 - n % 8) & 1);
        let digit = |d: usize| BASE64[(0..6).fold(0, |value, i| value * 2 + bit(d * 6 + i))];
        out.push(Form { bytes: digits.map(digit).collect(), how: How::Base64 });
    }
    out.retain(|f| f.bytes.len() >= SHORTEST_LINE);
    out
}

impl<W: Write> Mask<W> {
    /// Masks these values, and the lines of those that have several.
    pub(super) fn new(out: W, values: &[String]) -> Self {
        let whole = values.iter().map(|v| v.trim_end_matches(['\n', '\r'])).filter(|v| v.len() >= SHORTEST);
        let lines = values.iter().flat_map(|v| v.lines()).map(str::trim).filter(|l| l.len() >= SHORTEST_LINE);
        let all: Vec<&[u8]> = whole.chain(lines).map(str::as_bytes).collect();
        let plain = all.iter().map(|v| Form { bytes: v.to_vec(), how: How::Plain });
        let mut forms: Vec<Form> = plain.chain(all.iter().flat_map(|v| forms(v))).collect();
        forms.sort_by(|a, b| b.bytes.len().cmp(&a.bytes.len()).then_with(|| a.cmp(b)));
        forms.dedup();
        Self { out, forms, held: Vec::new(), found: false }
    }

    /// Takes the next piece.
    pub(super) fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.held.extend_from_slice(bytes);
        self.drain(End::Open)
    }

    /// Whether a secret was found so far.
    pub(super) fn has_found(&self) -> bool {
        self.found
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
            let mut so_far = false;
            let whole = self.forms.iter().find_map(|form| match form.fits(&self.held[at..]) {
                Fits::Whole(length) => Some(length),
                Fits::SoFar => {
                    so_far = true;
                    None
                }
                Fits::No => None,
            });
            if end == End::Open && so_far {
                // A longer one may be there.
                break;
            } else if let Some(length) = whole {
                self.out.write_all(&self.held[clean_from..at])?;
                self.out.write_all(MASK)?;
                self.found = true;
                at += length;
                clean_from = at;
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

    /// Each line is what a program printed: base64(1), xxd(1), curl(1), with a name before the value or a blank behind it.
    #[test]
    fn other_writings_of_a_secret() {
        for shown in [
            "aHVudGVyMi1sb25nP3ZhbHVl",
            "eDpodW50ZXIyLWxvbmc/dmFsdWU=",
            "eHg6aHVudGVyMi1sb25nP3ZhbHVlCg==",
            "aHVudGVyMi1sb25nP3ZhbHVlCg",
            "eDpodW50ZXIyLWxvbmc_dmFsdWU",
            "aHVudGVy\nMi1sb25nP3Zh\nbHVl",
            "68756e746572322d6c6f6e673f76616c7565",
            "68756E746572322D6C6F6E673F\n76616C7565",
            "token=hunter2-long%3Fvalue&x",
            "token=hunter2-long%3fvalue&x",
        ] {
            let (log, found) = masked(&["hunter2-long?value"], &[shown]);
            assert!(
                found && log.contains("[secret]") && !log.contains("xvbmc") && !log.contains("6c6f6e67"),
                "{shown}: {log}"
            );
            let pieces: Vec<String> = shown.chars().map(String::from).collect();
            assert_eq!(masked(&["hunter2-long?value"], &pieces.iter().map(String::as_str).collect::<Vec<_>>()).0, log);
        }
        assert_eq!(masked(&["hunter2-long?value"], &["aHVudGVyMi1sb25"]), ("aHVudGVyMi1sb25".into(), false));
        // As they stand, but for others than the value: too little is left of a short one.
        assert_eq!(masked(&["4711"], &["NDcxMQ== 34373131"]), ("NDcxMQ== [secret]".into(), true));
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
