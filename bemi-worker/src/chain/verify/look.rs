//! A change, looked at alone: both what is stored and what links say of it, in one snapshot.

use bemi_core::changes_table::TABLE;
use jiff::civil::Date;
use postgres_protocol::escape::escape_identifier;
use tokio_postgres::{Client, Error};
use uuid::Uuid;

use crate::chain::{Kind, Piece, Place, digest_of, leaf};

/// What a closer look shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is as it was stored, or as an erasure left it.
    Fine {
        is_erased: bool,
    },
    Altered,
    Missing,
    Inserted,
    /// Neither is it there, nor should it be.
    Gone,
}

/// A change that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) verdict: Verdict,
    /// The newest link that says something of it.
    pub(super) link: Option<i64>,
    /// Where it is, and of what, if it is there.
    pub(super) place: Option<Place>,
    pub(super) table: Option<String>,
    pub(super) operation: Option<String>,
}

/// Looks at the change of that id and UTC day, and at what links say of it for `place`: those of the slot
/// behind the number that is given with it.
///
/// # Errors
///
/// Those of the destination.
pub(super) async fn look(
    client: &Client,
    slot: (&str, i64),
    schema: &str,
    id: Uuid,
    day: Date,
    place: Place,
) -> Result<Seen, Error> {
    client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    let seen = look_at(client, slot, schema, id, day, place).await?;
    client.batch_execute("COMMIT").await?;
    Ok(seen)
}

async fn look_at(
    client: &Client,
    slot: (&str, i64),
    schema: &str,
    id: Uuid,
    day: Date,
    place: Place,
) -> Result<Seen, Error> {
    let (slot, pruned_to) = slot;
    let changes = client
        .query(
            &format!(
                "SELECT c.commit_position, c.sequence, c.schema || '.' || c.\"table\", c.operation, {} \
                 FROM {}.{TABLE} AS c \
                 WHERE c.id = $1 AND c.committed_at >= $2::date::timestamp AT TIME ZONE 'UTC' \
                   AND c.committed_at < ($2::date + 1)::timestamp AT TIME ZONE 'UTC'",
                digest_of("c"),
                escape_identifier(schema)
            ),
            &[&id, &day],
        )
        .await?;
    let links = client
        .query(
            "SELECT l.number, l.kind, r.rows, r.salts \
             FROM bemi.chain AS l JOIN bemi.chain_rows AS r ON r.piece = l.piece \
             WHERE l.slot = $1 AND l.day = $2 AND l.number > $5 \
               AND l.number <= (SELECT h.number FROM bemi.chain_heads AS h WHERE h.slot = $1) \
               AND (l.first_commit_position, l.first_sequence) <= ($3, $4) \
               AND (l.last_commit_position, l.last_sequence) >= ($3, $4) \
             ORDER BY l.number DESC",
            &[&slot, &day, &place.commit_position, &place.sequence, &pruned_to],
        )
        .await?;
    let mut newest = None;
    let mut is_erased = false;
    for link in &links {
        let (rows, salts) = (link.try_get(2)?, link.try_get(3)?);
        let found = Piece::entries(rows, salts).find(|(entry, _)| entry.id == id);
        if let Some((entry, salt)) = found {
            let number: i64 = link.try_get(0)?;
            is_erased |= link.try_get::<_, &str>(1)? == Kind::Erased.text();
            newest.get_or_insert((number, entry, salt));
        }
    }
    let mut seen = Seen {
        verdict: Verdict::Gone,
        link: newest.map(|(number, ..)| number),
        place: None,
        table: None,
        operation: None,
    };
    if let Some(row) = changes.first() {
        seen.place = Some(Place { commit_position: row.try_get(0)?, sequence: row.try_get(1)? });
        seen.table = row.try_get(2)?;
        seen.operation = row.try_get(3)?;
    }
    seen.verdict = match (changes.as_slice(), newest) {
        ([], None) => Verdict::Gone,
        ([], Some(_)) => Verdict::Missing,
        ([row], Some((_, entry, salt))) => {
            let digest: &[u8] = row.try_get(4)?;
            let is_fine = seen.place == Some(entry.place)
                && leaf(&salt.unwrap_or_default(), digest) == entry.leaf;
            if is_fine { Verdict::Fine { is_erased } } else { Verdict::Altered }
        }
        // Of one id there is one change.
        _ => Verdict::Inserted,
    };
    Ok(seen)
}
