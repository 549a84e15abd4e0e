//! `GET /records/{table}/{key}`: the history of a record, for people outside.

use bemi_core::record::{Changes, Cursor, Order, Record};
use http::{Response, StatusCode};
use serde::Serialize;

use super::answer::{self, Body, Refusal};
use super::exposure::Shown;
use super::query;
use super::route::Endpoints;
use crate::config::Exposed;

/// Changes on a page, if nothing else is said, and at most.
const LIMIT_DEFAULT: u32 = 50;
const LIMIT_MAX: u32 = 200;

/// A page of a record's history.
#[derive(Serialize)]
struct History {
    table: String,
    changes: Vec<Shown>,
    /// To go on with; `None` at the end.
    next: Option<Cursor>,
}

/// Which page is wanted.
struct Wanted {
    order: Order,
    cursor: Option<Cursor>,
    limit: u32,
}

/// Answers with a page.
pub(super) async fn history(
    endpoints: &Endpoints,
    exposed: &Exposed,
    key: String,
    query: Option<&str>,
) -> Result<Response<Body>, Refusal> {
    let wanted = Wanted::read(query)?;
    let mut changes = Changes::new()
        .database(endpoints.database())
        .record(exposed.table.clone(), key)
        .order(wanted.order)
        .limit(wanted.limit);
    if let Some(cursor) = wanted.cursor {
        changes = changes.after(cursor);
    }
    let mut lent = endpoints.pool().lend().await?;
    let mut record = Record::new(&mut lent.session).in_schema(endpoints.changes_schema());
    let page = record.changes(&changes).await.map_err(super::pool::AskError::from)?;
    endpoints.pool().give_back(lent);
    let history = History {
        table: exposed.table.to_string(),
        changes: page.items.iter().filter_map(|change| exposed.show(change)).collect(),
        next: page.next,
    };
    Ok(answer::json(StatusCode::OK, &history))
}

impl Wanted {
    fn read(query: Option<&str>) -> Result<Self, Refusal> {
        let mut wanted = Self { order: Order::NewestFirst, cursor: None, limit: LIMIT_DEFAULT };
        for (name, value) in query::pairs(query)? {
            let wrong = |why: String| Refusal::Request(format!("{name}: {why}"));
            match name.as_str() {
                "order" => {
                    wanted.order = match value.as_str() {
                        "newest" => Order::NewestFirst,
                        "oldest" => Order::OldestFirst,
                        _ => return Err(wrong("it is newest or oldest".to_owned())),
                    }
                }
                "cursor" => {
                    let cursor = value.parse::<Cursor>();
                    wanted.cursor = Some(cursor.map_err(|error| wrong(error.to_string()))?);
                }
                "limit" => match value.parse() {
                    Ok(limit @ 1..=LIMIT_MAX) => wanted.limit = limit,
                    _ => return Err(wrong(format!("it is a number from 1 to {LIMIT_MAX}"))),
                },
                _ => return Err(wrong("there are order, cursor and limit, no more".to_owned())),
            }
        }
        Ok(wanted)
    }
}
