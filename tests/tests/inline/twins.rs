//! Two copies of the same tables: one for a statement as it is, one for it with the message in it.

use std::error::Error;
use std::sync::LazyLock;

use bemi_core::statement::with_message;
use bemi_tests::{Cluster, ClusterOptions, TestDatabase, Wanted, shared_cluster, smoke_majors};
use bytes::BytesMut;
use futures_util::{TryStreamExt, pin_mut};
use tokio_postgres::Client;
use tokio_postgres::types::{Format, IsNull, ToSql, Type};

/// The message of all statements here.
pub(crate) const MESSAGE: &str = r#"{"user_id":1}"#;

/// The installed server, the oldest and the newest.
pub(crate) fn clusters() -> &'static [&'static Cluster] {
    static CLUSTERS: LazyLock<Vec<&'static Cluster>> = LazyLock::new(|| {
        let mut clusters = vec![shared_cluster()];
        for major in smoke_majors() {
            if clusters[0].binaries().major() != major {
                let options = ClusterOptions::new().wanted(Wanted::Major(major));
                clusters.push(Box::leak(Box::new(Cluster::start(&options).unwrap())));
            }
        }
        clusters
    });
    &CLUSTERS
}

/// A value that is bound as text, whatever its type.
pub(crate) type Value<'a> = Option<&'a str>;

/// What a statement did: the rows that it returned and how many it affected, or the code of its error.
pub(crate) type Outcome = Result<(Vec<Vec<Value<'static>>>, u64), String>;

/// The two copies.
pub(crate) struct Twins {
    /// Its search path leads to the copy for statements as they are.
    pub(crate) plain: Client,
    /// Its search path leads to the copy for those with the message in it.
    pub(crate) inlined: Client,
    pub(crate) database: TestDatabase,
}

impl Twins {
    /// Runs `definitions` once for each copy.
    pub(crate) async fn new(cluster: &Cluster, definitions: &str) -> Self {
        let database = TestDatabase::create(cluster).await.unwrap();
        let twins = Self {
            plain: database.connect().await.unwrap(),
            inlined: database.connect().await.unwrap(),
            database,
        };
        for (client, schema) in [(&twins.plain, "plain"), (&twins.inlined, "inlined")] {
            let enter = format!("CREATE SCHEMA {schema}; SET search_path = {schema}, public");
            client.batch_execute(&enter).await.unwrap();
        }
        twins.both(definitions).await;
        twins
    }

    /// Runs `sql` as it is in both copies.
    pub(crate) async fn both(&self, sql: &str) {
        for client in [&self.plain, &self.inlined] {
            client.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        }
    }

    /// Runs `sql` in both copies, with the message in it in one of them, and gives what it did in both.
    pub(crate) async fn same(&self, sql: &str, values: &[Value<'_>]) -> Outcome {
        self.same_typed(sql, values, &[]).await
    }

    /// The same, where the client says the types of the first parameters.
    pub(crate) async fn same_typed(
        &self,
        sql: &str,
        values: &[Value<'_>],
        types: &[Type],
    ) -> Outcome {
        let with =
            with_message(sql, values.len() + 1).unwrap_or_else(|| panic!("not inlined: {sql}"));
        let plain = run(&self.plain, sql, values, types).await;
        let more = [values, &[Some(MESSAGE)]].concat();
        let inlined = run(&self.inlined, &with, &more, types).await;
        assert_eq!(inlined, plain, "{sql} with {values:?} of {types:?}");
        plain
    }

    /// What is in a table, which must be the same in both copies.
    pub(crate) async fn rows(&self, table: &str) -> Vec<String> {
        let sql = format!("SELECT t::text FROM {table} t ORDER BY 1");
        let rows = async |client: &Client| -> Vec<String> {
            client.query(&sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
        };
        let plain = rows(&self.plain).await;
        assert_eq!(rows(&self.inlined).await, plain, "{table}");
        plain
    }
}

async fn run(client: &Client, sql: &str, values: &[Value<'_>], types: &[Type]) -> Outcome {
    let code = |error: tokio_postgres::Error| match error.code() {
        Some(code) => code.code().to_owned(),
        None => panic!("{sql}: {error:?}"),
    };
    let statement = client.prepare_typed(sql, types).await.map_err(code)?;
    let stream = client
        .query_raw(&statement, values.iter().map(|&value| Text(value)))
        .await
        .map_err(code)?;
    pin_mut!(stream);
    let mut rows = Vec::new();
    while let Some(row) = stream.try_next().await.map_err(code)? {
        let cell = |place| row.get::<_, Option<String>>(place).map(|text| &*text.leak());
        rows.push((0..row.len()).map(cell).collect());
    }
    Ok((rows, stream.rows_affected().unwrap()))
}

/// The server reads it as it reads a constant in quotes.
#[derive(Debug)]
struct Text<'a>(Value<'a>);

impl ToSql for Text<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        Ok(match self.0 {
            Some(text) => {
                out.extend_from_slice(text.as_bytes());
                IsNull::No
            }
            None => IsNull::Yes,
        })
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    tokio_postgres::types::to_sql_checked!();
}
