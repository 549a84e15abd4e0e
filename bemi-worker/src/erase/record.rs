//! The record of an erasure, in `bemi.erasures` and in the chain.
//!
//! Invariant: it does not hold the data. Values by which changes were selected are hashed: whoever has a
//! value can tell whether it was that one, and nobody else.

use bemi_core::record::TableName;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio_postgres::{Client, Error};

use super::{Columns, ContextKeys, Erasure, Target, failed};
use crate::chain::{Chained, ERASURE_DIGEST, Head, Kind, Link, Salts, append, hex, signed};
use crate::error::WorkerError;

/// Writes down that it begins; returns the record's id.
///
/// # Errors
///
/// Those of the destination.
pub(super) async fn begin(
    client: &Client,
    chained: &Chained,
    erasure: &Erasure,
    is_covered: bool,
) -> Result<i64, WorkerError> {
    let slot = chained.slot.as_str();
    let selection = selection(chained, erasure)?.to_string();
    client.batch_execute("BEGIN").await.map_err(failed)?;
    let row = client
        .query_one(
            &format!(
                "INSERT INTO bemi.erasures AS e (slot, selection, reason, erased_by, began_at) \
                 VALUES ($1, $2, $3, coalesce($4, current_user), now()) RETURNING e.id, {ERASURE_DIGEST}"
            ),
            &[&slot, &selection, &erasure.reason, &erasure.by],
        )
        .await
        .map_err(failed)?;
    let id: i64 = row.try_get(0).map_err(failed)?;
    if is_covered {
        let digest: &[u8] = row.try_get(1).map_err(failed)?;
        let note = json!({ "erasure": id, "record": hex(digest) }).to_string();
        let mut head = Head::lock(client, slot).await.map_err(failed)?;
        let links = [Link::noting(Kind::Erasure, note)];
        append(client, &mut head, chained.key.as_ref(), &links).await.map_err(failed)?;
    }
    client.batch_execute("COMMIT").await.map_err(failed)?;
    Ok(id)
}

/// Writes down that it is finished, and empties what is quarantined of a table, if that was asked for.
///
/// # Errors
///
/// Those of the destination.
pub(super) async fn finish(
    client: &Client,
    slot: &str,
    id: i64,
    quarantined: Option<&TableName>,
) -> Result<(), WorkerError> {
    let mut emptied = 0;
    if let Some(table) = quarantined {
        let sql = format!("UPDATE bemi.quarantine AS q SET raw = '' WHERE {QUARANTINED}");
        emptied = client
            .execute(&sql, &[&slot, &table.schema(), &table.table()])
            .await
            .map_err(failed)?;
    }
    let emptied = i64::try_from(emptied).unwrap_or(i64::MAX);
    client
        .execute(
            "UPDATE bemi.erasures SET finished_at = now(), quarantined = $2 WHERE id = $1",
            &[&id, &emptied],
        )
        .await
        .map_err(failed)?;
    Ok(())
}

const QUARANTINED: &str = "q.slot = $1 AND q.schema = $2 AND q.\"table\" = $3 AND q.raw <> ''";

/// How many quarantined changes of a table have bytes.
pub(super) async fn count_quarantined(
    client: &Client,
    slot: &str,
    table: &TableName,
) -> Result<i64, Error> {
    let sql = format!("SELECT count(*) FROM bemi.quarantine AS q WHERE {QUARANTINED}");
    client.query_one(&sql, &[&slot, &table.schema(), &table.table()]).await?.try_get(0)
}

/// What was selected, without the data.
fn selection(chained: &Chained, erasure: &Erasure) -> Result<Value, WorkerError> {
    let mut selection = match &erasure.target {
        Target::Record { table, key } => {
            json!({ "table": table.quoted(), "key": hidden(chained, key.as_str())? })
        }
        Target::Rows { table, column, value } => {
            json!({ "table": table.quoted(), "column": column, "value": hidden(chained, value)? })
        }
        Target::Subject(subject) => {
            json!({ "subject": subject.key, "value": hidden(chained, &subject.value)? })
        }
    };
    let columns = match &erasure.columns {
        Columns::None => Value::Null,
        Columns::AllButKey => json!("all but the key"),
        Columns::These(columns) => json!(columns),
    };
    let context = match &erasure.context {
        ContextKeys::None => Value::Null,
        ContextKeys::All => json!("all"),
        ContextKeys::These(keys) => json!(keys),
    };
    if let Some(selection) = selection.as_object_mut() {
        selection.insert("columns".to_owned(), columns);
        selection.insert("context".to_owned(), context);
        selection.insert("quarantine".to_owned(), json!(erasure.quarantine));
    }
    Ok(selection)
}

/// A hash of a value: with the key of the chain, if there is one; else with a salt beside it, so that
/// equal values do not look alike.
fn hidden(chained: &Chained, value: &str) -> Result<String, WorkerError> {
    if let Some(key) = &chained.key {
        return Ok(format!("hmac-sha256:{}", hex(&signed(key, value.as_bytes()))));
    }
    let salts = Salts::new().take(1)?;
    let salt = salts.as_flattened();
    let mut hash = Sha256::new();
    hash.update(salt);
    hash.update(value.as_bytes());
    Ok(format!("sha256:{}:{}", hex(salt), hex(&hash.finalize())))
}
