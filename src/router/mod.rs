//! (The router's contract; its decisions follow.)

mod storage;

pub use storage::{OfflineId, OfflineMessage, Storage, StorageFault, Ticket};
