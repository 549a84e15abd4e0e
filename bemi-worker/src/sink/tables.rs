//! The worker's own tables in the destination, in schema `bemi`: what it has stored, what it could
//! not, and what was lost.
//!
//! They are the state that exactly-once stands on. Nothing here is ever published.

/// The statements that create the schema and its tables where they are missing, one each.
pub(crate) const CREATE_STATEMENTS: &[&str] = &[
    "CREATE SCHEMA IF NOT EXISTS bemi",
    CREATE_CHECKPOINT,
    CREATE_GAPS,
    CREATE_QUARANTINE,
    CREATE_BACKFILL,
    // Of versions before.
    "ALTER TABLE bemi.backfill ADD COLUMN IF NOT EXISTS began_at_position bigint",
    CREATE_TABLE_EVENTS,
    "CREATE INDEX IF NOT EXISTS table_events_table_idx ON bemi.table_events \
         (schema, \"table\", commit_position, sequence, ordinal)",
    "CREATE INDEX IF NOT EXISTS table_events_relation_idx ON bemi.table_events \
         (relation, commit_position, sequence, ordinal)",
];

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

/// What became of the tracked tables, each event at its place among the changes: behind the change of
/// number `sequence` of its transaction, 0 being before the first. From `tracked` or `created` on the
/// record has all changes of the table, until `untracked` or `dropped`. A table that was `created` was
/// empty then. `rewritten` says that rows may have changed without a row change. `columns` are those
/// behind the event, each `{"number", "name", "type", "generated", "missing"}`, where `missing` is what
/// rows have that were there before the column, as `to_jsonb` gives it.
const CREATE_TABLE_EVENTS: &str = "\
CREATE TABLE IF NOT EXISTS bemi.table_events (
    slot text NOT NULL,
    commit_position bigint NOT NULL,
    sequence bigint NOT NULL,
    ordinal integer NOT NULL,
    committed_at timestamptz NOT NULL,
    schema text NOT NULL,
    \"table\" text NOT NULL,
    relation bigint NOT NULL,
    event text NOT NULL
        CHECK (event IN ('tracked', 'created', 'altered', 'untracked', 'dropped')),
    rewritten boolean NOT NULL DEFAULT false,
    identity text CHECK (identity IN ('full', 'key', 'none')),
    key_columns text[],
    columns jsonb,
    PRIMARY KEY (slot, commit_position, sequence, ordinal)
)";

/// How far the rows of tables that were there before are stored. `key_reached` holds the bytes of the
/// last key that is stored, a value for each of `key_columns`: the next rows are those behind it, up to
/// `key_last`.
/// `position` is the commit position of the last rows, `began_at_position` that of the first ones.
const CREATE_BACKFILL: &str = "\
CREATE TABLE IF NOT EXISTS bemi.backfill (
    slot text NOT NULL,
    schema text NOT NULL,
    \"table\" text NOT NULL,
    relation oid NOT NULL,
    key_columns text[] NOT NULL,
    key_reached bytea[],
    key_last bytea[],
    position bigint NOT NULL,
    began_at_position bigint,
    rows bigint NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    PRIMARY KEY (slot, schema, \"table\")
)";
