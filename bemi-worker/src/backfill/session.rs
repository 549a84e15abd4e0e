//! Sessions of a backfill, which last for as long as it takes.

use tokio_postgres::{Client, Error};

/// How they show in `pg_stat_activity`: by another name than the worker's, whose open transactions say
/// that it is storing.
const APPLICATION_NAME: &str = "bemi-worker backfill";

/// Lets a session take its time, whatever database and role say. Not every version has every limit.
///
/// # Errors
///
/// Those of the statements.
pub(super) async fn prepare_session(client: &Client) -> Result<(), Error> {
    client
        .batch_execute(&format!(
            "SET application_name = '{APPLICATION_NAME}'; \
             SELECT pg_catalog.set_config(name, '0', false) \
             FROM unnest(ARRAY['statement_timeout', 'idle_in_transaction_session_timeout', \
                               'idle_session_timeout', 'transaction_timeout']) AS name \
             WHERE pg_catalog.current_setting(name, true) IS NOT NULL"
        ))
        .await
}
