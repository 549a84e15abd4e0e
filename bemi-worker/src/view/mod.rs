//! How answers about the record look: lines and tables for people, CSV and JSON for programs.
//!
//! Nothing here asks a database. What people see goes through [`Screen`]'s lines, in which nothing
//! that others wrote is obeyed by a terminal; programs get every digit and every byte as it is.

mod activity;
mod as_of;
mod change;
mod changes;
pub(crate) mod coverage;
mod csv;
pub(crate) mod detail;
mod difference;
mod field;
mod grid;
mod json;
pub(crate) mod plan;
mod row_at;
mod screen;
mod text;

pub(crate) use activity::ActivityView;
pub(crate) use as_of::AsOfView;
pub(crate) use changes::ChangesView;
pub(crate) use difference::DifferenceView;
use grid::Grid;
pub(crate) use screen::Screen;
pub(crate) use text::printable;

/// In which format an answer is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum AnswerFormat {
    /// For people
    #[default]
    Table,
    /// One JSON object a line
    Json,
    /// Comma-separated values with a heading, as RFC 4180 has them
    Csv,
}
