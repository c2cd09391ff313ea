//! State that stays with a partition while a training runs: topic assignments, factors of the partition's own users.
//!
//! It lives on the worker that computes the partition, is never sent, and is part of every snapshot.

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// The state of one partition, its type erased.
pub(crate) type Local = Box<dyn Any + Send>;

/// States of partitions of this process, between the runs of a training.
pub(crate) type Locals = Arc<Mutex<BTreeMap<usize, Local>>>;

/// How states begin, and how they are written and read.
pub(crate) struct LocalKind<T> {
    pub init: Arc<dyn Fn(usize, &[T]) -> Local + Send + Sync>,
    pub encode: fn(&dyn Any) -> Vec<u8>,
    pub decode: fn(&[u8]) -> Result<Local, String>,
    /// There is nothing in a state, as in a training without any, so that none can be lost.
    pub is_empty: bool,
}

impl<T> Clone for LocalKind<T> {
    fn clone(&self) -> Self {
        LocalKind {
            init: self.init.clone(),
            encode: self.encode,
            decode: self.decode,
            is_empty: self.is_empty,
        }
    }
}

impl<T> LocalKind<T> {
    pub fn new<S: Serialize + DeserializeOwned + Send + 'static>(
        init: impl Fn(usize, &[T]) -> S + Send + Sync + 'static,
    ) -> Self {
        LocalKind {
            init: Arc::new(move |partition, records| Box::new(init(partition, records))),
            encode: |local| {
                let state = local.downcast_ref::<S>().expect("states of a training have one type");
                postcard::to_stdvec(state).expect("a state can be written")
            },
            decode: |bytes| {
                let state: S = postcard::from_bytes(bytes).map_err(|e| e.to_string())?;
                Ok(Box::new(state))
            },
            is_empty: size_of::<S>() == 0,
        }
    }
}
