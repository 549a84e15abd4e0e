//! Which changes, as flags say it: the same filter as everywhere else, by the same parser.

use bemi_core::Lsn;
use bemi_core::record::{Changes, Cursor, InvalidFilter, Point, Record};
use jiff::Timestamp;

use crate::WorkerError;
use crate::connect::Session;

/// How many changes are asked for at once, where all of them are wanted.
const PAGE_CHANGES: u32 = 1_000;

/// Which changes. All conditions hold; of tables and operations, any.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Which changes")]
pub(super) struct FilterOptions {
    /// Of this operation: create, update, delete, truncate, snapshot or ddl; again: of any of these
    #[arg(long, value_name = "OPERATION", value_delimiter = ',')]
    operation: Vec<String>,

    /// UPDATEs of this column; again: of all of these
    #[arg(long, value_name = "COLUMN")]
    field: Vec<String>,

    /// Where the context has this value; a dot leads into an object: user.id=188; again: and this
    #[arg(long = "where", value_name = "KEY=VALUE")]
    context: Vec<String>,

    /// Where nobody said a context
    #[arg(long)]
    no_context: bool,

    /// Of this trace, over all services: trace_id, or the id in traceparent, of the context
    #[arg(long, value_name = "ID")]
    trace: Option<String>,

    /// Where the row before contains this, as @> of jsonb has it
    #[arg(long, value_name = "JSON")]
    before_contains: Vec<String>,

    /// Where the row after contains this: '{"status": "done"}'
    #[arg(long, value_name = "JSON")]
    after_contains: Vec<String>,

    /// Where the context contains this
    #[arg(long, value_name = "JSON")]
    context_contains: Vec<String>,

    /// Of this transaction, by its id
    #[arg(long, value_name = "XID")]
    transaction: Option<u32>,

    /// Of the transaction that committed there, as `requests --by transaction` tells it
    #[arg(long, value_name = "LSN")]
    commit: Option<Lsn>,

    /// Of this source database, where the changes of several are stored in one place
    #[arg(long, value_name = "NAME")]
    database: Option<String>,
}

/// A stretch of time.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
#[command(next_help_heading = "Which changes")]
pub(super) struct SpanOptions {
    /// Since this point: an instant, how long ago (-2h), or behind a place, as @tx:740
    #[arg(long, value_name = "POINT", allow_hyphen_values = true)]
    since: Option<Point>,

    /// Until this point: before an instant, or up to a place
    #[arg(long, value_name = "POINT", allow_hyphen_values = true)]
    until: Option<Point>,
}

/// From where, and how many.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Which changes")]
pub(super) struct PageOptions {
    /// Only the first so many [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,

    /// Go on behind this place, which is told where there is more: <commit_position>.<sequence>
    #[arg(long, value_name = "CURSOR")]
    after: Option<Cursor>,
}

/// Which comes first.
#[derive(Clone, Copy, Debug, clap::Args)]
#[command(next_help_heading = "Which changes")]
pub(super) struct OrderOption {
    /// The last change first, or the first
    #[arg(long, value_enum, default_value_t, value_name = "WHICH")]
    order: OrderArgument,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum OrderArgument {
    #[default]
    Newest,
    Oldest,
}

impl FilterOptions {
    /// The filter, with these pairs of the command's own.
    pub(super) fn changes(
        &self,
        own: impl IntoIterator<Item = (&'static str, String)>,
    ) -> Result<Changes, WorkerError> {
        Changes::from_pairs(self.pairs().into_iter().chain(own)).map_err(by_flag)
    }

    /// Whether it is about one trace.
    pub(super) fn is_of_a_trace(&self) -> bool {
        self.trace.is_some()
    }

    /// Whether it is no condition at all.
    pub(super) fn is_empty(&self) -> bool {
        self.pairs().is_empty()
    }

    fn pairs(&self) -> Vec<(&'static str, String)> {
        let mut pairs = Vec::new();
        let lists = [
            ("operation", &self.operation),
            ("changed", &self.field),
            ("where", &self.context),
            ("before", &self.before_contains),
            ("after", &self.after_contains),
            ("context", &self.context_contains),
        ];
        for (name, values) in lists {
            pairs.extend(values.iter().map(|value| (name, value.clone())));
        }
        if self.no_context {
            pairs.push(("no-context", "true".to_owned()));
        }
        pairs.extend(self.trace.iter().map(|id| ("trace", id.clone())));
        pairs.extend(self.transaction.iter().map(|id| ("transaction", id.to_string())));
        pairs.extend(self.commit.iter().map(|lsn| ("commit", lsn.to_string())));
        pairs.extend(self.database.iter().map(|name| ("database", name.clone())));
        pairs
    }
}

impl SpanOptions {
    /// Whether it is all of time.
    pub(super) fn is_empty(self) -> bool {
        self.since.is_none() && self.until.is_none()
    }

    /// The filter, narrowed to this stretch.
    pub(super) async fn narrow(
        self,
        mut changes: Changes,
        record: &mut Record<Session>,
    ) -> Result<Changes, WorkerError> {
        if let Some(point) = self.since {
            changes = match instant(point)? {
                Some(instant) => changes.since(instant),
                None => changes.behind(record.resolve(point).await?),
            };
        }
        if let Some(point) = self.until {
            changes = match instant(point)? {
                Some(instant) => changes.until(instant),
                None => changes.up_to(record.resolve(point).await?),
            };
        }
        Ok(changes)
    }
}

impl PageOptions {
    /// The filter, going on where it is to go on.
    pub(super) fn begin(&self, changes: Changes) -> Changes {
        match self.after {
            Some(place) => changes.after(place),
            None => changes,
        }
    }

    /// How many to ask for at once where so many were shown; none where these were enough.
    pub(super) fn next(&self, shown: u64) -> Option<u32> {
        let left = self.limit.map_or(u64::MAX, |limit| limit.saturating_sub(shown));
        let next = u32::try_from(left).map_or(PAGE_CHANGES, |left| left.min(PAGE_CHANGES));
        (next > 0).then_some(next)
    }
}

impl OrderOption {
    /// The filter, in this order.
    pub(super) fn put(self, changes: Changes) -> Changes {
        match self.order {
            OrderArgument::Newest => changes.newest_first(),
            OrderArgument::Oldest => changes.oldest_first(),
        }
    }
}

/// What is wrong with the filter, told by the flags that said it.
fn by_flag(error: InvalidFilter) -> WorkerError {
    let what = match error {
        InvalidFilter::Value { name, source } => {
            let flag = match name.as_str() {
                "changed" => "field",
                "before" => "before-contains",
                "after" => "after-contains",
                "context" => "context-contains",
                "cursor" => "after",
                other => other,
            };
            format!("--{flag}: {source}")
        }
        other => other.to_string(),
    };
    WorkerError::Usage { what }
}

/// The point, if it is an instant by the clock.
pub(super) fn instant(point: Point) -> Result<Option<Timestamp>, WorkerError> {
    match point {
        Point::At(instant) => Ok(Some(instant)),
        Point::Ago(time) => match Timestamp::now().checked_sub(time) {
            Ok(instant) => Ok(Some(instant)),
            Err(_) => Err(WorkerError::Usage { what: format!("{point} is before all time") }),
        },
        _ => Ok(None),
    }
}
