//! What was done, group by group, in the format that was asked for.

use std::io::{self, Write};

use bemi_core::Operation;
use bemi_core::record::{Activity, Grouping, TableName, Touched};

use super::{AnswerFormat, Grid, Screen, csv, json};

const HEADING_CSV: [&str; 10] = [
    "id",
    "first_at",
    "last_at",
    "first",
    "last",
    "changes",
    "touched",
    "who",
    "endpoints",
    "databases",
];

/// Writes groups as they come.
#[derive(Debug)]
pub(crate) struct ActivityView {
    format: AnswerFormat,
    screen: Screen,
    /// What the groups are called.
    by: String,
    grid: Option<Grid>,
    /// Whether it is told of which database they are: where there are several.
    has_databases: bool,
    has_heading: bool,
}

impl ActivityView {
    /// Nothing is written yet.
    pub(crate) fn new(format: AnswerFormat, screen: Screen, by: &Grouping) -> Self {
        let by = match by {
            Grouping::Context(key) => key.to_uppercase(),
            Grouping::Trace => "TRACE".to_owned(),
            _ => "COMMIT".to_owned(),
        };
        Self { format, screen, by, grid: None, has_databases: false, has_heading: false }
    }

    /// Writes a page of them; CSV has its heading even if there are none.
    pub(crate) fn write(&mut self, out: &mut dyn Write, page: &[Activity]) -> io::Result<()> {
        match self.format {
            AnswerFormat::Table => self.write_grid(out, page),
            AnswerFormat::Json => page.iter().try_for_each(|activity| json::write(out, activity)),
            AnswerFormat::Csv => {
                if !std::mem::replace(&mut self.has_heading, true) {
                    csv::write(out, HEADING_CSV.map(Some))?;
                }
                page.iter().try_for_each(|activity| write_record(out, activity))
            }
        }
    }

    fn write_grid(&mut self, out: &mut dyn Write, page: &[Activity]) -> io::Result<()> {
        let Some(first) = page.first() else { return Ok(()) };
        if self.grid.is_none() {
            let other = |activity: &Activity| activity.databases != first.databases;
            self.has_databases = first.databases.len() > 1 || page.iter().any(other);
        }
        let rows: Vec<Vec<String>> = page.iter().map(|activity| self.row(activity)).collect();
        let grid = match self.grid.take() {
            Some(grid) => grid,
            None => {
                let mut heading = vec!["LAST", self.by.as_str()];
                heading.extend(self.has_databases.then_some("DATABASE"));
                heading.extend(["WHO", "CHANGES", "WHAT", "ENDPOINT"]);
                Grid::begin(out, self.screen, &heading, &rows)?
            }
        };
        rows.iter().try_for_each(|row| grid.row(out, row))?;
        self.grid = Some(grid);
        Ok(())
    }

    fn row(&self, activity: &Activity) -> Vec<String> {
        let touched: Vec<String> = activity.touched.iter().map(told).collect();
        let mut row = vec![format!("{:.6}", activity.last_at), activity.id.clone()];
        row.extend(self.has_databases.then(|| activity.databases.join(", ")));
        row.extend([
            activity.who.join(", "),
            activity.changes.to_string(),
            touched.join(", "),
            activity.endpoints.join(", "),
        ]);
        row
    }
}

/// `2 updated in todo`
fn told(touched: &Touched) -> String {
    let table = TableName::new(touched.schema.as_str(), touched.table.as_str());
    let done = match touched.operation {
        Operation::Create => "created in",
        Operation::Update => "updated in",
        Operation::Delete => "deleted from",
        Operation::Truncate => return format!("{table} emptied"),
        Operation::Ddl if touched.table.is_empty() => return format!("{} DDL", touched.changes),
        Operation::Ddl => "DDL of",
        _ => "stored of",
    };
    format!("{} {done} {table}", touched.changes)
}

fn write_record(out: &mut dyn Write, activity: &Activity) -> io::Result<()> {
    let values = [
        activity.id.clone(),
        activity.first_at.to_string(),
        activity.last_at.to_string(),
        activity.first.to_string(),
        activity.last.to_string(),
        activity.changes.to_string(),
        serde_json::to_string(&activity.touched)?,
        serde_json::to_string(&activity.who)?,
        serde_json::to_string(&activity.endpoints)?,
        serde_json::to_string(&activity.databases)?,
    ];
    csv::write(out, values.iter().map(|value| Some(value.as_str())))
}
