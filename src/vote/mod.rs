//! The democratic network: how voters' nodes agree on who belongs to it.

pub mod ordering;
