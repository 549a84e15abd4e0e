//! What verifying found.

use std::fmt;

use bemi_core::Lsn;
use serde::Serialize;

/// What verifying found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct VerifyReport {
    /// The slot whose changes were verified.
    pub slot: String,
    /// Whether what is stored now is covered.
    pub is_covering: bool,
    /// Whether links were verified by the key. Without one, whoever may write to the destination can make
    /// the whole chain anew, and only a head that was kept elsewhere shows it.
    pub is_keyed: bool,
    /// The last link. Kept elsewhere, it shows later that the chain still has it.
    pub head: Option<ChainHead>,
    /// How many links there are.
    pub links: u64,
    /// Changes that are as they were stored, or as an erasure left them.
    pub verified: u64,
    /// How many of these were erased.
    pub erased: u64,
    /// Changes that are older than what retention keeps: those that it has dropped, as far as links still
    /// tell of them, and those that are there until it does.
    pub expired: u64,
    /// Changes that no link covers, since they were stored while nothing was covered.
    pub uncovered: u64,
    /// Changes of other slots.
    pub others: u64,
    /// What was tampered with, the links first, then the changes in the order of commits.
    pub findings: Vec<Finding>,
    /// Whether there may be more: only so many are told.
    pub is_cut_short: bool,
}

/// A link's number and hash: `4711:9f86d0…`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ChainHead {
    /// Its number.
    pub number: i64,
    /// Its hash, in hexadecimal digits.
    pub hash: String,
}

/// Something that is not as it was stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// What kind of tampering it is.
    pub kind: FindingKind,
    /// The link that shows it.
    pub link: Option<i64>,
    /// The change that it is about.
    pub change: Option<ChangePlace>,
    /// The same for people.
    pub what: String,
}

/// A kind of tampering.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FindingKind {
    /// A change is not as it was stored.
    AlteredChange,
    /// A change that was stored is not there.
    MissingChange,
    /// A change is there that was not stored by the worker.
    InsertedChange,
    /// A link is not as it was made, or not by the key.
    AlteredLink,
    /// Links are not there, at the beginning, in between, or at the end.
    MissingLink,
    /// What says which rows a link covers is altered or not there.
    AlteredRows,
    /// The record of an erasure is altered or not there.
    AlteredErasure,
    /// The head that was kept is not in the chain.
    OtherHead,
}

/// Which change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ChangePlace {
    /// Its id.
    pub id: String,
    /// Where its transaction committed.
    pub commit_position: Lsn,
    /// Its order in the transaction.
    pub sequence: i64,
    /// Its table, with the schema, where it is there to tell.
    pub table: Option<String>,
    /// Its operation, where it is there to tell.
    pub operation: Option<String>,
}

impl fmt::Display for ChainHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.number, self.hash)
    }
}

impl std::str::FromStr for ChainHead {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            "this is no head of a chain; `bemi-worker verify` tells one, as 4711:9f86d0…".to_owned()
        };
        let (number, hash) = text.trim().split_once(':').ok_or_else(wrong)?;
        let number = number.parse().ok().filter(|number| *number > 0).ok_or_else(wrong)?;
        let hash = hash.to_lowercase();
        if hash.len() != 64 || !hash.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        Ok(Self { number, hash })
    }
}

impl fmt::Display for ChangePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "change {} at {}, {}", self.id, self.commit_position, self.sequence)?;
        if let (Some(operation), Some(table)) = (&self.operation, &self.table) {
            write!(f, " ({operation} of {table})")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_as_it_is_told() {
        let head = ChainHead { number: 7, hash: "0f".repeat(32) };
        assert_eq!(head.to_string().parse(), Ok(head));
        for text in
            ["", "7", "7:0f", &format!("0:{}", "0f".repeat(32)), &format!("7:{}", "0g".repeat(32))]
        {
            assert!(text.parse::<ChainHead>().is_err(), "{text}");
        }
    }
}
