//! The connections of a library that are measured in turn.

use std::time::Duration;

use bemi_core::{Settings, with_context};

use crate::Result;
use crate::databases::{Databases, context};
use crate::library::{Library, Variant};
use crate::place::Place;
use crate::work::{Operation, batch};

/// A connection for each variant; that with the statement's text is also the one outside any scope.
pub(crate) struct Sessions<L: Library> {
    plain: L::Plain,
    text: L::Ours,
    without_sql: L::Ours,
    inline: L::Ours,
    trigger: L::Plain,
}

impl<L: Library> Sessions<L> {
    /// Connects.
    ///
    /// # Errors
    /// Those of the library.
    pub(crate) async fn open(databases: &Databases, place: &Place) -> Result<Self> {
        let tracked = place.url(&databases.tracked);
        let settings = Settings::new();
        Ok(Self {
            plain: L::plain(&tracked).await?,
            text: L::ours(&tracked, settings.clone()).await?,
            without_sql: L::ours(&tracked, settings.clone().without_sql()).await?,
            inline: L::ours(&tracked, settings.inline_messages()).await?,
            trigger: L::plain(&place.url(&databases.audited)).await?,
        })
    }

    /// Does the operation `count` times, after `done` times before, and says how long it took. The scope is that of a request
    /// with several statements: it is entered once.
    ///
    /// # Errors
    /// Those of the library.
    pub(crate) async fn run(
        &mut self,
        variant: Variant,
        operation: Operation,
        done: u32,
        count: u32,
    ) -> Result<Duration> {
        let in_scope = |ours| with_context(context(), batch(ours, operation, done, count));
        match variant {
            Variant::Plain => batch(&mut self.plain, operation, done, count).await,
            Variant::Trigger => batch(&mut self.trigger, operation, done, count).await,
            Variant::Outside => batch(&mut self.text, operation, done, count).await,
            Variant::Text => in_scope(&mut self.text).await,
            Variant::WithoutSql => in_scope(&mut self.without_sql).await,
            Variant::Inline => in_scope(&mut self.inline).await,
        }
    }
}
