-- What is true of the tracked tables, written by their triggers in the transactions of the changes. None of it is tracked.
CREATE SCHEMA truth;

CREATE TABLE truth.log (
    -- Taken while the change holds its lock: of two changes of one row, the one that committed first has the smaller one.
    ordinal bigserial,
    transaction_id bigint NOT NULL DEFAULT pg_current_xact_id()::xid::text::bigint,
    schema text NOT NULL,
    "table" text NOT NULL,
    operation text NOT NULL,
    key text[],
    previous_key text[],
    -- How much of the row before is in the WAL: f, the whole row; k, the key.
    identity text NOT NULL,
    before jsonb NOT NULL,
    after jsonb NOT NULL,
    context jsonb NOT NULL
);

-- Says who writes what follows in the transaction. A savepoint that is rolled back takes the message along, and the setting too.
CREATE FUNCTION truth.say(context jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('truth.context', context::text, true);
    PERFORM pg_logical_emit_message(true, '_bemi', context::text);
    PERFORM pg_logical_emit_message(true, '_bemi_spacer', '');
END $$;

CREATE FUNCTION truth.key_of(row_ jsonb, columns text[]) RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
    SELECT array_agg(row_ ->> name ORDER BY place) FROM unnest(columns) WITH ORDINALITY AS c (name, place)
$$;

CREATE FUNCTION truth.write() RETURNS trigger LANGUAGE plpgsql
    SET timezone = 'UTC' SET datestyle = 'ISO' SET intervalstyle = 'postgres' AS $$
DECLARE
    old_row jsonb := CASE WHEN TG_OP IN ('UPDATE', 'DELETE') THEN to_jsonb(OLD) END;
    new_row jsonb := CASE WHEN TG_OP IN ('INSERT', 'UPDATE') THEN to_jsonb(NEW) END;
    old_key text[] := truth.key_of(old_row, TG_ARGV);
    new_key text[] := truth.key_of(coalesce(new_row, old_row), TG_ARGV);
    identity_ text := (
        SELECT CASE
            WHEN relreplident = 'f' THEN 'f'
            WHEN relreplident = 'd' AND EXISTS (SELECT FROM pg_index WHERE indrelid = c.oid AND indisprimary) THEN 'k'
            WHEN relreplident = 'i' AND EXISTS (SELECT FROM pg_index WHERE indrelid = c.oid AND indisreplident) THEN 'k'
        END FROM pg_class c WHERE c.oid = TG_RELID);
BEGIN
    -- Without an identity they are not published.
    IF identity_ IS NULL AND TG_OP <> 'INSERT' THEN RETURN NULL; END IF;
    INSERT INTO truth.log (schema, "table", operation, key, previous_key, identity, before, after, context)
    SELECT n.nspname, c.relname, CASE TG_OP WHEN 'INSERT' THEN 'CREATE' ELSE TG_OP END, new_key,
        CASE WHEN TG_OP = 'UPDATE' AND old_key <> new_key THEN old_key END, coalesce(identity_, 'k'),
        coalesce(old_row, '{}'), coalesce(new_row, '{}'),
        coalesce(nullif(current_setting('truth.context', true), ''), '{}')::jsonb
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.oid = coalesce(pg_partition_root(TG_RELID)::oid, TG_RELID);
    RETURN NULL;
END $$;

CREATE FUNCTION truth.write_truncate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO truth.log (schema, "table", operation, identity, before, after, context)
    VALUES (TG_TABLE_SCHEMA, TG_TABLE_NAME, 'TRUNCATE', 'k', '{}', '{}',
        coalesce(nullif(current_setting('truth.context', true), ''), '{}')::jsonb);
    RETURN NULL;
END $$;

-- Begins to write down what happens to a table.
CREATE FUNCTION truth.watch(relation regclass) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    key text := (
        SELECT string_agg(quote_literal(attname), ', ' ORDER BY array_position(indkey::int2[], attnum))
        FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY (indkey)
        WHERE indexrelid = (SELECT indexrelid FROM pg_index
            WHERE indrelid = relation AND (indisprimary OR indisreplident) ORDER BY indisprimary DESC LIMIT 1));
BEGIN
    EXECUTE format('CREATE TRIGGER truth AFTER INSERT OR UPDATE OR DELETE ON %s '
        'FOR EACH ROW EXECUTE FUNCTION truth.write(%s)', relation, coalesce(key, ''));
    EXECUTE format('CREATE TRIGGER truth_truncate AFTER TRUNCATE ON %s '
        'FOR EACH STATEMENT EXECUTE FUNCTION truth.write_truncate()', relation);
END $$;
