//! How values of a column are masked before they are stored, as `--mask` and `bemi.column_rules` say it.
//!
//! Invariant: a mask and its text are the same both ways.

use std::fmt;
use std::str::FromStr;

use super::ConfigError;
use super::pattern::{ColumnPattern, first_part, list};

/// What takes a fixed text.
const TEXT: &str = "text:";

/// How values of a column are masked. What is less shows less: the first one beats those behind it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Mask {
    /// The column is left out.
    Drop,
    /// A fixed text stands for every value but NULL.
    Text(String),
    /// A keyed hash stands for every value but NULL, so that equal ones stay comparable.
    Hash,
}

/// What `--mask` takes: columns, and their mask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Masking {
    pub(crate) columns: Vec<ColumnPattern>,
    pub(crate) mask: Mask,
}

impl FromStr for Mask {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        match (text, text.strip_prefix(TEXT)) {
            ("drop", _) => Ok(Self::Drop),
            ("hash", _) => Ok(Self::Hash),
            (_, Some(replacement)) if !replacement.contains('\0') => {
                Ok(Self::Text(replacement.to_owned()))
            }
            _ => Err(ConfigError::Mask { text: text.to_owned() }),
        }
    }
}

impl FromStr for Masking {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let (patterns, mask) = first_part(text, '=');
        let mask = mask.ok_or_else(|| ConfigError::Mask { text: text.to_owned() })?;
        Ok(Self { columns: list(patterns)?, mask: mask.trim_start().parse()? })
    }
}

impl fmt::Display for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Drop => f.write_str("drop"),
            Self::Hash => f.write_str("hash"),
            Self::Text(replacement) => write!(f, "{TEXT}{replacement}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masking(text: &str) -> Masking {
        text.parse().unwrap()
    }

    #[test]
    fn columns_come_before_the_first_equals_sign_and_the_mask_is_all_behind_it() {
        let one = masking("users.email=hash");
        assert_eq!(one.columns, ["users.email".parse().unwrap()]);
        assert_eq!(one.mask, Mask::Hash);
        let several = masking("phone, \"a=b,c\".\"d.e\"=text:x, y=z");
        assert_eq!(several.columns.len(), 2);
        assert!(several.columns[1].column.matches("d.e"));
        assert!(several.columns[1].table.matches("any", "a=b,c"));
        assert_eq!(several.mask, Mask::Text("x, y=z".to_owned()));
    }

    #[test]
    fn a_fixed_text_may_be_anything_and_nothing() {
        for text in ["", " ", "drop", "text:x", "ß \"x\"\n"] {
            let mask = Mask::Text(text.to_owned());
            assert_eq!(mask.to_string().parse::<Mask>().unwrap(), mask);
        }
    }

    #[test]
    fn what_is_no_mask_is_told_with_what_there_is() {
        for text in
            ["email", "email=", "email=Hash", "email=text", "email=sha", "=drop", "a=text:\0"]
        {
            assert!(text.parse::<Masking>().is_err(), "{text:?}");
        }
        let told = "email=md5".parse::<Masking>().unwrap_err().to_string();
        assert!(told.contains("md5") && told.contains("hash"), "{told}");
    }

    #[test]
    fn what_shows_less_comes_first() {
        let text = Mask::Text(String::new());
        assert!(Mask::Drop < text && text < Mask::Hash);
    }
}
