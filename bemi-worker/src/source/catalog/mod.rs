//! What only the catalog knows: keys, types, and the rules for columns.
//!
//! The catalog is as it is now, the stream is of the past. So what is read here comes with the stretch of
//! the WAL in which it is known to hold ([`validity`]); outside of it, rows are rendered without it.

mod encoding;
mod key;
mod types;
mod validity;

use std::time::Duration;

use bemi_core::{Lsn, TransactionId};
use bytes::Bytes;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row, Statement};
use tracing::warn;

use self::encoding::Encoding;
use self::key::{Doubt, KEY, Key, TableNow, key_of};
use self::types::{TYPES, Types};
use self::validity::{Moment, Readings};
use super::SlotState;
use super::rules::AppliedRules;
use crate::config::{MaskKey, SlotName};
use crate::decode::Relation;
use crate::error::WorkerError;
use crate::render::{CatalogFacts, Table};
use crate::stitch::TableEvent;

/// How long to wait before looking again for a transaction.
const VISIBLE_PAUSE_MIN: Duration = Duration::from_millis(1);
const VISIBLE_PAUSE_MAX: Duration = Duration::from_millis(100);

/// The source's catalog, by a connection of its own.
pub(crate) struct Catalog {
    client: Client,
    slot: SlotName,
    statements: Statements,
    encoding: Encoding,
    rules: AppliedRules,
    mask_key: Option<MaskKey>,
    /// Since when keys and composite types hold that have been read, by the oid of table and type.
    keys: Readings,
    composites: Readings,
}

impl Catalog {
    /// Reads the rules for columns; `mask_key` is what hashes are made with, if any. `slot` is where the
    /// rows come from: what is older than all that it still has to send is certain.
    ///
    /// # Errors
    ///
    /// [`WorkerError`] when the source fails, setup did not run, or there is no key and a rule asks
    /// for it.
    pub(crate) async fn open(
        client: Client,
        slot: SlotName,
        mask_key: Option<MaskKey>,
    ) -> Result<Self, WorkerError> {
        let rules = AppliedRules::read(&client, mask_key.as_ref()).await?;
        let failed = || WorkerError::database("prepare to read the catalog of the source");
        // The server takes these questions for large ones, and compiling one takes longer than any answer.
        client.batch_execute("SET jit = off").await.map_err(failed())?;
        let statements = Statements::prepare(&client).await.map_err(failed())?;
        let encoding = Encoding::read(&client).await.map_err(failed())?;
        Ok(Self {
            client,
            slot,
            statements,
            encoding,
            rules,
            mask_key,
            keys: Readings::default(),
            composites: Readings::default(),
        })
    }

    /// The connection.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// The server process that streams from the slot, if one does.
    ///
    /// # Errors
    ///
    /// Those of the query.
    pub(crate) async fn streaming_process(&self) -> Result<Option<i32>, tokio_postgres::Error> {
        let slot = SlotState::read(&self.client, &self.slot).await?;
        Ok(slot.and_then(|slot| slot.active_process))
    }

    /// Waits until what a transaction of the stream did to the catalog can be seen. The stream has a
    /// commit as soon as it is in the WAL; others see it a moment later, and where it waits for a
    /// synchronous standby, after as long as that takes.
    ///
    /// # Errors
    ///
    /// [`WorkerError`] when the source fails.
    pub(crate) async fn wait_until_visible(&self, id: TransactionId) -> Result<(), WorkerError> {
        let mut pause = VISIBLE_PAUSE_MIN;
        loop {
            let row = self
                .client
                .query_one(&self.statements.is_visible, &[&i64::from(id.0)])
                .await
                .map_err(WorkerError::database("look for a transaction in the source"))?;
            let visible = row
                .try_get(0)
                .map_err(WorkerError::database("look for a transaction in the source"))?;
            if visible {
                return Ok(());
            }
            tokio::time::sleep(pause).await;
            pause = VISIBLE_PAUSE_MAX.min(pause * 2);
        }
    }

