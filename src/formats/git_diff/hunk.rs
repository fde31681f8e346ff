//! One hunk of a text file's change.

/// A hunk as it stands in a diff.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Hunk {
    /// The first line of the old file that it covers, counted from 1; 0 where the file is new.
    pub start: usize,
    /// Its header and its lines, with their line ends.
    pub lines: Vec<Vec<u8>>,
}

impl Hunk {
    /// The lines that it expects in the old file: context and removed lines, with their line ends.
    #[must_use]
    pub fn before(&self) -> Vec<Vec<u8>> {
        let mut before: Vec<Vec<u8>> = Vec::new();
        let mut above = None;
        for line in self.lines.iter().skip(1) {
            match line.first() {
                Some(b'-') => before.push(line[1..].to_vec()),
                Some(b'+') => {}
                // `\ No newline at end of file` is about the line above.
                Some(b'\\') if above != Some(b'+') => {
                    if let Some(last) = before.last_mut() {
                        last.pop_if(|c| *c == b'\n');
                    }
                }
                Some(b'\\') => {}
                // Mail programs strip the single blank of an empty context line.
                _ => before.push(line.strip_prefix(b" ").unwrap_or(line).to_vec()),
            }
            above = line.first().copied();
        }
        before
    }
}

/// What a hunk's header says.
pub(super) struct Ranges {
    /// The first line of the old side.
    pub(super) start: usize,
    /// How many lines the old side has.
    pub(super) old: u64,
    /// How many lines the new side has.
    pub(super) new: u64,
}

impl Ranges {
    /// Reads `@@ -12,3 +12,4 @@ …`.
    pub(super) fn read(line: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(line);
        let (old, rest) = text.strip_prefix("@@ -")?.split_once(" +")?;
        let (new, _) = rest.split_once(" @@")?;
        let range = |side: &str| -> Option<(usize, u64)> {
            let (start, length) = side.split_once(',').unwrap_or((side, "1"));
            Some((start.parse().ok()?, length.parse().ok()?))
        };
        let (start, old) = range(old)?;
        Some(Self { start, old, new: range(new)?.1 })
    }
}
