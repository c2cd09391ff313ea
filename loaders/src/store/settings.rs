//! Names of settings, as the stores know them.

use object_store::aws::AmazonS3ConfigKey;
use object_store::azure::AzureConfigKey;
use object_store::gcp::GoogleConfigKey;
use std::str::FromStr;

/// True if some store has such a setting.
pub(super) fn is_known(name: &str) -> bool {
    name.parse::<AmazonS3ConfigKey>().is_ok()
        || name.parse::<AzureConfigKey>().is_ok()
        || name.parse::<GoogleConfigKey>().is_ok()
}

/// True if both are names of the same setting of some store.
pub(super) fn is_same(a: &str, b: &str) -> bool {
    fn same<K: FromStr + PartialEq>(a: &str, b: &str) -> bool {
        a.parse::<K>().ok().zip(b.parse::<K>().ok()).is_some_and(|(a, b)| a == b)
    }
    same::<AmazonS3ConfigKey>(a, b) || same::<AzureConfigKey>(a, b) || same::<GoogleConfigKey>(a, b)
}
