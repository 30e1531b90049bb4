//! The published test vectors, and the texts with every way to spoil them.

mod texts;
pub(super) mod vectors;
mod visits;
