//! Reading changes.

use super::changes::by_id;
use super::{Changes, Database, Page, Record, RecordError};
use crate::{Change, ChangeId};

const DOING: &str = "read changes";
const WHAT: &str = "a change";

impl<D: Database> Record<D> {
    /// A page of the changes that fulfil the filter, in its order.
    ///
    /// Each call is a statement of its own: what was stored since the last page is on the next one, if
    /// its place is there. Pages neither repeat nor miss what was there all the time.
    ///
    /// # Errors
    /// [`RecordError::NotSetUp`] where there is no record, [`RecordError::Database`] where the server
    /// refuses.
    ///
    /// # Cancellation safety
    /// Nothing is lost but the answer.
    pub async fn changes(
        &mut self,
        changes: &Changes,
    ) -> Result<Page<Change>, RecordError<D::Error>> {
        let sql = changes.to_sql(&self.changes_table());
        let items = self.ask(DOING, WHAT, &sql).await?;
        Ok(Page::of(items, changes.page_limit(), Change::cursor))
    }

    /// The change of that id; `None` where the record does not have it.
    ///
    /// # Errors
    /// As [`changes`](Self::changes).
    ///
    /// # Cancellation safety
    /// Nothing is lost but the answer.
    pub async fn change(&mut self, id: ChangeId) -> Result<Option<Change>, RecordError<D::Error>> {
        let sql = by_id(&self.changes_table(), id);
        Ok(self.ask(DOING, WHAT, &sql).await?.pop())
    }
}
