//! A part of a long answer.

use serde::{Deserialize, Serialize};

use super::Cursor;

/// A part of an answer, and where the next one begins.
///
/// Pages follow the order of changes, not counts of rows: what is stored while somebody turns pages
/// moves nothing, repeats nothing and hides nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// What to ask for with [`Changes::after`](super::Changes::after) to go on; `None` where there is
    /// no more.
    pub next: Option<Cursor>,
}

impl<T> Page<T> {
    /// The page of at most `limit` of these, of which one more was asked for.
    pub(crate) fn of(mut items: Vec<T>, limit: u32, place: impl Fn(&T) -> Cursor) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(place);
        Self { items, next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_knows_whether_there_is_more() {
        let place = |&(): &()| Cursor::START;
        let page = |count, limit| Page::of(vec![(); count], limit, place);
        assert_eq!((page(3, 2).items.len(), page(3, 2).next), (2, Some(Cursor::START)));
        assert_eq!((page(2, 2).items.len(), page(2, 2).next), (2, None));
        assert_eq!(page(0, 2).next, None);
    }
}
