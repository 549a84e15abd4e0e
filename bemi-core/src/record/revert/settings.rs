//! The settings under which rows have the text that the record has, and the savepoint in which they
//! hold.
//!
//! Invariant: whatever comes of it, the transaction goes on with the settings that it had.

use crate::record::{Database, Sql};

/// What the worker's sessions have, too.
pub(super) const SETTINGS: [(&str, &str); 5] = [
    ("TimeZone", "UTC"),
    ("DateStyle", "ISO"),
    ("IntervalStyle", "postgres"),
    ("bytea_output", "hex"),
    ("extra_float_digits", "1"),
];

/// SAVEPOINT outside of a transaction.
const NO_TRANSACTION: &str = "25P01";

/// A savepoint under our settings, with those of before.
#[derive(Debug)]
pub(super) struct Frame {
    before: Vec<String>,
}

impl Frame {
    /// Makes the savepoint, and the settings ours. `Ok(None)` where no transaction is open.
    pub(super) async fn enter<S: Database>(source: &mut S) -> Result<Option<Self>, S::Error> {
        if let Err(error) = source.execute(&Sql::new("SAVEPOINT bemi_revert")).await {
            let none = S::sqlstate(&error).is_some_and(|state| state == NO_TRANSACTION);
            return if none { Ok(None) } else { Err(error) };
        }
        // The old value is read before the new one is set: arguments are evaluated in their order.
        let asked: Vec<String> = SETTINGS
            .iter()
            .map(|(name, value)| {
                format!("current_setting('{name}'), set_config('{name}', '{value}', true)")
            })
            .collect();
        let sql = Sql::new(format!("SELECT jsonb_build_array({})::text", asked.join(", ")));
        match source.query(&sql).await {
            Ok(rows) => {
                let values: Vec<String> =
                    rows.first().and_then(|row| serde_json::from_str(row).ok()).unwrap_or_default();
                Ok(Some(Self { before: values.into_iter().step_by(2).collect() }))
            }
            Err(error) => {
                Self::back_out(source).await;
                Err(error)
            }
        }
    }

    /// Keeps what was done, and gives the settings back.
    pub(super) async fn leave<S: Database>(self, source: &mut S) -> Result<(), S::Error> {
        let mut sql = Sql::new("SELECT ");
        for ((name, _), before) in SETTINGS.iter().zip(self.before) {
            sql.push(&format!("set_config('{name}', "));
            sql.bind(before);
            sql.push(", true) || ");
        }
        sql.push("''");
        source.query(&sql).await?;
        source.execute(&Sql::new("RELEASE SAVEPOINT bemi_revert")).await?;
        Ok(())
    }

    /// Takes back what was done, settings included.
    pub(super) async fn undo<S: Database>(self, source: &mut S) {
        Self::back_out(source).await;
    }

    /// An error here, such as that of a connection that broke, says less than the one that led here.
    async fn back_out<S: Database>(source: &mut S) {
        for sql in ["ROLLBACK TO SAVEPOINT bemi_revert", "RELEASE SAVEPOINT bemi_revert"] {
            let _ = source.execute(&Sql::new(sql)).await;
        }
    }
}
