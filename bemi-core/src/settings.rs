//! What an adapter was told about contexts: how to encode them, which functions write, and what to do without one.
//!
//! All adapters take the same [`Settings`], so that the same words mean the same everywhere.

use std::sync::Arc;

use crate::statement::{NotAFunctionName, Statement, WriteFunctions};
use crate::{Context, ContextMessage, MessageOptions, Redaction, SqlCapture};

/// How a pool or connection tracks what is written through it.
///
/// A clone is cheap: it shares what it holds.
///
/// ```
/// use bemi_core::{MissingContext, Redaction, Settings};
///
/// let settings = Settings::new()
///     .without_sql()
///     .size_limit_bytes(16 * 1024)
///     .redaction(Redaction::default().also("iban"))
///     .missing_context(MissingContext::Warn)
///     .write_functions(["transfer", "billing.close_month"])?;
/// # Ok::<(), bemi_core::statement::NotAFunctionName>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Settings(Arc<Choices>);

#[derive(Clone, Debug, Default)]
struct Choices {
    messages: MessageOptions,
    functions: WriteFunctions,
    missing_context: MissingContext,
    inline_messages: bool,
}

/// What becomes of a write outside any scope.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum MissingContext {
    /// It runs, and has no context.
    #[default]
    Allow,
    /// It runs, has no context, and a warning is logged with the statement's text, its literals left out.
    Warn,
    /// It does not run: the call fails with a [`MissingContextError`].
    Deny,
}

/// A write was refused because it ran outside any scope.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "refused to run a write outside any scope, as `MissingContext::Deny` asks: run it inside `with_context`, or in a \
     request that the context layer has seen; the statement is: {sql}"
)]
pub struct MissingContextError {
    /// The statement, without its literals.
    sql: String,
}

impl Settings {
    /// The defaults: the statement's text goes along without its literals, 64 KiB, the default [`Redaction`], no functions that
    /// write, and writes outside any scope are allowed.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Leaves the statement's text out of the context. A transaction then has one message as long as the context does not
    /// change, instead of one for each different statement.
    #[must_use]
    pub fn without_sql(self) -> Self {
        self.with_messages(|messages| messages.sql(SqlCapture::Off))
    }

    /// Puts the statement's text into the context as it was sent, with its literals. Values that are bound are never in it, but
    /// literals may hold personal data and secrets.
    #[must_use]
    pub fn raw_sql_with_literals(self) -> Self {
        self.with_messages(|messages| messages.sql(SqlCapture::Raw))
    }

    /// Limits the encoded context to that many bytes, 256 to 1,000,000. The default is 64 KiB. Of a larger context the largest
    /// values are left out, and what was left out is said.
    #[must_use]
    pub fn size_limit_bytes(self, bytes: usize) -> Self {
        self.with_messages(|messages| messages.size_limit_bytes(bytes))
    }

    /// Redacts the values of other keys than the default ones.
    #[must_use]
    pub fn redaction(self, redaction: Redaction) -> Self {
        self.with_messages(|messages| messages.redaction(redaction))
    }

    /// Names the functions that write, so that a `SELECT` that calls one of them counts as a write. A later list replaces an
    /// earlier one. A single call can be declared a write by [`write`](crate::write) instead.
    ///
    /// # Errors
    ///
    /// When one of the names is neither `name` nor `schema.name`.
    pub fn write_functions<I>(self, names: I) -> Result<Self, NotAFunctionName>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let functions = WriteFunctions::new(names)?;
        Ok(self.with(|choices| choices.functions = functions))
    }

    /// Says what becomes of a write outside any scope.
    #[must_use]
    pub fn missing_context(self, missing_context: MissingContext) -> Self {
        self.with(|choices| choices.missing_context = missing_context)
    }

    /// Puts the message into the statement itself where that is provably the same statement, which saves the round trips: a plain
    /// `UPDATE` or `DELETE` with a condition, or a one-row `INSERT` with bound values. Everything else runs as without. See
    /// [`with_message`](crate::statement::with_message).
    ///
    /// The server sees a text that is a little longer and has one more parameter; so do `pg_stat_statements` and `current_query()`.
    /// What else differs:
    ///
    /// - Rows that a `BEFORE … FOR EACH STATEMENT` trigger writes come before the message, so they have the context of the write
    ///   before.
    /// - On a table with rules (`CREATE RULE`) the message may come more than once, each time the same. A rule `ON INSERT` whose
    ///   action is a `UNION`, `INTERSECT` or `EXCEPT` refuses the `INSERT`, as the server knows no such action under a condition:
    ///   leave this off where there is one.
    #[must_use]
    pub fn inline_messages(self) -> Self {
        self.with(|choices| choices.inline_messages = true)
    }

    /// What `sql` does, with the functions that were said to write.
    #[must_use]
    pub fn classify<'sql>(&self, sql: &'sql str) -> Statement<'sql> {
        Statement::classify_with(sql, self.functions())
    }

    /// The message that is to govern what the statement `sql` writes; `{}` outside any scope. For those who write an adapter.
    ///
    /// # Errors
    ///
    /// Where there is no context and that was said to be an error.
    pub fn message(
        &self,
        context: Option<&Context>,
        sql: &str,
    ) -> Result<ContextMessage, MissingContextError> {
        match context {
            Some(context) => Ok(self.0.messages.encode(context, Some(sql))),
            None => self.allow_missing(sql).map(|()| ContextMessage::empty()),
        }
    }

    /// What is to be done where the write `sql` has no context.
    pub(crate) fn allow_missing(&self, sql: &str) -> Result<(), MissingContextError> {
        match self.0.missing_context {
            MissingContext::Allow => Ok(()),
            MissingContext::Warn => {
                let sql = crate::statement::redact_literals(sql);
                tracing::warn!(%sql, "a write runs outside any scope: its rows have no context");
                Ok(())
            }
            MissingContext::Deny => {
                let sql = crate::statement::redact_literals(sql).into_owned();
                Err(MissingContextError { sql })
            }
        }
    }

    /// Encodes, whatever is said of a missing context.
    pub(crate) fn encode(&self, context: Option<&Context>, sql: &str) -> ContextMessage {
        context.map_or_else(ContextMessage::empty, |context| {
            self.0.messages.encode(context, Some(sql))
        })
    }

    pub(crate) fn functions(&self) -> &WriteFunctions {
        &self.0.functions
    }

    /// Whether [`inline_messages`](Self::inline_messages) was asked for. For those who write an adapter.
    #[must_use]
    pub fn inlines_messages(&self) -> bool {
        self.0.inline_messages
    }

    fn with(mut self, change: impl FnOnce(&mut Choices)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }

    fn with_messages(self, change: impl FnOnce(MessageOptions) -> MessageOptions) -> Self {
        self.with(|choices| choices.messages = change(std::mem::take(&mut choices.messages)))
    }
}
