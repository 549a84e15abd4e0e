//! Writes all changes of a filter, page by page.

use std::io::{self, Write};

use bemi_core::record::{Changes, Record};

use super::filter_options::PageOptions;
use super::output_options::{OutputOptions, standard_output};
use crate::WorkerError;
use crate::connect::Session;
use crate::view::ChangesView;

/// Writes the changes, each page as it comes, and tells on standard error how to go on, where there is
/// more than was asked for.
pub(super) async fn write(
    record: &mut Record<Session>,
    changes: Changes,
    page: &PageOptions,
    output: OutputOptions,
) -> Result<(), WorkerError> {
    let mut changes = page.begin(changes);
    let mut out = standard_output();
    let mut view = ChangesView::begin(&mut out, output.format, output.screen())?;
    let mut shown = 0;
    let mut rest = None;
    while let Some(count) = page.next(shown) {
        let found = record.changes(&changes.clone().limit(count)).await?;
        for change in &found.items {
            view.write(&mut out, change)?;
            shown += 1;
        }
        out.flush()?;
        rest = found.next;
        let Some(place) = rest else { break };
        changes = changes.after(place);
    }
    if shown == 0 {
        writeln!(io::stderr(), "no changes were found")?;
    }
    if let Some(place) = rest {
        writeln!(io::stderr(), "there are more: --after {place}")?;
    }
    Ok(())
}
