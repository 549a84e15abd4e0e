//! Which slot's changes the record is about, and up to where they are stored.

use jiff::Timestamp;
use serde::Deserialize;

use super::{Database, Record, RecordError, Sql};
use crate::Lsn;

/// What the destination knows of the slot.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Slot {
    /// The slot's name.
    pub(super) name: String,
    /// The database that it reads, as the column `database` has it.
    pub(super) database: String,
    /// The cluster of that database.
    pub(super) system_identifier: String,
    /// Everything that committed before is stored.
    pub(super) position: Lsn,
    /// When the last transaction that is stored committed.
    pub(super) committed_at: Option<Timestamp>,
    /// Whether the record is in the database that it is about.
    pub(super) is_here: bool,
}

/// Times are read and written with all their microseconds, in UTC, however the session shows them.
const SLOT: &str = "SELECT json_build_object('name', c.slot, 'database', c.database, \
     'system_identifier', c.system_identifier, 'position', c.position, \
     'committed_at', to_char(c.committed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), \
     'is_here', c.database = current_database() \
         AND c.system_identifier = (SELECT s.system_identifier::text FROM pg_control_system() AS s)\
     )::text \
     FROM bemi.checkpoint AS c";

impl<D: Database> Record<D> {
    /// The slot that was [named](Self::for_slot); else the only one, or the one that reads the database
    /// in which the record is.
    pub(super) async fn slot(&mut self) -> Result<Slot, RecordError<D::Error>> {
        self.slot_of(None).await
    }

    /// The same, of those that read this database, if one is given.
    pub(super) async fn slot_of(
        &mut self,
        database: Option<&str>,
    ) -> Result<Slot, RecordError<D::Error>> {
        let mut sql = Sql::new(SLOT);
        sql.push(" WHERE true");
        if let Some(slot) = self.slot.clone() {
            sql.push(" AND c.slot = ");
            sql.bind(slot);
        }
        if let Some(database) = database {
            sql.push(" AND c.database = ");
            sql.bind(database.to_owned());
        }
        sql.push(" ORDER BY c.slot");
        let mut all: Vec<Slot> =
            self.ask("read up to where changes are stored", "the checkpoint", &sql).await?;
        if all.len() > 1 && all.iter().filter(|slot| slot.is_here).count() == 1 {
            all.retain(|slot| slot.is_here);
        }
        match (all.pop(), all.is_empty()) {
            (Some(only), true) => Ok(only),
            (Some(last), false) => {
                all.push(last);
                let slots = all.into_iter().map(|slot| slot.name).collect();
                Err(RecordError::SeveralSlots { slots })
            }
            (None, _) => Err(RecordError::NotSetUp {
                what: match &self.slot {
                    Some(slot) => format!("the slot {slot} in bemi.checkpoint"),
                    None => "a slot in bemi.checkpoint".to_owned(),
                },
            }),
        }
    }
}
