//! Simulations of the ordering of epochs, with the core that ships: clean runs, silent and double voters, churn, partitions,
//! crashes, withheld texts, and attackers that search. Everything follows from seeds.
//!
//! A reduced number of runs is part of the tests; `tests/simulate` plays all of them and prints the table that is kept in
//! `tests/vote_simulation/README.md`. `KONTALK_SEED` shifts all seeds.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod attack;
mod dice;
mod scenarios;
mod search;
mod world;
