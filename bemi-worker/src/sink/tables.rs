//! The worker's own tables in the destination, in schema `bemi`: what it has stored, what it could
//! not, and what was lost.
//!
//! They are the state that exactly-once stands on. Nothing here is ever published.

/// The statements that create the schema and its tables where they are missing, one each.
pub(crate) const CREATE_STATEMENTS: &[&str] =
XX
/// How far the changes of one slot are stored. `position` is the end of the last stored transaction,
/// or of idle WAL behind it: replication starts there, and the slot is never acknowledged beyond it.
/// `epoch` fences: a worker that finds another epoch than its own has been replaced.
const CREATE_CHECKPOINT: &str = "\
CREATE TABLE IF NOT EXISTS bemi.checkpoint (
    slot text PRIMARY KEY,
    system_identifier text NOT NULL,
    timeline integer NOT NULL,
    database text NOT NULL,
    publications text[] NOT NULL,
    position bigint NOT NULL,
    commit_position bigint,
    committed_at timestamptz,
    epoch bigint NOT NULL DEFAULT 0,
    changes_stored bigint NOT NULL DEFAULT 0,
    transactions_stored bigint NOT NULL DEFAULT 0,
    changes_ignored bigint NOT NULL DEFAULT 0,
    started_at timestamptz,
    updated_at timestamptz NOT NULL DEFAULT now()
)";

/// Stretches of WAL that were lost before they could be stored.
const CREATE_GAPS: &str = "\
CREATE TABLE IF NOT EXISTS bemi.gaps (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    slot text NOT NULL,
    from_position bigint NOT NULL,
    to_position bigint NOT NULL,
    reason text NOT NULL,
    detected_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (slot, from_position)
)";

/// Changes that could not be stored as rows of `changes`, with what was received of them.
const CREATE_QUARANTINE: &str = "\
CREATE TABLE IF NOT EXISTS bemi.quarantine (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    slot text NOT NULL,
    position bigint NOT NULL,
    commit_position bigint NOT NULL,
    sequence bigint NOT NULL,
    committed_at timestamptz NOT NULL,
    transaction_id bigint NOT NULL,
    schema text,
    \"table\" text,
    error text NOT NULL,
    raw bytea NOT NULL,
    quarantined_at timestamptz NOT NULL DEFAULT now()
)";
