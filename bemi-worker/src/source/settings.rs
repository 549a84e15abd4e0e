//! The settings of a session that decide how the server writes values.

use postgres_protocol::escape::escape_literal;

/// The settings under which values are written as `to_jsonb` has them, and read back the same. They
/// beat those of the database and the role.
const SETTINGS: [(&str, &str); 5] = [
    ("datestyle", "ISO"),
    ("timezone", "UTC"),
    ("intervalstyle", "postgres"),
    ("bytea_output", "hex"),
    ("extra_float_digits", "1"),
];

/// The settings as options of a connection that is to be opened, behind those that it has already.
pub(super) fn startup_options(own: Option<&str>) -> String {
    let settings = SETTINGS.map(|(name, value)| format!("-c {name}={value}"));
    // What comes last counts.
    own.into_iter().chain(settings.iter().map(String::as_str)).collect::<Vec<_>>().join(" ")
}

/// Where nobody knows what the texts of a database are encoded in, they come as they are. As UTF-8 the
/// server would refuse to send what is none, and neither row nor stream would ever come past it.
pub(crate) const SEND_TEXTS_AS_THEY_ARE: &str = "\
SELECT pg_catalog.set_config('client_encoding', 'SQL_ASCII', false) \
WHERE pg_catalog.current_setting('server_encoding') = 'SQL_ASCII'";

/// The settings as a statement for a session that is open.
pub(crate) fn set_statement() -> String {
    let settings = SETTINGS.map(|(name, value)| format!("SET {name} = {}", escape_literal(value)));
    settings.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_and_a_session_get_the_same_settings() {
        assert_eq!(
            startup_options(Some("-c search_path=a")),
            "-c search_path=a -c datestyle=ISO -c timezone=UTC -c intervalstyle=postgres \
             -c bytea_output=hex -c extra_float_digits=1"
        );
        assert_eq!(
            set_statement(),
            "SET datestyle = 'ISO'; SET timezone = 'UTC'; SET intervalstyle = 'postgres'; \
             SET bytea_output = 'hex'; SET extra_float_digits = '1'"
        );
    }
}
