//! What the WAL holds besides rows: the context messages, as the worker would be sent them.

use tokio_postgres::Client;

/// A slot of a case's own. Dropped with the database.
pub(crate) struct Journal<'a> {
    client: &'a Client,
    slot: String,
}

impl<'a> Journal<'a> {
    /// Looks at what is committed from now on.
    pub(crate) async fn open(client: &'a Client, slot: String) -> Self {
        client
            .execute("SELECT pg_create_logical_replication_slot($1, 'pgoutput')", &[&slot])
            .await
            .unwrap();
        Self { client, slot }
    }

    /// The contexts that were committed and hold `text`, which must be the case's own.
    pub(crate) async fn messages_with(&self, text: &str) -> Vec<String> {
        let rows = self
            .client
            .query(
                "SELECT data FROM pg_logical_slot_peek_binary_changes($1, NULL, NULL, 'proto_version', '1', \
                     'messages', 'true', 'publication_names', (SELECT quote_ident(pubname) FROM pg_publication LIMIT 1))",
                &[&self.slot],
            )
            .await
            .unwrap();
        let contexts = rows.iter().filter_map(|row| context_of(row.get(0)));
        contexts.filter(|context| context.contains(text)).collect()
    }

    pub(crate) async fn close(self) {
        self.client.execute("SELECT pg_drop_replication_slot($1)", &[&self.slot]).await.unwrap();
    }
}

/// `M`, flags, LSN, prefix, length, content.
fn context_of(message: &[u8]) -> Option<String> {
    let body = message.strip_prefix(b"M")?.get(9..)?;
    let content = body.strip_prefix(b"_bemi\0")?.get(4..)?;
    Some(String::from_utf8(content.to_vec()).unwrap())
}
