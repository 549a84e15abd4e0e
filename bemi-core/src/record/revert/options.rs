//! How a revert is to be made.

use std::fmt;
use std::str::FromStr;

use serde_json::Value;

use crate::Context;

/// What becomes of a plan that has conflicts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnConflict {
    /// Nothing is written.
    #[default]
    Abort,
    /// The rows concerned are left as they are, and so are those that cannot go back without them.
    Skip,
    /// The values of before are written whatever is there now, where a statement can be made at all.
    /// What would break a foreign key or what the record does not tell stays a conflict.
    Force,
}

/// The text says none of the ways.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no way to deal with conflicts; known are abort, skip and force")]
pub struct UnknownOnConflict(String);

impl OnConflict {
    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Abort => "abort",
            Self::Skip => "skip",
            Self::Force => "force",
        }
    }
}

impl FromStr for OnConflict {
    type Err = UnknownOnConflict;

    fn from_str(text: &str) -> Result<Self, UnknownOnConflict> {
        [Self::Abort, Self::Skip, Self::Force]
            .into_iter()
            .find(|way| way.as_str() == text)
            .ok_or_else(|| UnknownOnConflict(text.to_owned()))
    }
}

impl fmt::Display for OnConflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How a revert is to be made, and what its own context says.
///
/// ```
/// use bemi_core::record::{OnConflict, RevertOptions};
///
/// let options = RevertOptions::new().on_conflict(OnConflict::Skip).reason("ticket 4711").user("ana");
/// ```
#[derive(Clone, Debug)]
pub struct RevertOptions {
    pub(super) on_conflict: OnConflict,
    pub(super) context: Context,
    pub(super) locks: bool,
}

impl Default for RevertOptions {
    fn default() -> Self {
        Self { on_conflict: OnConflict::Abort, context: Context::new(), locks: true }
    }
}

impl RevertOptions {
    /// Abort on conflicts; the context says nothing but what is reverted.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What becomes of conflicts.
    #[must_use]
    pub fn on_conflict(mut self, way: OnConflict) -> Self {
        self.on_conflict = way;
        self
    }

    /// Why, as the field `reason` of the context.
    #[must_use]
    pub fn reason(self, reason: impl Into<String>) -> Self {
        self.field("reason", reason.into())
    }

    /// Who, as the field `user` of the context.
    #[must_use]
    pub fn user(self, user: impl Into<String>) -> Self {
        self.field("user", user.into())
    }

    /// Any other field of the context, such as the `user_id` that an application has in its own. The
    /// field `revert_of` is the plan's.
    #[must_use]
    pub fn field(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.context.insert(key, value);
        self
    }

    /// Whether the plan locks the rows that it is about, as it does if nothing is said. Without locks
    /// a plan can be made where nothing can be written, as on a standby; it is for looking at.
    #[must_use]
    pub fn locking(mut self, locks: bool) -> Self {
        self.locks = locks;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_is_written_as_it_is_read() {
        for way in ["abort", "skip", "force"] {
            assert_eq!(way.parse::<OnConflict>().unwrap().to_string(), way);
        }
        assert!("Abort".parse::<OnConflict>().is_err());
    }
}
