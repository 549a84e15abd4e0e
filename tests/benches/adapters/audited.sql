-- The same table, whose changes a trigger keeps: the rows before and after, and the context, which it takes from a setting.

CREATE TABLE todo (
    id bigserial PRIMARY KEY,
    task text NOT NULL,
    note text NOT NULL,
    is_completed boolean NOT NULL DEFAULT false
);

CREATE TABLE audit (
    id bigserial PRIMARY KEY,
    "table" text NOT NULL,
    primary_key text NOT NULL,
    operation text NOT NULL,
    before jsonb,
    after jsonb,
    context jsonb NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now()
);
-- Without it, nobody could look up the history of a row.
CREATE INDEX ON audit ("table", primary_key, changed_at);

CREATE FUNCTION record_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit ("table", primary_key, operation, before, after, context)
    VALUES (TG_TABLE_NAME, coalesce(NEW.id, OLD.id), TG_OP, to_jsonb(OLD), to_jsonb(NEW),
        current_setting('audit.context')::jsonb);
    RETURN NULL;
END
$$;

CREATE TRIGGER record_change AFTER INSERT OR UPDATE OR DELETE ON todo
FOR EACH ROW EXECUTE FUNCTION record_change();
