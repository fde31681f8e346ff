//! What runners call a job: the same after a crash, and nothing that tells what it is for.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::StepKey;
use crate::model::{Sha256, TrainNonce};

/// The name of one attempt of one step of one train: `<16 hex digits of the train>-<32 of the attempt>`.
///
/// Both parts are SHA-256 over the train's nonce, so that whoever sees the name on a server learns neither project, version,
/// target nor step; whoever has the train makes the same name again, and finds its jobs by it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobName(String);

impl JobName {
    /// The name of an attempt.
    #[must_use]
    pub fn of(train: &TrainNonce, key: StepKey, attempt: u32) -> Self {
        let job = Sha256::of(format!("lifeboat job\n{train}\n{}\n{attempt}\n", key.0.hex()).as_bytes());
        Self(format!("{}{}", Self::prefix(train), &job.hex()[..32]))
    }

    /// What all names of a train begin with, and no name of another one.
    #[must_use]
    pub fn prefix(train: &TrainNonce) -> String {
        let train = Sha256::of(format!("lifeboat train\n{train}\n").as_bytes());
        format!("{}-", &train.hex()[..16])
    }

    /// Reads a name that is written as one; none if it is not.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let hex = |s: &str| s.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let (train, job) = name.split_once('-')?;
        (train.len() == 16 && job.len() == 32 && hex(train) && hex(job)).then(|| Self(name.to_owned()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for JobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_of_one_attempt_of_one_train() {
        let (one, other) = (TrainNonce::from_bytes([1; 16]), TrainNonce::from_bytes([2; 16]));
        let key = |n: u8| StepKey(Sha256::of(&[n]));
        let name = JobName::of(&one, key(1), 1);
        assert_eq!(name, JobName::of(&one, key(1), 1));
        assert_eq!(JobName::parse(name.as_str()), Some(name.clone()));
        let others = [JobName::of(&one, key(1), 2), JobName::of(&one, key(2), 1), JobName::of(&other, key(1), 1)];
        assert!(!others.contains(&name));
        let of_one = |n: &JobName| n.as_str().starts_with(&JobName::prefix(&one));
        assert_eq!(others.iter().map(of_one).collect::<Vec<_>>(), [true, true, false]);
        assert!(of_one(&name) && !name.as_str().contains(&key(1).0.hex()[..8]) && !name.as_str().contains("0101"));
    }

    #[test]
    fn other_words_are_not_names() {
        for word in ["", "-", "../../etc", "0123456789abcdef-0123", "0123456789ABCDEF-0123456789abcdef0123456789abcdef"]
        {
            assert_eq!(JobName::parse(word), None, "{word}");
        }
    }
}
