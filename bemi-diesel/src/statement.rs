//! The text of a query, and the plan for it. Both connections, the blocking and the async one, ask here before each statement.
//!
//! diesel renders a query only when it prepares it; what a query does is known from its text, so it is rendered here too. The text
//! of a query with an id of its own is kept, since a look-up is cheaper than rendering. Sends nothing.
//!
//! Invariant: a text that is kept is the one that diesel prepares for that query.

use std::any::TypeId;
use std::collections::HashMap;
use std::sync::Arc;

use bemi_core::adapter::{self, Plan, Protocol, Session};
use bemi_core::{Context, ContextMessage, MissingContextError, Scope, Settings};
use diesel::QueryResult;
use diesel::pg::{Pg, PgQueryBuilder};
use diesel::query_builder::{AstPass, Query, QueryBuilder, QueryFragment, QueryId};
use diesel::result::Error;
use diesel::sql_types::Text;

/// How many texts one connection keeps. An id comes from a type, so a program has a bounded number of them; an enormous one renders
/// what is beyond anew each time.
const KEPT_TEXTS_MAX: usize = 1024;

/// Plans the statements of one connection, and keeps the texts of its queries.
#[derive(Debug, Default)]
pub(crate) struct Statements {
    settings: Settings,
    kept: HashMap<TypeId, Rendered>,
}

/// The text of a query. A clone is cheap.
#[derive(Clone, Debug)]
pub(crate) struct Rendered {
    sql: Arc<str>,
    /// How many parameters it has; not known where its text could not be read back.
    parameters: Option<usize>,
}

impl Statements {
    /// Other settings from here on.
    pub(crate) fn set_settings(&mut self, settings: Settings) {
        self.settings = settings;
    }

    /// The text of `query`.
    ///
    /// # Errors
    ///
    /// Those of rendering, which diesel would answer with as well.
    pub(crate) fn render<T>(&mut self, query: &T) -> QueryResult<Rendered>
    where
        T: QueryFragment<Pg> + QueryId,
    {
        // Of a query whose text depends on its values, diesel says that it is not safe to cache, whether it has an id or not.
        let id = match T::query_id() {
            Some(id) if query.is_safe_to_cache_prepared(&Pg)? => Some(id),
            _ => None,
        };
        if let Some(rendered) = id.and_then(|id| self.kept.get(&id)) {
            return Ok(rendered.clone());
        }
        let rendered = Rendered::of(query)?;
        if let Some(id) = id
            && self.kept.len() < KEPT_TEXTS_MAX
        {
            self.kept.insert(id, rendered.clone());
        }
        Ok(rendered)
    }

    /// How a query that was rendered in the scope `made_in` is to run, under the context of the scope that is current now, else of that
    /// one: a future may be made in another scope than it is polled in.
    ///
    /// # Errors
    ///
    /// [`MissingContextError`], wrapped, where there is a write, no context, and that was said to be an error.
    pub(crate) fn plan_rendered(
        &self,
        session: &Session,
        rendered: &Rendered,
        made_in: Option<&Scope>,
    ) -> QueryResult<Plan> {
        let protocol = Protocol::Extended { parameters: rendered.parameters };
        adapter::plan(session, &self.settings, &rendered.sql, protocol, || context_of(made_in))
            .map_err(missing)
    }

    /// Whether messages go into the statements that can take them.
    #[cfg(feature = "async")]
    pub(crate) fn inlines_messages(&self) -> bool {
        self.settings.inlines_messages()
    }

    /// How a text of the simple query protocol is to run, as [`plan_rendered`](Self::plan_rendered) says of a query.
    ///
    /// # Errors
    ///
    /// [`MissingContextError`], wrapped, where there is a write, no context, and that was said to be an error.
    pub(crate) fn plan_text(
        &self,
        session: &Session,
        sql: &str,
        made_in: Option<&Scope>,
    ) -> QueryResult<Plan> {
        adapter::plan(session, &self.settings, sql, Protocol::Simple, || context_of(made_in))
            .map_err(missing)
    }
}

impl Rendered {
    fn of(query: &impl QueryFragment<Pg>) -> QueryResult<Self> {
        let mut builder = PgQueryBuilder::new();
        query.to_sql(&mut builder, &Pg)?;
        // The builder counts parameters, and tells only by the number of the next one.
        builder.push_bind_param();
        let mut sql = builder.finish();
        let next = sql.rfind('$').map(|place| sql.split_off(place));
        let next = next.and_then(|next| next.trim_start_matches('$').parse::<usize>().ok());
        Ok(Self { sql: sql.into(), parameters: next.and_then(|next| next.checked_sub(1)) })
    }
}

/// The context of the scope that is current here, else of `made_in`.
fn context_of(made_in: Option<&Scope>) -> Option<Context> {
    Scope::current().as_ref().or(made_in).map(Scope::context)
}

/// As diesel has the errors of what comes before a query is sent; it can be cast back to [`MissingContextError`].
fn missing(error: MissingContextError) -> Error {
    Error::QueryBuilderError(Box::new(error))
}

/// A query with the message in its text, which it takes as its last parameter.
///
/// It is prepared and kept by diesel as the query itself is: by its text where that is safe, else anew each time.
#[derive(Clone, Debug)]
pub(crate) struct Inlined<T> {
    query: T,
    sql: String,
    message: ContextMessage,
}

