//! Ratings of items by users.

use serde::{Deserialize, Serialize};

/// Ids of users and items are below this.
pub const ID_END: u32 = 1 << 31;

/// What a user thinks of an item: one known cell of a matrix of users by items.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Rating {
    /// Number of the user, below [`ID_END`].
    pub user: u32,
    /// Number of the item, below [`ID_END`].
    pub item: u32,
    /// The rating, finite, on whatever scale the data has.
    pub rating: f32,
}

impl Rating {
    /// A rating.
    pub fn new(user: u32, item: u32, rating: f32) -> Self {
        Rating { user, item, rating }
    }
}
