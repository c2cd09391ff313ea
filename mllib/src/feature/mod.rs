//! Transformations of features.

mod standard_scaler;

pub use standard_scaler::{StandardScaler, StandardScalerModel};
