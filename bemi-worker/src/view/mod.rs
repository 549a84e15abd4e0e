//! How answers about the record look: lines and tables for people, CSV and JSON for programs.
//!
//! Nothing here asks a database. What people see goes through [`Screen`]'s lines, in which nothing
//! that others wrote is obeyed by a terminal; programs get every digit and every byte as it is.

pub(crate) mod csv;
mod field;
mod grid;
mod screen;
mod text;

pub(crate) use grid::Grid;
pub(crate) use screen::{Ink, Line, Screen};
