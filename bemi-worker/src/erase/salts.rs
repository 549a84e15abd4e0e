//! Removes the salts of changes that are erased, from every link that covers them as they were.
//!
//! What is left of them there is a hash over a salt that nobody has: it still is what the chain is made
//! over, and it tells nothing to whoever tries what the change may have been.

use std::collections::HashSet;

use futures_util::{StreamExt as _, pin_mut};
use tokio_postgres::{Client, Error};

use super::pages::Erased;
use crate::chain::{Piece, Place, SALT_BYTES};

/// Removes them, in the transaction that is open. `page` is in the order of commits.
///
/// # Errors
///
/// Those of the destination.
pub(super) async fn remove(client: &Client, slot: &str, page: &[Erased]) -> Result<(), Error> {
    let ids: HashSet<_> = page.iter().map(|change| change.id).collect();
    for piece in pieces(client, slot, page).await? {
        let row = client
            .query_opt("SELECT rows, salts FROM bemi.chain_rows WHERE piece = $1", &[&piece])
            .await?;
        let Some(row) = row else { continue };
        let (rows, salts): (&[u8], &[u8]) = (row.try_get(0)?, row.try_get(1)?);
        let mut left = salts.to_vec();
        let (each, _) = left.as_chunks_mut::<SALT_BYTES>();
        for ((entry, _), salt) in Piece::entries(rows, salts).zip(each) {
            if ids.contains(&entry.id) {
                *salt = [0; SALT_BYTES];
            }
        }
        if left != salts {
            client
                .execute("UPDATE bemi.chain_rows SET salts = $2 WHERE piece = $1", &[&piece, &left])
                .await?;
        }
    }
    Ok(())
}

/// Whose rows have one of the changes among them. Links may lie over one another, so all of those days are
/// looked at; of each, where it begins and ends.
async fn pieces(client: &Client, slot: &str, page: &[Erased]) -> Result<Vec<i64>, Error> {
    let (Some(first), Some(last)) = (page.first(), page.last()) else { return Ok(Vec::new()) };
    let mut days: Vec<_> = page.iter().map(|change| change.day).collect();
    days.sort_unstable();
    days.dedup();
    let statement = client
        .prepare(
            "SELECT piece, first_commit_position, first_sequence, last_commit_position, last_sequence \
             FROM bemi.chain \
             WHERE slot = $1 AND piece IS NOT NULL AND day = ANY ($2) \
               AND (first_commit_position, first_sequence) <= ($5, $6) \
               AND (last_commit_position, last_sequence) >= ($3, $4)",
        )
        .await?;
    let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 6] = [
        &slot,
        &days,
        &first.place.commit_position,
        &first.place.sequence,
        &last.place.commit_position,
        &last.place.sequence,
    ];
    let rows = client.query_raw(&statement, parameters).await?;
    pin_mut!(rows);
    let mut pieces = Vec::new();
    while let Some(row) = rows.next().await {
        let row = row?;
        let place = |commit: usize, sequence: usize| -> Result<Place, Error> {
            Ok(Place { commit_position: row.try_get(commit)?, sequence: row.try_get(sequence)? })
        };
        let (first, last) = (place(1, 2)?, place(3, 4)?);
        let next = page.partition_point(|change| change.place < first);
        if page.get(next).is_some_and(|change| change.place <= last) {
            pieces.push(row.try_get(0)?);
        }
    }
    Ok(pieces)
}
