//! `GET /records/{table}/{key}`: the history of a record, for people outside.

use bemi_core::record::{Changes, Cursor, InvalidCursor, Order};
use http::{Response, StatusCode};
use serde::Serialize;

use super::answer::{self, Body, Refusal};
use super::exposure::Shown;
use super::pool::AskError;
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
    let page = endpoints.record(&mut lent).changes(&changes).await.map_err(AskError::from)?;
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
        let mut pairs = query::pairs(query)?;
        let wrong = |why: String| Err(Refusal::Request(why));
        let order = match query::take_one(&mut pairs, "order")?.as_deref() {
            None | Some("newest") => Order::NewestFirst,
            Some("oldest") => Order::OldestFirst,
            Some(_) => return wrong("order: it is newest or oldest".to_owned()),
        };
        let cursor = match query::take_one(&mut pairs, "cursor")?.map(|text| text.parse()) {
            None => None,
            Some(Ok(cursor)) => Some(cursor),
            Some(Err(error)) => {
                let error: InvalidCursor = error;
                return wrong(format!("cursor: {error}"));
            }
        };
        let limit = match query::take_one(&mut pairs, "limit")?.map(|text| text.parse()) {
            None => LIMIT_DEFAULT,
            Some(Ok(limit @ 1..=LIMIT_MAX)) => limit,
            Some(_) => return wrong(format!("limit: it is a number from 1 to {LIMIT_MAX}")),
        };
        match pairs.first() {
            None => Ok(Self { order, cursor, limit }),
            Some((name, _)) => wrong(format!("{name}: there are order, cursor and limit, no more")),
        }
    }
}
