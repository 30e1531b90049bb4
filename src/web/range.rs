//! Which part of a file is wanted. RFC 9110 §14.

/// The answer to a Range field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// All of it.
    Whole,
    /// From the first to the last byte, both included.
    Range(u64, u64),
    /// It has no such bytes.
    NotThere,
}

/// Reads a Range field for a file of this length. What cannot be understood, and more than one range, is ignored, as RFC 9110
/// §14.2 allows.
pub(super) fn part(field: Option<&str>, length: u64) -> Part {
    let Some((first, last)) = field.and_then(|field| field.strip_prefix("bytes=")).and_then(|set| set.split_once('-'))
    else {
        return Part::Whole;
    };
    let (first, last) = (first.trim(), last.trim());
    let end = length.saturating_sub(1);
    match (number(first), number(last)) {
        // The last so many bytes.
        (None, Some(count)) if first.is_empty() => {
            if count == 0 || length == 0 {
                return Part::NotThere;
            }
            Part::Range(length.saturating_sub(count), end)
        }
        (Some(first), _) if last.is_empty() => from_to(first, end, length),
        (Some(first), Some(last)) if first <= last => from_to(first, last.min(end), length),
        _ => Part::Whole,
    }
}

fn from_to(first: u64, last: u64, length: u64) -> Part {
    if first < length { Part::Range(first, last) } else { Part::NotThere }
}

fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // A number too large for us is larger than any file.
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_is_understood_and_nonsense_ignored() {
        for (field, expected) in [
            ("bytes=0-499", Part::Range(0, 499)),
            ("bytes=500-999", Part::Range(500, 999)),
            ("bytes=500-", Part::Range(500, 999)),
            ("bytes=999-", Part::Range(999, 999)),
            ("bytes=0-99999999999999999999999", Part::Range(0, 999)),
            ("bytes=-500", Part::Range(500, 999)),
            ("bytes=-5000", Part::Range(0, 999)),
            ("bytes=1000-", Part::NotThere),
            ("bytes=1000-1001", Part::NotThere),
            ("bytes=99999999999999999999999-", Part::NotThere),
            ("bytes=-0", Part::NotThere),
            ("bytes=5-4", Part::Whole),
            ("bytes=-", Part::Whole),
            ("bytes=a-b", Part::Whole),
            ("bytes=+1-2", Part::Whole),
            ("bytes=0-1,3-4", Part::Whole),
            ("bytes=--1", Part::Whole),
            ("lines=1-2", Part::Whole),
            ("", Part::Whole),
        ] {
            assert_eq!(part(Some(field), 1000), expected, "{field}");
        }
        assert_eq!(part(None, 1000), Part::Whole);
        for field in ["bytes=0-", "bytes=-1", "bytes=0-0"] {
            assert_eq!(part(Some(field), 0), Part::NotThere);
        }
    }
}
