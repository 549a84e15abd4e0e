//! COPY … FROM STDIN, with the context before it.
//!
//! diesel does not let its text be read, nor lets another connection take part in `COPY … TO`; that one changes no row and runs on
//! [`untracked`](BemiPgConnection::untracked).

use diesel::associations::HasTable;
use diesel::pg::{CopyFromQuery, Pg, PgQueryBuilder};
use diesel::prelude::*;
use diesel::query_builder::{QueryBuilder, QueryFragment};
use diesel::result::Error;
use diesel::{PgConnection, sql_query};

use super::BemiPgConnection;

/// `diesel::copy_from(…).execute(connection)`.
///
/// In the context the statement is told by its table alone: `COPY "todos" FROM STDIN`.
impl<T, A> ExecuteCopyFromDsl<BemiPgConnection> for CopyFromQuery<T, A>
where
    T: HasTable<Table = T> + QueryFragment<Pg>,
    Self: ExecuteCopyFromDsl<PgConnection>,
    <Self as ExecuteCopyFromDsl<PgConnection>>::Error: From<Error>,
{
    type Error = <Self as ExecuteCopyFromDsl<PgConnection>>::Error;

    fn execute(self, connection: &mut BemiPgConnection) -> Result<usize, Self::Error> {
        let plan = connection.plan(&sql_query(text_of::<T>()?))?;
        let mut failed = None;
        let copy = |connection: &mut PgConnection, _| {
            self.execute(connection).map_err(|error| {
                failed = Some(error);
                Error::RollbackTransaction
            })
        };
        let copied = connection.carry_out(plan, copy, |count| *count);
        copied.map_err(|error| failed.unwrap_or_else(|| error.into()))
    }
}

fn text_of<T>() -> QueryResult<String>
where
    T: HasTable<Table = T> + QueryFragment<Pg>,
{
    let mut text = PgQueryBuilder::new();
    text.push_sql("COPY ");
    T::table().to_sql(&mut text, &Pg)?;
    text.push_sql(" FROM STDIN");
    Ok(text.finish())
}
