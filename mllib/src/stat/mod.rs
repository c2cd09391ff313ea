//! Summary statistics that can be merged: what is computed per partition and then combined.

mod moments;

pub use moments::{ColumnMoments, Moments};
