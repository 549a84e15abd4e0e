//! The connection: diesel's traits over diesel's own connection, each call planned before it is sent.
//!
//! diesel's transaction manager stays in charge of depth and state: it begins and ends transactions by texts, which are followed
//! here as those of the application are.
//!
//! Invariant: a text that may begin, divide or end a transaction is sent by [`carry_out`](BemiPgConnection::carry_out), or on a
//! connection that the application asked for as untracked.

use std::fmt;

use bemi_core::Settings;
use bemi_core::adapter::{Plan, Session};
use diesel::associations::HasTable;
use diesel::connection::{
    AnsiTransactionManager, CacheSize, ConnectionSealed, Instrumentation, MultiConnectionHelper,
    SimpleConnection,
};
use diesel::expression::{MixedAggregates, ValidGrouping, is_aggregate};
use diesel::migration::MigrationConnection;
use diesel::pg::{
    GetPgMetadataCache, Pg, PgMetadataCache, PgMetadataLookup, PgNotification, TransactionBuilder,
};
use diesel::prelude::*;
use diesel::query_builder::{AsChangeset, IntoUpdateTarget, QueryFragment, QueryId};
use diesel::query_dsl::{LoadQuery, UpdateAndFetchResults};
use diesel::sql_types::TypeMetadata;

use super::carry_out::Text;
use crate::statement::{Inlined, Statements};

/// A connection whose writes carry the context: the counterpart of diesel's [`PgConnection`], which it wraps.
///
/// Queries run on it as on diesel's connection, in code of one's own and in code that is generic over
/// [`Connection<Backend = Pg>`](Connection). A write that runs inside a scope has the scope's context before it, in the same
/// transaction; everything else runs as if this crate were not there.
///
/// Transactions that are begun and ended as text (`BEGIN`, `SAVEPOINT a`, `COMMIT`) are followed.
///
/// ```no_run
/// use bemi_diesel::{BemiPgConnection, Context, with_context_sync};
/// use diesel::prelude::*;
/// # diesel::table! { todos (id) { id -> Integer, done -> Bool, } }
///
/// # fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let mut connection = BemiPgConnection::establish("postgres://localhost/todos")?;
/// with_context_sync(Context::new().with("user_id", 42), || {
///     diesel::update(todos::table.find(7)).set(todos::done.eq(true)).execute(&mut connection)
/// })?;
/// # Ok(())
/// # }
/// ```
pub struct BemiPgConnection {
    pub(super) untracked: PgConnection,
    pub(super) statements: Statements,
    pub(super) session: Session,
}

impl From<PgConnection> for BemiPgConnection {
    fn from(connection: PgConnection) -> Self {
        Self::new(connection)
    }
}

impl BemiPgConnection {
    /// Wraps a connection.
    #[must_use]
    pub fn new(connection: PgConnection) -> Self {
        Self {
            untracked: connection,
            statements: Statements::default(),
            session: Session::default(),
        }
    }

    /// The same connection with other settings than the default ones.
    ///
    /// ```no_run
    /// # fn example() -> diesel::ConnectionResult<()> {
    /// use bemi_diesel::{BemiPgConnection, Settings};
    /// use diesel::Connection;
    ///
    /// let connection = BemiPgConnection::establish("postgres://localhost/todos")?
    ///     .with_settings(Settings::new().without_sql());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn with_settings(mut self, settings: Settings) -> Self {
        self.set_settings(settings);
        self
    }

    /// Changes the settings from here on: [`with_settings`](Self::with_settings) for a connection that somebody else holds, such
    /// as in `on_acquire` of a pool's customizer. A pool that needs no more than that takes the [`Settings`] as its customizer.
    pub fn set_settings(&mut self, settings: Settings) {
        self.statements.set_settings(settings);
    }

    /// Begins a transaction that is not the default one, as [`PgConnection::build_transaction`] does.
    ///
    /// ```no_run
    /// # use diesel::prelude::*;
    /// # diesel::table! { todos (id) { id -> Integer, } }
    /// # fn example(connection: &mut bemi_diesel::BemiPgConnection) -> QueryResult<()> {
    /// connection
    ///     .build_transaction()
    ///     .serializable()
    ///     .run(|connection| diesel::delete(todos::table).execute(connection))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn build_transaction(&mut self) -> TransactionBuilder<'_, Self> {
        TransactionBuilder::new(self)
    }

    /// Whether a transaction is open, be it begun by [`transaction`](Connection::transaction) or as text.
    #[must_use]
    pub fn is_in_transaction(&self) -> bool {
        self.session.is_open()
    }

    /// The notifications that the connection has received, as [`PgConnection::notifications_iter`] gives them.
    pub fn notifications_iter(&mut self) -> impl Iterator<Item = QueryResult<PgNotification>> {
        self.untracked.notifications_iter()
    }

    /// diesel's own connection, for what only that can do, such as `COPY … TO`. **What is written through it has no context**, or,
    /// in a transaction, that of the write before it.
    ///
    /// Do not begin or end transactions on it: they would not be seen.
    pub fn untracked(&mut self) -> &mut PgConnection {
        self.session.forget();
        &mut self.untracked
    }

    /// How `query` is to run on this connection as it is now.
    pub(super) fn plan<T>(&mut self, query: &T) -> QueryResult<Plan>
    where
        T: QueryFragment<Pg> + QueryId,
    {
        self.notice_transaction();
        let rendered = self.statements.render(query)?;
        self.statements.plan_rendered(&self.session, &rendered, None)
    }
}

