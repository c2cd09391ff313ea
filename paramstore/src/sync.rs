//! What threads share memory by. `tests/memory_model.rs` compiles the same sources with the types of a model checker.

pub(crate) use std::sync::{Mutex, atomic};
