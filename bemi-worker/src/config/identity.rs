//! What setup does about replica identities, as `--replica-identity` and the config file say it.

use std::str::FromStr;

use serde::Deserialize;

use super::ConfigError;
use super::pattern::{TablePattern, list};

/// What goes before patterns.
const FULL: &str = "full:";

/// What setup does about tables whose old rows are not whole in the WAL.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) enum IdentityRule {
    /// It leaves the replica identity as it is.
    Keep,
    /// It sets REPLICA IDENTITY FULL on tables that match one of these.
    Full(Vec<TablePattern>),
}

impl FromStr for IdentityRule {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        match (text, text.strip_prefix(FULL)) {
            ("keep", _) => Ok(Self::Keep),
            ("full", _) => Ok(Self::Full(vec![TablePattern::everything()])),
            (_, Some(patterns)) => Ok(Self::Full(list(patterns)?)),
            _ => Err(ConfigError::ReplicaIdentity { text: text.to_owned() }),
        }
    }
}

impl TryFrom<String> for IdentityRule {
    type Error = ConfigError;

    fn try_from(text: String) -> Result<Self, ConfigError> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_is_for_all_tables_or_for_those_that_are_named() {
        let rule = |text: &str| text.parse::<IdentityRule>().unwrap();
        assert_eq!(rule("keep"), IdentityRule::Keep);
        assert_eq!(rule("full"), rule("full:*.*"));
        let IdentityRule::Full(patterns) = rule("full:todo, sales.*") else { panic!() };
        assert!(patterns[0].matches("public", "todo") && patterns[1].matches("sales", "x"));
        for text in ["", "all", "full:", "keep:todo", "full:a.b.c"] {
            assert!(text.parse::<IdentityRule>().is_err(), "{text}");
        }
    }
}
