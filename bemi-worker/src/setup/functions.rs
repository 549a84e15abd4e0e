//! The functions that setup installs in the source, by which SQL itself says its context.
//!
//! They run with the rights of whoever calls them, and with a search path that nobody else can put
//! anything into.
//!
//! Invariant: what they leave in a session ends with its transaction, and goes with a savepoint that
//! is rolled back, as the message does.

/// A function of ours.
#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) schema: &'static str,
    pub(crate) name: &'static str,
    /// The types of its arguments, as `oidvectortypes` lists them.
    pub(crate) types: &'static str,
    /// Its arguments, and what it returns.
    declaration: &'static str,
    attributes: &'static str,
    pub(crate) body: &'static str,
    /// Whether every role may call it.
    is_open: bool,
}

impl Function {
    /// As SQL names it, and as `bemi.installation` has it: `bemi.set_context(jsonb)`.
    pub(crate) fn signature(&self) -> String {
        format!("{}.{}({})", self.schema, self.name, self.types)
    }

    /// Creates it, or brings that of an older version up to date, which leaves its privileges alone.
    pub(crate) fn create(&self) -> String {
        let Self { schema, name, declaration, attributes, body, .. } = self;
        format!(
            "CREATE OR REPLACE FUNCTION {schema}.{name}{declaration}
LANGUAGE plpgsql {attributes}SET search_path = pg_catalog, pg_temp
AS $bemi${body}$bemi$"
        )
    }

    /// Says who may call it. The default privileges of the database may say otherwise.
    pub(crate) fn grant(&self) -> String {
        let signature = self.signature();
        if self.is_open {
            format!("GRANT EXECUTE ON FUNCTION {signature} TO PUBLIC")
        } else {
            format!("REVOKE ALL ON FUNCTION {signature} FROM PUBLIC")
        }
    }

    pub(crate) fn drop(&self) -> String {
        format!("DROP FUNCTION IF EXISTS {}", self.signature())
    }
}

/// Those that every setup installs; what calls another one comes after it.
pub(crate) const CONTEXT_FUNCTIONS: [Function; 2] = [
    Function {
        schema: "bemi",
        name: "redacted",
        types: "jsonb, integer",
        declaration: "(value jsonb, levels integer DEFAULT 32) RETURNS jsonb",
        attributes: "IMMUTABLE STRICT ",
        body: REDACTED,
        is_open: true,
    },
    Function {
        schema: "bemi",
        name: "set_context",
        types: "jsonb",
        declaration: "(context jsonb) RETURNS void",
        attributes: "",
        body: SET_CONTEXT,
        is_open: true,
    },
];

/// Those that take the context of a request from PostgREST; the last one is the triggers' own.
pub(crate) const REQUEST_FUNCTIONS: [Function; 3] = [
    Function {
        schema: "public",
        name: "bemi_set_context",
        types: "text",
        declaration: "(context text) RETURNS text",
        attributes: "",
        body: BEMI_SET_CONTEXT,
        is_open: true,
    },
    Function {
        schema: "bemi",
        name: "parsed",
        types: "text, integer",
        declaration: "(content text, bytes_max integer) RETURNS jsonb",
        attributes: "IMMUTABLE STRICT ",
        body: PARSED,
        is_open: true,
    },
    Function {
        schema: "bemi",
        name: EMIT_REQUEST_CONTEXT_NAME,
        types: "",
        declaration: "() RETURNS trigger",
        attributes: "",
        body: EMIT_REQUEST_CONTEXT,
        // Who creates a trigger needs the privilege; whose statement fires it does not.
        is_open: false,
    },
];

/// The function of the triggers, in schema `bemi`.
pub(crate) const EMIT_REQUEST_CONTEXT_NAME: &str = "emit_request_context";

/// Every function that setup can install.
pub(crate) fn all() -> impl Iterator<Item = &'static Function> {
    CONTEXT_FUNCTIONS.iter().chain(&REQUEST_FUNCTIONS)
}

/// Redacts as the adapters do by default: the words are those of `bemi_core::Redaction`. Letters fold
/// as in ASCII, whatever the database's locale makes of an I. Nobody nests that deep but to keep the
/// server busy: what is further down, and holds such a word, goes as a whole.
const REDACTED: &str = r#"
DECLARE
    words CONSTANT text := 'password|secret|token|authorization|cookie';
BEGIN
    IF value::text COLLATE "C" !~* words THEN
        RETURN value;
    END IF;
    IF levels = 0 THEN
        RETURN '"[redacted]"';
    END IF;
    RETURN CASE jsonb_typeof(value)
        WHEN 'object' THEN (
            SELECT jsonb_object_agg(field.key, CASE
                WHEN field.value = 'null' OR field.key COLLATE "C" !~* words
                THEN bemi.redacted(field.value, levels - 1)
                ELSE '"[redacted]"'
            END)
            FROM jsonb_each(value) AS field)
        WHEN 'array' THEN (
            SELECT jsonb_agg(bemi.redacted(item.value, levels - 1) ORDER BY item.place)
            FROM jsonb_array_elements(value) WITH ORDINALITY AS item (value, place))
        ELSE value
    END;
