//! Queries that answer with rows, all at once or one by one.
//!
//! By default libpq has taken all rows before the first is read, so that COMMIT may come before reading. Row by row it has not:
//! what is written in a transaction of ours is then loaded at once, and read from memory.
//!
//! Invariant: a write whose rows are not read to the end has written and committed all.

use bemi_core::adapter::Plan;
use diesel::connection::{DefaultLoadingMode, LoadConnection};
use diesel::expression::QueryMetadata;
use diesel::pg::{Pg, PgRowByRowLoadingMode};
use diesel::query_builder::{Query, QueryFragment, QueryId};
use diesel::{PgConnection, QueryResult};

use super::BemiPgConnection;
use super::carry_out::Text;
use crate::statement::Inlined;

type Loaded<'conn, 'query> =
    <PgConnection as LoadConnection<DefaultLoadingMode>>::Cursor<'conn, 'query>;
type Streamed<'conn, 'query> =
    <PgConnection as LoadConnection<PgRowByRowLoadingMode>>::Cursor<'conn, 'query>;

impl BemiPgConnection {
    fn load_all<'query, T>(&mut self, plan: Plan, source: T) -> QueryResult<Loaded<'static, 'query>>
    where
        T: Query + QueryFragment<Pg> + QueryId + 'query,
        Pg: QueryMetadata<T::SqlType>,
    {
        let load = |connection: &mut PgConnection, text| match text {
            Text::Inlined(sql, message) => LoadConnection::<DefaultLoadingMode>::load(
                connection,
                Inlined::new(source, sql, message),
            ),
            _ => LoadConnection::<DefaultLoadingMode>::load(connection, source),
        };
        // Of a write that returns rows, there is one for each that was changed.
        self.carry_out(plan, load, ExactSizeIterator::len)
    }
}

impl LoadConnection<DefaultLoadingMode> for BemiPgConnection {
    type Cursor<'conn, 'query> = Loaded<'conn, 'query>;
    type Row<'conn, 'query> =
        <PgConnection as LoadConnection<DefaultLoadingMode>>::Row<'conn, 'query>;

    fn load<'conn, 'query, T>(
        &'conn mut self,
        source: T,
    ) -> QueryResult<Self::Cursor<'conn, 'query>>
    where
        T: Query + QueryFragment<Pg> + QueryId + 'query,
        Pg: QueryMetadata<T::SqlType>,
    {
        let plan = self.plan(&source)?;
        self.load_all(plan, source)
    }
}

impl LoadConnection<PgRowByRowLoadingMode> for BemiPgConnection {
    type Cursor<'conn, 'query> = RowByRow<'conn, 'query>;
    type Row<'conn, 'query> =
        <PgConnection as LoadConnection<PgRowByRowLoadingMode>>::Row<'conn, 'query>;

    fn load<'conn, 'query, T>(
        &'conn mut self,
        source: T,
    ) -> QueryResult<Self::Cursor<'conn, 'query>>
    where
        T: Query + QueryFragment<Pg> + QueryId + 'query,
        Pg: QueryMetadata<T::SqlType>,
    {
        match self.plan(&source)? {
            Plan::AsIs => {}
            Plan::Preceded(message) => self.emit(message)?,
            plan => return self.load_all(plan, source).map(Rows::Loaded).map(RowByRow),
        }
        LoadConnection::<PgRowByRowLoadingMode>::load(&mut self.untracked, source)
            .map(Rows::Streamed)
            .map(RowByRow)
    }
}

/// Rows that come one by one, from the server or from memory.
#[allow(missing_debug_implementations, reason = "diesel's cursors have none")]
pub struct RowByRow<'conn, 'query>(Rows<'conn, 'query>);

enum Rows<'conn, 'query> {
    Streamed(Streamed<'conn, 'query>),
    Loaded(Loaded<'conn, 'query>),
}

impl<'conn, 'query> Iterator for RowByRow<'conn, 'query> {
    type Item = <Streamed<'conn, 'query> as Iterator>::Item;

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            Rows::Streamed(rows) => rows.next(),
            Rows::Loaded(rows) => rows.next(),
        }
    }
}
