//! Tamper evidence, where it is asked for, or its end. Without a word about it, it stays as it is.
//!
//! Whoever stores writes the link that begins or ends it, and has the key for that. So that it begins at a
//! certain place, nobody who does not know of it may go on storing: the worker's right to write is taken,
//! and a worker that runs takes it again with its eyes open; a backfill has to end first.

use postgres_protocol::escape::escape_literal;

use super::{Action, Plan, Side};
use crate::config::Config;
use crate::setup::inspect::Found;

pub(super) fn plan(asked: Option<bool>, config: &Config, found: &Found, plan: &mut Plan) {
    let Some(is_wanted) = asked else { return };
    if is_wanted == found.destination.has_tamper_evidence {
        return;
    }
    let slot = escape_literal(config.slot.as_str());
    let what = if is_wanted {
        "cover what is stored by a chain of hashes, for tamper evidence"
    } else {
        "cover what is stored by the chain of hashes no more"
    };
    let sql = vec![
        format!(
            "DO $bemi$ BEGIN
    IF NOT pg_catalog.pg_try_advisory_xact_lock(pg_catalog.hashtextextended('bemi backfill ' || {slot}, 0)) THEN
        RAISE EXCEPTION 'a backfill of slot % is at work; wait for its end, or stop it', {slot};
    END IF;
END $bemi$"
        ),
        format!("UPDATE bemi.checkpoint SET epoch = epoch + 1 WHERE slot = {slot}"),
        format!(
            "INSERT INTO bemi.chain_heads (slot, is_wanted) VALUES ({slot}, {is_wanted}) \
             ON CONFLICT (slot) DO UPDATE SET is_wanted = excluded.is_wanted"
        ),
    ];
    plan.step(Side::Destination, what, Action::Sql(sql));
}
