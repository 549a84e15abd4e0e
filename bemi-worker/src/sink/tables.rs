//! The worker's own tables in the destination, in schema `bemi`: what it has stored, what it could
//! not, and what was lost.
//!
//! They are the state that exactly-once stands on. Nothing here is ever published.

/// The statements that create the schema and its tables where they are missing, one each.
pub(crate) const CREATE_STATEMENTS: &[&str] = &[
    "CREATE SCHEMA IF NOT EXISTS bemi",
    CREATE_CHECKPOINT,
    // Of versions before.
    "ALTER TABLE bemi.checkpoint \
         ADD COLUMN IF NOT EXISTS changes_ignored bigint NOT NULL DEFAULT 0",
    CREATE_GAPS,
    "ALTER TABLE bemi.gaps ADD COLUMN IF NOT EXISTS kind text NOT NULL DEFAULT 'lost' \
         CHECK (kind IN ('lost', 'expired'))",
    "ALTER TABLE bemi.gaps ADD COLUMN IF NOT EXISTS kept_since timestamptz",
    CREATE_RETENTION,
    CREATE_QUARANTINE,
    CREATE_BACKFILL,
    "ALTER TABLE bemi.backfill ADD COLUMN IF NOT EXISTS key_last bytea[], \
         ADD COLUMN IF NOT EXISTS began_at_position bigint",
    CREATE_TABLE_EVENTS,
    "CREATE INDEX IF NOT EXISTS table_events_table_idx ON bemi.table_events \
         (schema, \"table\", commit_position, sequence, ordinal)",
    "CREATE INDEX IF NOT EXISTS table_events_relation_idx ON bemi.table_events \
         (relation, commit_position, sequence, ordinal)",
    CREATE_CHAIN_HEADS,
    CREATE_CHAIN,
    "CREATE INDEX IF NOT EXISTS chain_place_idx ON bemi.chain \
         (slot, first_commit_position, first_sequence, number) WHERE piece IS NOT NULL",
    CREATE_CHAIN_ROWS,
    // Hashes do not get smaller.
    "ALTER TABLE bemi.chain_rows ALTER COLUMN rows SET STORAGE EXTERNAL, \
         ALTER COLUMN salts SET STORAGE EXTERNAL",
    CREATE_ERASURES,
    // The last: it says that all before is as it should be.
    "COMMENT ON TABLE bemi.checkpoint IS \
         'How far bemi-worker has stored changes. Tables of version 2.'",
];

/// The version of these tables, which the last statement notes down. A change of their shape takes the
/// next number here and there, statements that bring older ones to it, and a file in
/// `tests/tests/upgrades/`.
pub(crate) const TABLES_VERSION: i32 = 2;

/// The oldest version into which this worker stores. Where later versions only add what can be done
/// without, it stays.
pub(super) const TABLES_VERSION_MIN: i32 = 2;

/// Whether there are tables, and of which version; null where they are of before it was noted down.
pub(super) const READ_VERSION: &str = "\
SELECT pg_catalog.to_regclass('bemi.checkpoint') IS NOT NULL,
       pg_catalog.substring(
           pg_catalog.obj_description(pg_catalog.to_regclass('bemi.checkpoint'), 'pg_class'),
           'Tables of version ([0-9]{1,9})\\.')::integer";

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

/// Stretches of WAL of which the changes are not there: `lost` before they could be stored, or `expired`,
/// dropped by retention. Of the latter a slot has one at most, from 0 to behind the last commit that was
/// dropped, and `kept_since` is the commit time from which on nothing was dropped.
const CREATE_GAPS: &str = "\
CREATE TABLE IF NOT EXISTS bemi.gaps (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    slot text NOT NULL,
    from_position bigint NOT NULL,
    to_position bigint NOT NULL,
    reason text NOT NULL,
    detected_at timestamptz NOT NULL DEFAULT now(),
    kind text NOT NULL DEFAULT 'lost' CHECK (kind IN ('lost', 'expired')),
    kept_since timestamptz,
    UNIQUE (slot, from_position)
)";

/// What retention has dropped: every change with a commit time from `from_time` (null: from the first on)
/// up to and without `to_time`, both midnights in UTC. It is announced, with the gaps of kind `expired`
/// that say so, before anything goes: until `dropped_at`, some of it may still be there. `relation` is the
/// partition; null where rows were deleted from a table without any.
const CREATE_RETENTION: &str = "\
CREATE TABLE IF NOT EXISTS bemi.retention (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    changes_schema text NOT NULL,
    relation text,
    from_time timestamptz,
    to_time timestamptz NOT NULL,
    announced_at timestamptz NOT NULL DEFAULT now(),
    dropped_at timestamptz
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

/// The chain over what is stored, of each slot for which tamper evidence was ever on. `is_wanted` is what
/// setup was told; `is_covering`, whether what is stored is being covered: whoever stores writes the link
/// that begins or ends that. `number` and `hash` are the last link's. `key_check` tells a wrong key from
/// the one that links are made with, where there is one.
const CREATE_CHAIN_HEADS: &str = "\
CREATE TABLE IF NOT EXISTS bemi.chain_heads (
    slot text PRIMARY KEY,
    is_wanted boolean NOT NULL,
    is_covering boolean NOT NULL DEFAULT false,
    number bigint NOT NULL DEFAULT 0,
    hash bytea,
    key_check bytea
)";

/// The links, each with the hash of the one before in its own. Those of kind `rows` cover changes that
/// were stored in one transaction, all of one UTC `day` of `committed_at`, from the first to the last in
/// the order of commits; those of kind `erased`, changes that were erased since, as they are now. What
/// exactly is covered is in `bemi.chain_rows`, by its `piece`; `rows_digest` stays when that has expired. `note` is JSON.
const CREATE_CHAIN: &str = "\
CREATE TABLE IF NOT EXISTS bemi.chain (
    slot text NOT NULL,
    number bigint NOT NULL,
    kind text NOT NULL
        CHECK (kind IN ('begin', 'rows', 'erasure', 'erased', 'expired', 'end')),
    day date NOT NULL,
    first_commit_position bigint,
    first_sequence bigint,
    last_commit_position bigint,
    last_sequence bigint,
    row_count integer,
    piece bigint,
    rows_digest bytea,
    note text,
    is_keyed boolean NOT NULL,
    made_at timestamptz NOT NULL,
    hash bytea NOT NULL,
    PRIMARY KEY (slot, number)
)";

/// What links cover. `rows` has 64 bytes for each: `id`, `commit_position`, `sequence`, and a hash over
/// its salt and what is stored of it. `salts` has 16 bytes for each; that of a row that was erased is
/// zero, so that nobody can try what the row may have been.
const CREATE_CHAIN_ROWS: &str = "\
CREATE TABLE IF NOT EXISTS bemi.chain_rows (
    piece bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    rows bytea NOT NULL,
    salts bytea NOT NULL
)";

/// Which data of persons was erased, by whom and why. `selection` is JSON, and has hashes where it would
/// have the person's own data. `changes` counts those that were erased so far.
const CREATE_ERASURES: &str = "\
CREATE TABLE IF NOT EXISTS bemi.erasures (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    slot text NOT NULL,
    selection text NOT NULL,
    reason text,
    erased_by text NOT NULL,
    began_at timestamptz NOT NULL,
    finished_at timestamptz,
    changes bigint NOT NULL DEFAULT 0,
    quarantined bigint NOT NULL DEFAULT 0
)";
