//! Whether what is stored is covered by a chain, by what, and whether an erasure was cut off.

use tokio_postgres::{Client, Error};

use super::checks::Subject;
use super::finding::Diagnosis;
use crate::chain::HeadState;
use crate::config::Config;

/// What the destination tells of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Chained {
    head: Option<HeadState>,
    /// Erasures that were cut off.
    unfinished: Vec<i64>,
}

impl Chained {
    pub(super) async fn read(config: &Config, destination: &Client) -> Result<Self, Error> {
        let slot = config.slot.as_str();
        let head = HeadState::read(destination, slot).await?;
        let is_there: bool = destination
            .query_one("SELECT pg_catalog.to_regclass('bemi.erasures') IS NOT NULL", &[])
            .await?
            .try_get(0)?;
        let unfinished = if is_there {
            destination
                .query_one(
                    "SELECT coalesce(pg_catalog.array_agg(e.id ORDER BY e.id), '{}') \
                     FROM bemi.erasures AS e \
                     WHERE e.slot = $1 AND e.finished_at IS NULL AND NOT EXISTS ( \
                         SELECT FROM bemi.erasures AS later WHERE later.id > e.id \
                           AND later.slot = e.slot AND later.finished_at IS NOT NULL)",
                    &[&slot],
                )
                .await?
                .try_get(0)?
        } else {
            Vec::new()
        };
        Ok(Self { head, unfinished })
    }
}

pub(super) fn check(subject: &Subject<'_>, diagnosis: &mut Diagnosis) {
    let Chained { head, unfinished } = &subject.facts.chained;
    if let Some(head) = head {
        check_head(head, diagnosis);
    }
    if !unfinished.is_empty() {
        let ids: Vec<String> = unfinished.iter().map(ToString::to_string).collect();
        diagnosis.warn(
            "B097",
            format!("erasures that were not finished: {}", ids.join(", ")),
            "some of the data that was to go is still there",
            "run the same `bemi-worker erase` again, or see SELECT * FROM bemi.erasures",
        );
    }
}

fn check_head(head: &HeadState, diagnosis: &mut Diagnosis) {
    if head.is_wanted != head.is_covering {
        diagnosis.warn(
            "B095",
            "tamper evidence was turned on or off, and no worker has taken that up yet",
            "what is stored until then is not covered, or still is",
            "start `bemi-worker run`",
        );
    } else if head.is_covering {
        diagnosis
            .ok("B095", format!("what is stored is covered by a chain of {} links", head.number));
        if head.key_check.is_none() {
            diagnosis.note(
                "B096",
                "the chain over what is stored is made without a key",
                "whoever may write to the destination can make it anew",
                "give the worker a key, BEMI_CHAIN_KEY; or keep heads of the chain elsewhere, as \
                 `bemi-worker verify` tells them",
            );
        }
    }
}
