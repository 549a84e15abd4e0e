//! The encoding of the source, in which it leaves the content of messages.

use bytes::Bytes;
use tokio_postgres::{Client, Error};

/// What the database is encoded in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// Nothing to convert: UTF-8; or `SQL_ASCII`, of which nobody knows what it is.
    Utf8,
    /// Another one, as the server calls it.
    Other(String),
}

impl Encoding {
    pub(super) async fn read(client: &Client) -> Result<Self, Error> {
        let row = client
            .query_one(
                "SELECT pg_catalog.pg_encoding_to_char(encoding)::text FROM pg_catalog.pg_database \
                 WHERE datname = pg_catalog.current_database()",
                &[],
            )
            .await?;
        Ok(Self::of(row.try_get(0)?))
    }

    fn of(name: String) -> Self {
        match name.as_str() {
            "UTF8" | "SQL_ASCII" => Self::Utf8,
            _ => Self::Other(name),
        }
    }

    /// The content in UTF-8. What the server cannot convert stays as it is, for a reader to see.
    pub(super) async fn to_utf8(&self, client: &Client, content: Bytes) -> Result<Bytes, Error> {
        let Self::Other(name) = self else { return Ok(content) };
        if content.is_ascii() {
            return Ok(content);
        }
        let converted = client
            .query_one(
                "SELECT pg_catalog.convert_from($1::bytea, $2::text::name)",
                &[&content.as_ref(), name],
            )
            .await;
        match converted {
            Ok(row) => Ok(Bytes::from(row.try_get::<_, String>(0)?)),
            Err(error) if is_about_data(&error) => Ok(content),
            Err(error) => Err(error),
        }
    }
}

/// Class 22, "data exception": bytes that are no text, or a character that has none in the other
/// encoding. And what would become too large to be sent.
fn is_about_data(error: &Error) -> bool {
    error.code().is_some_and(|code| code.code().starts_with("22") || code.code().starts_with("54"))
}
