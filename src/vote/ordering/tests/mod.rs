//! The core alone: traces of messages by the paper's rules, its bounds, and crashes.

mod bench;
mod bounds;
mod crash;
mod numbers;
mod traces;