END
"#;

/// What it sets besides is for the triggers below: `bemi.context` is what was said, which they put
/// beside what they know of the request, and `bemi.emitted` says that it is in force as it is.
const SET_CONTEXT: &str = r#"
DECLARE
    content text;
    bytes integer;
BEGIN
    context := coalesce(nullif(context, 'null'), '{}');
    IF jsonb_typeof(context) <> 'object' THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('bemi: the context must be a JSON object, and this is of type %s',
                             jsonb_typeof(context)),
            HINT = 'Write SELECT bemi.set_context(''{"user": "ops"}'').';
    END IF;
    content := bemi.redacted(context);
    bytes := octet_length(convert_to(content, 'UTF8'));
    IF bytes > 1000000 THEN
        RAISE program_limit_exceeded USING
            MESSAGE = format('bemi: the context has %s bytes, and may have 1000000', bytes),
            HINT = 'Leave its large values out.';
    END IF;
    -- Nothing can be changed that it could govern, and a standby would refuse the message.
    IF current_setting('transaction_read_only')::boolean THEN
        RETURN;
    END IF;
    PERFORM pg_logical_emit_message(true, '_bemi', content);
    -- Else a change behind a subtransaction that only said this could come first.
    PERFORM pg_logical_emit_message(true, '_bemi_spacer', '');
    PERFORM set_config('bemi.context', content, true), set_config('bemi.emitted', content, true);
END
"#;

const BEMI_SET_CONTEXT: &str = r"
BEGIN
    PERFORM bemi.set_context(context::jsonb);
    RETURN context;
END
";

/// What somebody else wrote, as an object in any case.
const PARSED: &str = r#"
DECLARE
    value jsonb;
    why text := 'not a JSON object';
BEGIN
    IF octet_length(content) > bytes_max THEN
        RETURN '{"_bemi": {"truncated": [""]}}';
    END IF;
    BEGIN
        value := coalesce(nullif(content::jsonb, 'null'), '{}');
        IF jsonb_typeof(value) = 'object' THEN
            RETURN bemi.redacted(value);
        END IF;
    EXCEPTION WHEN OTHERS THEN
        why := sqlerrm;
    END;
    -- What is no object has no keys to tell a secret by.
    IF content COLLATE "C" ~* 'password|secret|token|authorization|cookie' THEN
        content := '[redacted]';
    END IF;
    RETURN jsonb_build_object('_bemi', jsonb_build_object('raw', left(content, 1000), 'error', why));
END
"#;

/// Emits what is known of the request, unless it is in force already. What was emitted is remembered by
/// a setting that is local to the transaction: a savepoint that is rolled back takes both along.
///
/// Nothing that a client sends can make the statement fail: what goes wrong becomes the message.
const EMIT_REQUEST_CONTEXT: &str = r#"
DECLARE
    method text := nullif(current_setting('request.method', true), '');
    headers text := nullif(current_setting('request.headers', true), '');
    claims text := nullif(current_setting('request.jwt.claims', true), '');
    said text := nullif(current_setting('bemi.context', true), '');
    is_request boolean := coalesce(method, headers, claims) IS NOT NULL;
    path text;
    acting_role text;
    client text;
    inputs text := said;
    context jsonb;
    message text;
BEGIN
    IF is_request THEN
        path := nullif(current_setting('request.path', true), '');
        acting_role := nullif(current_setting('role'), 'none');
        inputs := concat(method, E'\x1f', path, E'\x1f', acting_role, E'\x1f', claims, E'\x1f', headers,
                         E'\x1f', said);
    END IF;
    IF inputs IS NULL OR inputs = current_setting('bemi.emitted', true) THEN
        RETURN NULL;
    END IF;
    BEGIN
        context := coalesce(bemi.parsed(said, 1000000), '{}');
        IF is_request THEN
            -- Nobody but this function says what was verified.
            context := context - ARRAY['request', 'claims', 'client'] || jsonb_build_object(
                'request', jsonb_strip_nulls(jsonb_build_object(
                    'method', left(method, 100), 'path', left(path, 2000), 'role', acting_role)),
                'claims', coalesce(bemi.parsed(claims, 65536), '{}'));
            IF headers LIKE '%"x-bemi-context"%' THEN
                client := headers::jsonb ->> 'x-bemi-context';
            END IF;
            IF client IS NOT NULL THEN
                context := context || jsonb_build_object('client', bemi.parsed(client, 16384));
            END IF;
        END IF;
        message := context::text;
    EXCEPTION WHEN OTHERS THEN
        message := jsonb_build_object('_bemi', jsonb_build_object('error', sqlerrm))::text;
    END;
    PERFORM pg_logical_emit_message(true, '_bemi', message);
    PERFORM pg_logical_emit_message(true, '_bemi_spacer', '');
    PERFORM set_config('bemi.emitted', inputs, true);
    RETURN NULL;
END
"#;
