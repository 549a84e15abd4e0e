//! Pages of a record of many changes: of one record, of one user, of one request, the last ones.

use std::time::{Duration, Instant};

use bemi_core::record::{Changes, Cursor, Database, Grouping, LIMIT_DEFAULT, Record, TableName};
use bemi_core::{CommitPosition, Lsn, changes_table};
use bemi_tests::Explained;
use bemi_worker::connect::Session;

use crate::Result;
use crate::many::{self, TRANSACTION_CHANGES, USERS};
use crate::options::Options;
use crate::report;
use crate::server::{Server, Tracked};

/// How many changes each row has.
const CHANGES_OF_A_ROW: u32 = 100;

/// The indexes that docs/changes.md recommends for what is asked here.
const RECOMMENDED: [&str; 2] = [
    "CREATE INDEX ON changes ((context ->> 'user_id'), commit_position, sequence)",
    "CREATE INDEX ON changes ((context ->> 'request_id'), commit_position, sequence)",
];

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Question {
    History,
    HistoryTurned,
    User,
    Request,
    Last,
    LastRequests,
    New,
}

impl Question {
    const ALL: [Self; 7] = [
        Self::History,
        Self::HistoryTurned,
        Self::User,
        Self::Request,
        Self::Last,
        Self::LastRequests,
        Self::New,
    ];

    /// For people.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::History => "history of one record",
            Self::HistoryTurned => "the same, the second page",
            Self::User => "what a user did",
            Self::Request => "what a request did",
            Self::Last => "the last changes",
            Self::LastRequests => "the last requests",
            Self::New => "what is new to a follower",
        }
    }

    /// How long the answer may take, where a target was set.
    pub(crate) const fn target(self) -> Option<Duration> {
        match self {
            Self::History => Some(Duration::from_millis(10)),
            Self::User | Self::Request => Some(Duration::from_millis(50)),
            Self::HistoryTurned | Self::Last | Self::LastRequests | Self::New => None,
        }
    }
}

/// How long the answers to a question took, in ascending order, and how the server found one.
pub(crate) struct Answers {
    pub(crate) question: Question,
    pub(crate) times: Vec<Duration>,
    pub(crate) plan: String,
}

/// Makes the record, asks, and prints.
pub(crate) async fn measure(server: &Server, options: &Options) -> Result<()> {
    let tracked = server.tracked().await?;
    let client = &tracked.client;
    let rows = options.changes / CHANGES_OF_A_ROW;
    eprintln!("making {} changes of {rows} rows", options.changes);
    // The answers are the same, and read the same pages of the disk.
    client.batch_execute("ALTER TABLE changes SET UNLOGGED").await?;
    let indexes: Vec<String> = changes_table::create_statements("public")
        .into_iter()
        .filter(|statement| statement.starts_with("CREATE INDEX"))
        .collect();
    // Made at the end, in a third of the time.
    client
        .batch_execute(
            "DROP INDEX changes_record_idx, changes_previous_key_idx, changes_truncate_idx, \
             changes_commit_position_idx",
        )
        .await?;
    many::make(client, options.changes, rows, false).await?;
    eprintln!("making the indexes");
    for index in indexes.iter().map(String::as_str).chain(RECOMMENDED) {
        client.batch_execute(index).await?;
    }
    client.batch_execute("VACUUM ANALYZE changes").await?;
    tracked.settle().await?;

    let mut all = Vec::new();
    for question in Question::ALL {
        eprintln!("asking for {}", question.name());
        all.push(ask_many(&tracked, options, question).await?);
    }
    let bytes: i64 = client.query_one("SELECT pg_table_size('changes')", &[]).await?.get(0);
    report::pages(options, bytes, &all);
    tracked.close().await
}

async fn ask_many(tracked: &Tracked, options: &Options, question: Question) -> Result<Answers> {
    let mut record = Record::new(Session::new(tracked.database.connect().await?));
    // A connection that has been in use, as one of a pool is.
    ask(&mut record, tracked, options, question).await?;
    let mut times = Vec::new();
    for _ in 0..options.questions {
        times.push(ask(&mut record, tracked, options, question).await?);
    }
    times.sort_unstable();
    let client = tracked.database.connect().await?;
    let mut explained = Explained::new(client, "ANALYZE, BUFFERS, COSTS OFF");
    ask(&mut Record::new(&mut explained), tracked, options, question).await?;
    Ok(Answers { question, times, plan: explained.plan().to_owned() })
}

/// Asks about something drawn at random; returns how long the answer took.
async fn ask<D: Database>(
    record: &mut Record<D>,
    tracked: &Tracked,
    options: &Options,
    question: Question,
) -> Result<Duration> {
    let key = fastrand::u32(0..options.changes / CHANGES_OF_A_ROW);
    let history = Changes::new().record(TableName::new("public", "todo"), i64::from(key));
    let transaction = fastrand::u32(0..options.changes / TRANSACTION_CHANGES);
    let changes = match question {
        Question::History => history,
        Question::HistoryTurned => {
            let first = record.changes(&history).await?;
            history.after(first.next.ok_or("the history has no second page")?)
        }
        Question::User => Changes::new().context("user_id", transaction % USERS),
        Question::Request => {
            Changes::new().context("request_id", request(tracked, transaction).await?)
        }
        Question::Last | Question::LastRequests | Question::New => Changes::new(),
    };
    let end = match question {
        Question::New => before_the_last_transaction(tracked).await?,
        _ => Cursor::START,
    };
    let started = Instant::now();
    let found = match question {
        Question::LastRequests => {
            record.requests(&Grouping::default(), &changes).await?.items.len()
        }
        Question::New => record.follow(&changes, end).await?.changes.len(),
        _ => record.changes(&changes).await?.items.len(),
    };
    let time = started.elapsed();
    let expected = match question {
        Question::Request | Question::New => TRANSACTION_CHANGES,
        // A user has fewer changes than a page in a short run.
        Question::User => LIMIT_DEFAULT.min((options.changes / USERS).max(TRANSACTION_CHANGES)),
        _ => LIMIT_DEFAULT,
    };
    if found != usize::try_from(expected)? {
        let name = question.name();
        return Err(format!("{name}: {found} are on the page, and not {expected}").into());
    }
    Ok(time)
}

/// The id of the request that made a transaction.
async fn request(tracked: &Tracked, transaction: u32) -> Result<String> {
    let hash = "SELECT md5($1)";
    Ok(tracked.client.query_one(hash, &[&transaction.to_string()]).await?.get(0))
}

/// Where a follower is that has all but the last transaction.
async fn before_the_last_transaction(tracked: &Tracked) -> Result<Cursor> {
    let last: i64 =
        tracked.client.query_one("SELECT max(commit_position) FROM changes", &[]).await?.get(0);
    Ok(Cursor::behind(CommitPosition(Lsn::from_bigint(last - 1))))
}
