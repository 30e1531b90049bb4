//! From older schemas to the present one, a step for each version. A step may be cut off anywhere and begins again at the next
//! start, because the version is stamped only when all steps are on the disk: what it does twice must come to the same.
//!
//! A new schema: raise `schema::VERSION`, say there what changed, and append a step to [`STEPS`]. Steps stay for ever, and read
//! the records of their time with types of their own.

use super::schema::Trees;

/// Brings the data from one schema version to the next.
pub(super) type Step = fn(&Trees) -> sled::Result<()>;

/// The first leads from schema 1 to 2, and so on.
#[cfg(not(feature = "next-schema"))]
pub(super) const STEPS: &[Step] = &[];
/// The next schema as the installation test plays it: all accounts are written again, as if they had changed.
#[cfg(feature = "next-schema")]
pub(super) const STEPS: &[Step] = &[|trees| {
    for account in &trees.accounts {
        let (address, record) = account?;
        trees.accounts.insert(address, record)?;
    }
    Ok(())
}];

/// The oldest schema there is.
const OLDEST: u32 = 1;

/// The steps that lead from schema `found` to the one behind the last of them. `None`: no program ever wrote such a schema.
pub(super) fn steps_from(found: u32, steps: &[Step]) -> Option<&[Step]> {
    steps.get(usize::try_from(found.checked_sub(OLDEST)?).ok()?..)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::schema::VERSION;

    #[test]
    fn there_is_a_step_to_every_schema_and_none_from_what_never_was() {
        assert_eq!(STEPS.len() as u32, VERSION - OLDEST);
        assert_eq!(steps_from(VERSION, STEPS).map(<[Step]>::len), Some(0));
        let three: [Step; 3] = [|_| Ok(()); 3];
        let left = |found| steps_from(found, &three).map(<[Step]>::len);
        let expected = [None, Some(3), Some(2), Some(1), Some(0), None];
        assert_eq!([0, 1, 2, 3, 4, 5].map(left), expected);
    }
}
