//! Longer chapters: what does not fit to one room. Documentation only.

pub mod kontalk;
pub mod operation;
