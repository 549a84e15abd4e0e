//! What was sent to a database, as the server logs it where `log_statement` is `all`.
//!
//! One entry is one statement or text, by its first line. Emissions of contexts are shown as `<emit>`: where they are, not how they
//! are written.

/// How an emission starts and ends, written out here: an adapter that emits in another way must be seen.
const EMISSION: [&str; 2] =
    ["SELECT (SELECT pg_logical_emit_message(", " AS \"bemi context emitted\""];

/// The statements that `log` has of this database, in order. It is a [`Cluster::log`](crate::Cluster::log).
///
/// # Examples
/// ```
/// let log = "2026-01-01 00:00:00.000 UTC [42] todos LOG:  statement: BEGIN\n\
///            2026-01-01 00:00:00.001 UTC [42] todos LOG:  execute <unnamed>: DELETE FROM todo\n\
///            2026-01-01 00:00:00.002 UTC [43] other LOG:  statement: SELECT 1\n";
/// assert_eq!(bemi_tests::statements_sent(log, "todos"), ["BEGIN", "DELETE FROM todo"]);
/// ```
#[must_use]
pub fn statements_sent(log: &str, database: &str) -> Vec<String> {
    let database = format!(" {database} ");
    log.lines()
        .filter(|line| line.contains(&database))
        .filter_map(|line| {
            let (_, statement) = line.split_once("LOG:  ")?;
            let (kind, sql) = statement.split_once(": ")?;
            (kind == "statement" || kind.starts_with("execute")).then(|| without_emissions(sql))
        })
        .collect()
}

fn without_emissions(sql: &str) -> String {
    let [start, end] = EMISSION;
    if let Some((before, emission)) = sql.split_once(start)
        && let Some((_, after)) = emission.split_once(end)
    {
        return format!("{before}<emit>{}", without_emissions(after));
    }
    sql.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_emission_of_a_text_is_shown_as_such() {
        let emit = "SELECT (SELECT pg_logical_emit_message(true, '_bemi', '{}') WHERE true) \
                    AS \"bemi context emitted\"";
        assert_eq!(
            without_emissions(&format!("{emit}; DELETE FROM todo; {emit}; SELECT 1")),
            "<emit>; DELETE FROM todo; <emit>; SELECT 1"
        );
        assert_eq!(without_emissions("SELECT 1"), "SELECT 1");
    }
}
