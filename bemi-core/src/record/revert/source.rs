//! Asking the source what it may refuse to answer.

use super::RevertError;
use crate::record::{Database, RecordError, Sql};

/// Classes of errors that come from values and types: data, constraints, names, and what is not
/// supported.
const ABOUT_VALUES: [&str; 4] = ["22", "23", "42", "0A"];

/// Asks; `None` where the server says that the values do not fit the types.
pub(super) async fn attempt<S: Database>(
    source: &mut S,
    doing: &'static str,
    sql: &Sql,
) -> Result<Option<Vec<String>>, RevertError<S::Error>> {
    let failed = |source| RecordError::Database { doing, source };
    source.execute(&Sql::new("SAVEPOINT bemi_revert_try")).await.map_err(failed)?;
    match source.query(sql).await {
        Ok(rows) => {
            source.execute(&Sql::new("RELEASE SAVEPOINT bemi_revert_try")).await.map_err(failed)?;
            Ok(Some(rows))
        }
        Err(error) => {
            let state = S::sqlstate(&error);
            // 42501 is a privilege that is missing.
            let about_values = state.is_some_and(|state| {
                ABOUT_VALUES.iter().any(|class| state.starts_with(class)) && state != "42501"
            });
            if !about_values {
                return Err(failed(error).into());
            }
            for sql in
                ["ROLLBACK TO SAVEPOINT bemi_revert_try", "RELEASE SAVEPOINT bemi_revert_try"]
            {
                source.execute(&Sql::new(sql)).await.map_err(failed)?;
            }
            Ok(None)
        }
    }
}