    /// Completes a table of the stream.
    ///
    /// # Errors
    ///
    /// [`WorkerError`] when the source fails.
    pub(crate) async fn table(&mut self, relation: Relation) -> Result<Table, WorkerError> {
        let oids = relation.columns.iter().map(|column| column.type_oid).collect();
        let read = WorkerError::database("read a table in the catalog of the source");
        let (moment, types, now) = self.read(oids, Some(relation.oid)).await.map_err(read)?;

        let key = key_of(&relation, &now, &mut self.keys, &moment);
        warn_of_key(&relation, &key);
        let kinds = relation.columns.iter().map(|column| types.kind(column.type_oid)).collect();
        let mut table = Table::new(relation, CatalogFacts { key: key.columns, kinds });
        self.rules.apply(&mut table);
        if table.hides_key() {
            warn!(
                schema = table.schema,
                table = table.name,
                "a column of the key is masked; changes of the table have no primary_key"
            );
        }
        Ok(table)
    }

    /// Reads again what types are made of that may have been altered, and tells the tables: no
    /// description of a table in the stream says so.
    ///
    /// # Errors
    ///
    /// [`WorkerError`] when the source fails.
    pub(crate) async fn read_types<'t>(
        &mut self,
        tables: impl Iterator<Item = &'t mut Table>,
    ) -> Result<(), WorkerError> {
        let mut tables: Vec<_> = tables.filter(|table| table.may_change()).collect();
        let oids = tables.iter().flat_map(|table| table.types()).collect();
        let read = WorkerError::database("read types in the catalog of the source");
        let (_, types, _) = self.read(oids, None).await.map_err(read)?;
        for table in &mut tables {
            table.set_kinds(|oid| types.kind(oid));
        }
        Ok(())
    }

    /// Reads the rules for columns again, and applies them to tables that are known.
    ///
    /// # Errors
    ///
    /// [`WorkerError`] when the source fails, or there is no key and a rule asks for it.
    pub(crate) async fn read_rules<'t>(
        &mut self,
        tables: impl Iterator<Item = &'t mut Table>,
    ) -> Result<(), WorkerError> {
        self.rules = AppliedRules::read(&self.client, self.mask_key.as_ref()).await?;
        tables.for_each(|table| self.rules.apply(table));
        Ok(())
    }

    /// Takes out of a table's event what the rules hide.
    pub(crate) fn hide(&self, event: &mut TableEvent) {
        self.rules.hide(event);
    }

    /// The content of a message in UTF-8. The stream has rows in UTF-8, but messages in the encoding of
    /// the database.
    ///
    /// # Errors
    ///
    /// [`WorkerError`] when the source fails.
    pub(crate) async fn to_utf8(&self, content: Bytes) -> Result<Bytes, WorkerError> {
        self.encoding
            .to_utf8(&self.client, content)
            .await
            .map_err(WorkerError::database("convert a message in the source"))
    }

    /// Leaves a heartbeat in the WAL: the stream has everything that committed before, when it has
    /// come to the returned position.
    ///
    /// # Errors
    ///
    /// [`WorkerError`] when the source fails.
    pub(crate) async fn heartbeat(&self) -> Result<Lsn, WorkerError> {
        let row = self
            .client
            .query_one(
                "SELECT (pg_logical_emit_message(true, '_bemi_heartbeat', '') - '0/0')::bigint",
                &[],
            )
            .await
            .map_err(WorkerError::database("leave a heartbeat in the source"))?;
        position(&row).map_err(WorkerError::database("leave a heartbeat in the source"))
    }

    /// Reads types and a table's key, in one round trip. The order of the queries is what makes the
    /// moment: each has its own snapshot.
    async fn read(
        &mut self,
        types: Vec<u32>,
        table: Option<u32>,
    ) -> Result<(Moment, Types, TableNow), tokio_postgres::Error> {
        let Self { client, statements, slot, .. } = self;
        let of_slot: [&(dyn ToSql + Sync); 1] = [&slot.as_str()];
        let of_types: [&(dyn ToSql + Sync); 1] = [&types];
        let of_table: [&(dyn ToSql + Sync); 1] = [&table];
        let (before, moment, types, key, after) = tokio::try_join!(
            biased;
            client.query_one(&statements.position, &[]),
            client.query_one(&statements.moment, &of_slot),
            client.query(&statements.types, &of_types),
            client.query_opt(&statements.key, &of_table),
            client.query_one(&statements.position, &[]),
        )?;
        let moment = Moment {
            before: position(&before)?,
            after: position(&after)?,
            next: id(moment.try_get(0)?),
            running: ids(moment.try_get(1)?),
            horizon: moment.try_get::<_, Option<i64>>(2)?.map(id),
            locks: moment
                .try_get::<_, Vec<u32>>(3)?
                .into_iter()
                .zip(ids(moment.try_get(4)?))
                .collect(),
        };
        let types = Types::read(&types, &moment, &mut self.composites)?;
        Ok((moment, types, TableNow::read(key.as_ref())?))
    }
}

