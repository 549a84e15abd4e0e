//! The head of a chain: its last link, and the lock under which the next ones are made.

use tokio_postgres::{Client, Error, Row};

use super::link::key_check;
use super::{Hash, Link};
use crate::config::ChainKey;
use crate::error::WorkerError;

/// How many links are written in one statement.
const LINKS_AT_ONCE: usize = 1_000;

/// Whether there is a chain at all: none before setup has made its tables.
const IS_THERE: &str = "SELECT pg_catalog.to_regclass('bemi.chain_heads') IS NOT NULL";

const SELECT: &str = "\
SELECT is_wanted, is_covering, number, hash, key_check FROM bemi.chain_heads WHERE slot = $1";

/// What is known of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HeadState {
    /// Whether setup was told to cover what is stored.
    pub(crate) is_wanted: bool,
    /// Whether what is stored is covered.
    pub(crate) is_covering: bool,
    /// The last link's number; 0 before there is any.
    pub(crate) number: i64,
    pub(crate) hash: Option<Vec<u8>>,
    /// What tells the key, where links are made with one.
    pub(crate) key_check: Option<Vec<u8>>,
}

/// The head, locked until the transaction ends: links are made by one at a time.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) state: HeadState,
    slot: String,
}

impl HeadState {
    /// What there is; `None` where tamper evidence was never turned on.
    ///
    /// # Errors
    ///
    /// Those of the destination.
    pub(crate) async fn read(client: &Client, slot: &str) -> Result<Option<Self>, Error> {
        let is_there: bool = client.query_one(IS_THERE, &[]).await?.try_get(0)?;
        if !is_there {
            return Ok(None);
        }
        client.query_opt(SELECT, &[&slot]).await?.as_ref().map(Self::of).transpose()
    }

    fn of(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            is_wanted: row.try_get(0)?,
            is_covering: row.try_get(1)?,
            number: row.try_get(2)?,
            hash: row.try_get(3)?,
            key_check: row.try_get(4)?,
        })
    }

    /// Whether links are to be made with this key, or can be from now on.
    ///
    /// # Errors
    ///
    /// [`WorkerError::ChainKey`] when they are made with another one.
    pub(crate) fn check_key(&self, slot: &str, key: Option<&ChainKey>) -> Result<(), WorkerError> {
        let why = match (&self.key_check, key) {
            (None, _) => return Ok(()),
            (Some(check), Some(key)) if check.as_slice() == key_check(key).as_slice() => {
                return Ok(());
            }
            (Some(_), Some(_)) => "the key that is given is another one",
            (Some(_), None) => "none is given",
        };
        Err(WorkerError::ChainKey { slot: slot.to_owned(), why })
    }

    /// Whether this key would be the chain's first one.
    pub(crate) fn gets_key(&self, key: Option<&ChainKey>) -> bool {
        self.key_check.is_none() && key.is_some()
    }
}

impl Head {
    /// Locks the head of the chain of `slot`, in the transaction that is open.
    ///
    /// # Errors
    ///
    /// Those of the destination; that there is no chain is one.
    pub(crate) async fn lock(client: &Client, slot: &str) -> Result<Self, Error> {
        let row = client.query_one(&format!("{SELECT} FOR UPDATE"), &[&slot]).await?;
        Ok(Self { state: HeadState::of(&row)?, slot: slot.to_owned() })
    }
}

/// Adds links to the chain, and moves its head, in the transaction that is open.
///
/// # Errors
///
/// Those of the destination.
pub(crate) async fn append(
    client: &Client,
    head: &mut Head,
    key: Option<&ChainKey>,
    links: &[Link],
) -> Result<(), Error> {
    if links.is_empty() {
        return Ok(());
    }
    let mut previous: Option<Hash> =
        head.state.hash.as_deref().and_then(|hash| hash.try_into().ok());
    for links in links.chunks(LINKS_AT_ONCE) {
        let first = head.state.number + 1;
        let mut hashes: Vec<Vec<u8>> = Vec::with_capacity(links.len());
        for link in links {
            head.state.number += 1;
            let hash = link.hash(&head.slot, head.state.number, previous.as_ref(), key);
            hashes.push(hash.to_vec());
            previous = Some(hash);
        }
        insert(client, &head.slot, first, links, &hashes, key.is_some()).await?;
    }
    head.state.hash = previous.map(|hash| hash.to_vec());
    head.state.key_check = key.map(|key| key_check(key).to_vec());
    let HeadState { is_covering, number, hash, key_check, .. } = &head.state;
    client
        .execute(
            "UPDATE bemi.chain_heads \
             SET is_covering = $2, number = $3, hash = $4, key_check = $5 WHERE slot = $1",
            &[&head.slot, is_covering, number, hash, key_check],
        )
        .await?;
    Ok(())
}

async fn insert(
    client: &Client,
    slot: &str,
    first: i64,
    links: &[Link],
    hashes: &[Vec<u8>],
    is_keyed: bool,
) -> Result<(), Error> {
    let covered = |value: fn(&super::link::Covered) -> i64| -> Vec<Option<i64>> {
        links.iter().map(|link| link.covered.as_ref().map(value)).collect()
    };
    let kinds: Vec<&str> = links.iter().map(|link| link.kind.text()).collect();
    let days: Vec<_> = links.iter().map(|link| link.day).collect();
    let counts: Vec<Option<i32>> =
        links.iter().map(|link| link.covered.as_ref().map(|covered| covered.row_count)).collect();
    let digests: Vec<Option<&[u8]>> = links
        .iter()
        .map(|link| link.covered.as_ref().map(|covered| covered.digest.as_slice()))
        .collect();
    let notes: Vec<Option<&str>> = links.iter().map(|link| link.note.as_deref()).collect();
    let made_at: Vec<_> = links.iter().map(|link| link.made_at).collect();
    client
        .execute(
            "INSERT INTO bemi.chain (slot, number, kind, day, first_commit_position, \
                 first_sequence, last_commit_position, last_sequence, row_count, piece, \
                 rows_digest, note, is_keyed, made_at, hash) \
             SELECT $1, $2 + l.nr - 1, l.kind, l.day, l.first_commit, l.first_sequence, \
                    l.last_commit, l.last_sequence, l.row_count, l.piece, l.rows_digest, l.note, $3, l.made_at, l.hash \
             FROM ROWS FROM (unnest($4::text[]), unnest($5::date[]), unnest($6::bigint[]), \
                  unnest($7::bigint[]), unnest($8::bigint[]), unnest($9::bigint[]), \
                  unnest($10::integer[]), unnest($11::bigint[]), unnest($12::text[]), \
                  unnest($13::timestamptz[]), unnest($14::bytea[]), unnest($15::bytea[])) WITH ORDINALITY \
                  AS l (kind, day, first_commit, first_sequence, last_commit, last_sequence, \
                        row_count, piece, note, made_at, hash, rows_digest, nr)",
            &[
                &slot,
                &first,
                &is_keyed,
                &kinds,
                &days,
                &covered(|covered| covered.first.commit_position),
                &covered(|covered| covered.first.sequence),
                &covered(|covered| covered.last.commit_position),
                &covered(|covered| covered.last.sequence),
                &counts,
                &covered(|covered| covered.piece),
                &notes,
                &made_at,
                &hashes,
                &digests,
            ],
        )
        .await?;
    Ok(())
}
