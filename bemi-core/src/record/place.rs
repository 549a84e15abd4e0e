//! Whether a follower can go on from a place.

use super::{Changes, Cursor, Database, Record, RecordError, Sql};

impl<D: Database> Record<D> {
    /// Whether the record has all that is behind a place, so that a follower that goes on there misses
    /// nothing.
    ///
    /// It does not where the place lies behind the end, as one of another record does, or of one that
    /// was restored from a backup; nor where nothing is left of what was there up to the place, since
    /// then somebody may have removed what was behind it as well. Of a filter only the
    /// [`database`](Changes::database) counts.
    ///
    /// # Errors
    /// As [`changes`](Self::changes).
    ///
    /// # Cancellation safety
    /// Nothing is lost but the answer.
    pub async fn reaches(
        &mut self,
        changes: &Changes,
        place: Cursor,
    ) -> Result<bool, RecordError<D::Error>> {
        if self.end_of(changes).await? < place {
            return Ok(false);
        }
        // No change has the sequence 0: it is the place before all of them, or of an empty record.
        if place.sequence.0 == 0 {
            return Ok(true);
        }
        let mut sql = Sql::default();
        let position = sql.parameter(place.commit_position.0.to_bigint().to_string());
        let sequence = sql.parameter(place.sequence.0.to_string());
        // An index of either kind finds the first condition.
        sql.push(&format!(
            "SELECT EXISTS (SELECT FROM {} AS c WHERE c.commit_position <= {position}::bigint \
             AND (c.commit_position, c.sequence) <= ({position}::bigint, {sequence}::bigint)",
            self.changes_table()
        ));
        if let Some(name) = changes.database_name() {
            sql.push(" AND c.database = ");
            sql.bind(name.to_owned());
        }
        sql.push(")::text");
        let held: Option<bool> =
            self.ask("read changes", "whether there are any", &sql).await?.pop();
        Ok(held.unwrap_or(false))
    }
}
