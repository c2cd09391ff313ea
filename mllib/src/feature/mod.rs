//! Transformations of features.

pub mod distance_metric;
mod standard_scaler;

pub use distance_metric::{DistanceMetricModel, DistanceMetricParams};
pub use standard_scaler::{StandardScaler, StandardScalerModel};
