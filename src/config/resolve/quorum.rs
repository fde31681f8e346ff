//! `[release] stores`: how many of the stores must have a train before it is *released*.

use crate::config::raw::RawRelease;
use crate::config::settings::{StoreConfig, StoreRole};
use crate::table::{Fault, Faults, Text};

/// The number of stores that must have a train, of those that count; `None` without the key. A store that does not say
/// `required` counts then.
pub(super) fn resolve(raw: RawRelease, stores: &[StoreConfig], faults: &mut Faults) -> Option<u32> {
    let text = raw.stores?;
    let with = |role| stores.iter().filter(|s| s.role == role).count();
    let (counted, required) = (with(StoreRole::Counted), with(StoreRole::Required));
    match judge(text.get_ref(), counted, required) {
        Ok(at_least) => Some(at_least),
        Err((message, expected)) => {
            faults.add(fault(&text, message, expected));
            None
        }
    }
}

fn fault(text: &Text, message: String, expected: String) -> Fault {
    Fault::new(text.span(), message, expected)
}

/// Whether a number of stores can be a quorum: enough that no two trains have one each, and not more than there are.
fn judge(text: &str, counted: usize, required: usize) -> Result<u32, (String, String)> {
    let numbers = || {
        let (at_least, of) = text.split_once(" of ")?;
        Some((at_least.trim().parse::<u32>().ok()?, of.trim().parse::<usize>().ok()?))
    };
    let Some((at_least, of)) = numbers() else {
        return Err((format!("`{text}` is not a valid number of stores"), "expected `2 of 3`".to_owned()));
    };
    if of != counted {
        return Err((
            format!("`{text}` speaks of {of} stores, and {counted} count"),
            format!("expected `{at_least} of {counted}`: each `[[store]]` without `required` counts"),
        ));
    }
    let most = usize::try_from(at_least).unwrap_or(usize::MAX);
    if at_least == 0 || most > of {
        return Err((format!("`{text}` cannot be reached"), format!("expected a number from 1 to {of}")));
    }
    if most * 2 <= of && required == 0 {
        return Err((
            format!("`{text}` lets two trains of one branch be released at once, each in stores of its own"),
            format!("expected at least `{} of {of}`, or `required = true` for one store", of / 2 + 1),
        ));
    }
    Ok(at_least)
}

#[cfg(test)]
mod tests {
    use super::judge;

    #[test]
    fn a_quorum_is_more_than_half() {
        assert_eq!(judge("2 of 3", 3, 0), Ok(2));
        assert_eq!(judge("1 of 3", 3, 1), Ok(1), "a store that every train needs keeps them apart");
        assert_eq!(judge("3 of 3", 3, 0), Ok(3));
        let refused = |text: &str, counted, hint: &str| {
            let (message, expected) = judge(text, counted, 0).unwrap_err();
            assert!(expected.contains(hint), "{text}: {message}; {expected}");
        };
        refused("1 of 3", 3, "at least `2 of 3`");
        refused("2 of 4", 4, "at least `3 of 4`");
        refused("4 of 3", 3, "from 1 to 3");
        refused("0 of 3", 3, "from 1 to 3");
        refused("2 of 3", 2, "`2 of 2`");
        for other in ["2", "two of 3", "2of3", "", "-1 of 3"] {
            refused(other, 3, "expected `2 of 3`");
        }
    }
}