impl<T> Inlined<T> {
    /// The `query`, its text with the message, and the message, as [`Plan::Inlined`] has them.
    pub(crate) fn new(query: T, sql: String, message: ContextMessage) -> Self {
        Self { query, sql, message }
    }
}

impl<T: Query> Query for Inlined<T> {
    type SqlType = T::SqlType;
}

impl<T> QueryId for Inlined<T> {
    type QueryId = ();

    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<T: QueryFragment<Pg>> QueryFragment<Pg> for Inlined<T> {
    fn walk_ast<'b>(&'b self, mut pass: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        if renders(&mut pass) {
            pass.push_sql(&self.sql);
            return Ok(());
        }
        self.query.walk_ast(pass.reborrow())?;
        pass.push_bind_param::<Text, str>(self.message.as_str())
    }
}

/// Whether `pass` is the one that makes the text. diesel does not say, but only that one remembers what it is told of `FROM`.
fn renders(pass: &mut AstPass<'_, '_, Pg>) -> bool {
    let before = pass.should_skip_from();
    pass.skip_from(true);
    let renders = pass.should_skip_from();
    pass.skip_from(before);
    renders
}

#[cfg(test)]
mod tests {
    use bemi_core::{MessageOptions, MissingContext, with_context_sync};
    use diesel::prelude::*;
    use diesel::sql_types::Integer;
    use diesel::{debug_query, insert_into, sql_query, update};

    use super::*;

    diesel::table! {
        todo (id) {
            id -> Integer,
            task -> Nullable<Text>,
        }
    }

    fn rendered(query: &impl QueryFragment<Pg>) -> (String, Option<usize>) {
        let rendered = Rendered::of(query).unwrap();
        (rendered.sql.to_string(), rendered.parameters)
    }

    fn plan<T>(statements: &mut Statements, query: &T) -> QueryResult<Plan>
    where
        T: QueryFragment<Pg> + QueryId,
    {
        let rendered = statements.render(query)?;
        statements.plan_rendered(&Session::default(), &rendered, None)
    }

    fn message() -> ContextMessage {
        MessageOptions::new().encode(&Context::new().with("user_id", 1), None)
    }

    #[test]
    fn parameters_are_counted() {
        assert_eq!(
            rendered(&todo::table.select(todo::id)),
            (r#"SELECT "todo"."id" FROM "todo""#.to_owned(), Some(0))
        );
        let insert = insert_into(todo::table).values((todo::id.eq(1), todo::task.eq("$9")));
        assert_eq!(
            rendered(&insert),
            (r#"INSERT INTO "todo" ("id", "task") VALUES ($1, $2)"#.to_owned(), Some(2))
        );
        let raw = sql_query("SELECT '$7', $1").bind::<Integer, _>(1);
        assert_eq!(rendered(&raw), ("SELECT '$7', $1".to_owned(), Some(1)));
    }

    #[test]
    fn a_text_is_kept_by_the_id_of_its_query_unless_it_depends_on_values() {
        let mut statements = Statements::default();
        for id in [1, 2] {
            let select = todo::table.filter(todo::id.eq(id)).select(todo::task);
            statements.render(&select).unwrap();
        }
        assert_eq!(statements.kept.len(), 1);
        statements.render(&update(todo::table).set(todo::task.eq("a"))).unwrap();
        statements.render(&sql_query("DELETE FROM todo")).unwrap();
        statements.render(&insert_into(todo::table).values(vec![todo::id.eq(1)])).unwrap();
        assert_eq!(statements.kept.len(), 1);
    }

    #[test]
    fn a_kept_text_is_planned_in_the_scope_of_each_call() {
        let mut statements = Statements::default();
        let insert = insert_into(todo::table).values(todo::id.eq(1));
        for _ in 0..2 {
            assert!(matches!(plan(&mut statements, &insert).unwrap(), Plan::AsIs));
            with_context_sync(Context::new().with("user_id", 1), || {
                assert!(matches!(plan(&mut statements, &insert).unwrap(), Plan::Wrapped(_)));
            });
        }
    }

    #[test]
    fn a_missing_context_can_be_told_from_other_errors() {
        let mut statements = Statements::default();
        statements.set_settings(Settings::new().missing_context(MissingContext::Deny));
        let error = plan(&mut statements, &sql_query("DELETE FROM t")).unwrap_err();
        let Error::QueryBuilderError(error) = error else { panic!("{error}") };
        assert!(error.is::<MissingContextError>());
        let plan_text = |sql| statements.plan_text(&Session::default(), sql, None);
        assert!(plan_text("DELETE FROM t").is_err());
        assert!(plan_text("SELECT 1").is_ok());
    }

    #[test]
    fn an_inlined_message_is_the_last_parameter() {
        let insert = insert_into(todo::table).values(todo::id.eq(1));
        let inlined = Inlined::new(&insert, "the text with $2".to_owned(), message());
        assert_eq!(
            debug_query::<Pg, _>(&inlined).to_string(),
            r#"the text with $2 -- binds: [1, "{\"user_id\":1}"]"#
        );
        assert_eq!(rendered(&&inlined).0, "the text with $2", "also behind a reference");
        assert!(inlined.is_safe_to_cache_prepared(&Pg).unwrap());
        let update = update(todo::table).set(todo::task.eq("a"));
        let inlined = Inlined::new(&update, String::new(), message());
        assert!(!inlined.is_safe_to_cache_prepared(&Pg).unwrap(), "as the query itself");
    }
}