fn warn_of_key(relation: &Relation, key: &Key) {
    let Some(doubt) = key.doubt else { return };
    let (schema, table) = (&relation.schema, &relation.name);
    let since = key.columns.holds().start();
    match doubt {
        Doubt::Altered => warn!(
            schema, table, %since,
            "the key of the table was altered, nobody knows where in the WAL; changes before it was \
             found have no primary_key"
        ),
        Doubt::Another => {
            warn!(
                schema,
                table, "the table had another key at the time; changes have no primary_key"
            );
        }
        Doubt::Gone => warn!(schema, table, "the table is gone; its changes have no primary_key"),
    }
}

/// Queries that are made again and again.
struct Statements {
    is_visible: Statement,
    position: Statement,
    moment: Statement,
    types: Statement,
    key: Statement,
}

impl Statements {
    async fn prepare(client: &Client) -> Result<Self, tokio_postgres::Error> {
        Ok(Self {
            is_visible: client.prepare(IS_VISIBLE).await?,
            position: client.prepare(POSITION).await?,
            moment: client.prepare(MOMENT).await?,
            types: client.prepare(TYPES).await?,
            key: client.prepare(KEY).await?,
        })
    }
}

/// Whether the transaction with the 32-bit id $1 is over for everybody. Its epoch is that of the newest
/// id, or the one before; an id that seems to be ahead of that one is newer still.
const IS_VISIBLE: &str = "\
SELECT age < 2147483648 AND pg_catalog.pg_visible_in_snapshot((newest - age)::text::xid8, snapshot)
FROM (SELECT snapshot, newest, (newest - $1::bigint) & 4294967295 AS age
      FROM (SELECT snapshot, pg_catalog.pg_snapshot_xmax(snapshot)::text::bigint AS newest
            FROM pg_catalog.pg_current_snapshot() AS snapshot) s) s";

const POSITION: &str = "SELECT (pg_catalog.pg_current_wal_insert_lsn() - '0/0')::bigint";

/// The id that comes next, those that have not ended, the slot's horizon; and which relations are locked
/// against everybody else, each with the ids of whoever locks it. Without an id, he has not altered
/// anything yet.
const MOMENT: &str = "\
WITH locks AS MATERIALIZED (SELECT * FROM pg_catalog.pg_locks WHERE granted),
exclusive AS MATERIALIZED (
    SELECT relation.relation, holder.transactionid::text::bigint AS id
    FROM locks relation
    JOIN locks holder ON holder.virtualtransaction = relation.virtualtransaction
    WHERE relation.locktype = 'relation' AND relation.mode = 'AccessExclusiveLock'
      AND relation.database = (SELECT d.oid FROM pg_catalog.pg_database d
                               WHERE d.datname = pg_catalog.current_database())
      AND holder.locktype = 'transactionid' AND holder.mode = 'ExclusiveLock')
SELECT pg_catalog.pg_snapshot_xmax(snapshot)::text::bigint,
       ARRAY(SELECT x::text::bigint FROM pg_catalog.pg_snapshot_xip(snapshot) AS x),
       (SELECT s.catalog_xmin::text::bigint FROM pg_catalog.pg_replication_slots s
        WHERE s.slot_name = $1),
       ARRAY(SELECT relation FROM exclusive ORDER BY relation, id),
       ARRAY(SELECT id FROM exclusive ORDER BY relation, id)
FROM pg_catalog.pg_current_snapshot() AS snapshot";

fn position(row: &Row) -> Result<Lsn, tokio_postgres::Error> {
    row.try_get(0).map(Lsn::from_bigint)
}

/// The 32 bits that rows of the catalog and the WAL have of an id.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the epoch is left out")]
fn id(full: i64) -> TransactionId {
    TransactionId(full as u32)
}

fn ids(full: Vec<i64>) -> Vec<TransactionId> {
    full.into_iter().map(id).collect()
}
