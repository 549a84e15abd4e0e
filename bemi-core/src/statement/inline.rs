//! Puts a context message into the statement that it is to govern, where that is provably the same statement.

/// The statement `sql` with its context message in it, which is taken from the text parameter of this number; none where it is not
/// provably the same statement.
///
/// An adapter that cannot pipeline saves its round trips that way.
#[must_use]
pub fn with_message(sql: &str, parameter: usize) -> Option<String> {
    let _ = (sql, parameter);
    None
}
