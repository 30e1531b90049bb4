//! The published test vectors, and the texts with every way to spoil them.

mod texts;
mod vectors;