impl SimpleConnection for BemiPgConnection {
    fn batch_execute(&mut self, query: &str) -> QueryResult<()> {
        self.notice_transaction();
        let plan = self.statements.plan_text(&self.session, query, None)?;
        let execute = |connection: &mut PgConnection, text| match text {
            Text::Rewritten(sql) => connection.batch_execute(&sql),
            _ => connection.batch_execute(query),
        };
        self.carry_out(plan, execute, |()| 0)
    }
}

impl ConnectionSealed for BemiPgConnection {}

impl Connection for BemiPgConnection {
    type Backend = Pg;
    type TransactionManager = AnsiTransactionManager;

    fn establish(database_url: &str) -> ConnectionResult<Self> {
        PgConnection::establish(database_url).map(Self::new)
    }

    fn execute_returning_count<T>(&mut self, source: &T) -> QueryResult<usize>
    where
        T: QueryFragment<Pg> + QueryId,
    {
        let plan = self.plan(source)?;
        let execute = |connection: &mut PgConnection, text| match text {
            Text::Inlined(sql, message) => {
                connection.execute_returning_count(&Inlined::new(source, sql, message))
            }
            _ => connection.execute_returning_count(source),
        };
        self.carry_out(plan, execute, |count| *count)
    }

    fn transaction_state(&mut self) -> &mut AnsiTransactionManager {
        self.untracked.transaction_state()
    }

    fn instrumentation(&mut self) -> &mut dyn Instrumentation {
        self.untracked.instrumentation()
    }

    fn set_instrumentation(&mut self, instrumentation: impl Instrumentation) {
        self.untracked.set_instrumentation(instrumentation);
    }

    fn set_prepared_statement_cache_size(&mut self, size: CacheSize) {
        self.untracked.set_prepared_statement_cache_size(size);
    }
}

impl GetPgMetadataCache for BemiPgConnection {
    fn get_metadata_cache(&mut self) -> &mut PgMetadataCache {
        self.untracked.get_metadata_cache()
    }
}

impl MultiConnectionHelper for BemiPgConnection {
    fn to_any<'a>(
        lookup: &mut <Pg as TypeMetadata>::MetadataLookup,
    ) -> &mut (dyn std::any::Any + 'a) {
        lookup.as_any()
    }

    fn from_any(
        lookup: &mut dyn std::any::Any,
    ) -> Option<&mut <Pg as TypeMetadata>::MetadataLookup> {
        // It is diesel's connection beneath that has its types looked up.
        if lookup.is::<PgConnection>() {
            return PgConnection::from_any(lookup);
        }
        lookup.downcast_mut::<Self>().map(|connection| connection as &mut dyn PgMetadataLookup)
    }
}

impl MigrationConnection for BemiPgConnection {
    fn setup(&mut self) -> QueryResult<usize> {
        self.untracked.setup()
    }
}

/// Through this connection, not the one beneath: what `save_changes` writes has its context.
impl<'b, Changes, Output> UpdateAndFetchResults<Changes, Output> for BemiPgConnection
where
    Changes: Copy + AsChangeset<Target = <Changes as HasTable>::Table> + IntoUpdateTarget,
    diesel::dsl::Update<Changes, Changes>: LoadQuery<'b, Self, Output>,
    <Changes::Table as Table>::AllColumns: ValidGrouping<()>,
    <<Changes::Table as Table>::AllColumns as ValidGrouping<()>>::IsAggregate:
        MixedAggregates<is_aggregate::No, Output = is_aggregate::No>,
{
    fn update_and_fetch(&mut self, changeset: Changes) -> QueryResult<Output> {
        diesel::update(changeset).set(changeset).get_result(self)
    }
}

impl fmt::Debug for BemiPgConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BemiPgConnection")
            .field("in_transaction", &self.is_in_transaction())
            .finish_non_exhaustive()
    }
}
