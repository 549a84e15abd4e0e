//! What became of tables, stored beside the changes.
//!
//! A message says what a table is, and not what it was. The destination knows: so what follows from both
//! is found here, such as that a name has no table any more.

use tokio_postgres::{Client, Error};

use crate::batch::PlacedEvent;
use crate::stitch::{EventColumn, EventPlace, TableEvent, TableEventKind, TableIdentity};

/// `text` and `varchar`: one becomes the other without a new value of any row.
const TEXTS: [u32; 2] = [25, 1043];

/// The last that is known of a table.
#[derive(Debug)]
struct Known {
    schema: String,
    table: String,
    columns: Vec<EventColumn>,
}

/// Stores an event, in the transaction that is open.
pub(super) async fn store(
    client: &Client,
    slot: &str,
    PlacedEvent { event, place }: &PlacedEvent,
) -> Result<(), Error> {
    let known = known(client, slot, event, place).await?;
    let (former, event) = follow(known.as_ref(), event.clone());
    // Each has room for the end of a former name before it.
    let ordinal = place.ordinal.saturating_mul(2);
    if let Some(former) = former {
        insert(client, slot, &former, place, ordinal - 1).await?;
    }
    insert(client, slot, &event, place, ordinal).await
}

/// What there is to store of an event, and of the name that the table had before, if it has another one now.
fn follow(known: Option<&Known>, mut event: TableEvent) -> (Option<TableEvent>, TableEvent) {
    let Some(known) = known else { return (None, event) };
    if (&known.schema, &known.table) != (&event.schema, &event.table) {
        let former = TableEvent {
            schema: known.schema.clone(),
            table: known.table.clone(),
            kind: TableEventKind::Untracked,
            rewritten: false,
            identity: None,
            key: None,
            columns: None,
            ..event
        };
        if event.kind == TableEventKind::Altered {
            event.kind = TableEventKind::Tracked;
        }
        return (Some(former), event);
    }
    // Some types become another one with the bytes as they are, and mean something else then.
    event.rewritten |= event.kind == TableEventKind::Altered
        && event.columns.iter().flatten().any(|column| {
            let before = known.columns.iter().find(|before| before.number == column.number);
            before.is_some_and(|before| {
                let types = [before.type_oid, column.type_oid];
                before.type_oid != column.type_oid && !types.iter().all(|t| TEXTS.contains(t))
            })
        });
    (None, event)
}

/// The last event of the relation before this place, if the table of its name is still that relation.
async fn known(
    client: &Client,
    slot: &str,
    event: &TableEvent,
    place: &EventPlace,
) -> Result<Option<Known>, Error> {
    let row = client
        .query_opt(
            "SELECT last.schema, last.\"table\", last.columns::text FROM ( \
                 SELECT * FROM bemi.table_events \
                 WHERE slot = $1 AND relation = $2 \
                   AND (commit_position, sequence, ordinal) < ($3, $4, $5) \
                 ORDER BY commit_position DESC, sequence DESC, ordinal DESC LIMIT 1 \
             ) AS last \
             WHERE last.event IN ('tracked', 'created', 'altered') AND NOT EXISTS ( \
                 SELECT FROM bemi.table_events other \
                 WHERE other.slot = $1 AND other.schema = last.schema \
                   AND other.\"table\" = last.\"table\" AND other.relation <> $2 \
                   AND (other.commit_position, other.sequence, other.ordinal) \
                       > (last.commit_position, last.sequence, last.ordinal) \
                   AND (other.commit_position, other.sequence, other.ordinal) < ($3, $4, $5))",
            &[
                &slot,
                &i64::from(event.relation),
                &place.transaction.position.0.to_bigint(),
                &place.sequence.0,
                &place.ordinal.saturating_mul(2),
            ],
        )
        .await?;
    let Some(row) = row else { return Ok(None) };
    let columns: Option<String> = row.try_get(2)?;
    let columns = columns.and_then(|json| serde_json::from_str::<Vec<EventColumn>>(&json).ok());
    Ok(Some(Known {
        schema: row.try_get(0)?,
        table: row.try_get(1)?,
        columns: columns.unwrap_or_default(),
    }))
}

/// One that has the same place, in WAL that is no more, is replaced.
async fn insert(
    client: &Client,
    slot: &str,
    event: &TableEvent,
    place: &EventPlace,
    ordinal: i32,
) -> Result<(), Error> {
    client
        .execute(
            "INSERT INTO bemi.table_events (slot, commit_position, sequence, ordinal, \
                 committed_at, schema, \"table\", relation, event, rewritten, identity, \
                 key_columns, columns) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13::text::jsonb) \
             ON CONFLICT (slot, commit_position, sequence, ordinal) DO UPDATE \
             SET committed_at = excluded.committed_at, schema = excluded.schema, \
                 \"table\" = excluded.\"table\", relation = excluded.relation, \
                 event = excluded.event, rewritten = excluded.rewritten, \
                 identity = excluded.identity, key_columns = excluded.key_columns, \
                 columns = excluded.columns",
            &[
                &slot,
                &place.transaction.position.0.to_bigint(),
                &place.sequence.0,
                &ordinal,
                &place.transaction.committed_at,
                &event.schema,
                &event.table,
                &i64::from(event.relation),
                &event.kind.text(),
                &event.rewritten,
                &event.identity.map(TableIdentity::text),
                &event.key,
                &event.columns_json(),
            ],
        )
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: &str, table: &str, type_oid: u32) -> TableEvent {
        let content = format!(
            r#"{{"event": "{kind}", "schema": "public", "table": "{table}", "relation": 7, "key": [],
                 "columns": [{{"number": 1, "name": "a", "type": "t", "type_oid": {type_oid}}}]}}"#
        );
        TableEvent::read(content.as_bytes()).unwrap()
    }

    fn known(event: TableEvent) -> Known {
        Known {
            schema: event.schema,
            table: event.table,
            columns: event.columns.unwrap_or_default(),
        }
    }

    fn kinds(before: TableEvent, now: TableEvent) -> (Option<String>, &'static str, bool) {
        let (former, event) = follow(Some(&known(before)), now);
        let former = former.map(|former| format!("{} {}", former.kind.text(), former.table));
        (former, event.kind.text(), event.rewritten)
    }

    #[test]
    fn a_table_that_nobody_knows_is_what_it_says() {
        let (former, event) = follow(None, event("altered", "t", 23));
        assert!(former.is_none() && event.kind == TableEventKind::Altered && !event.rewritten);
    }

    #[test]
    fn under_another_name_it_is_tracked_anew_and_the_former_name_has_none() {
        let former = Some("untracked a".to_owned());
        for (kind, expected) in
            [("altered", "tracked"), ("tracked", "tracked"), ("dropped", "dropped")]
        {
            let told = kinds(event("created", "a", 23), event(kind, "b", 23));
            assert_eq!(told, (former.clone(), expected, false));
        }
    }

    #[test]
    fn another_type_with_the_same_bytes_is_another_value_but_for_texts() {
        let told = |before, now| kinds(event("tracked", "t", before), event("altered", "t", now)).2;
        assert!(told(23, 26), "an integer is a number in JSON, and an oid a string");
        assert!(!told(23, 23) && !told(25, 1043) && !told(1043, 25));
    }
}
