//! Random tables, and what is written to them.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use bytes::Bytes;
use futures_util::SinkExt as _;
use tokio_postgres::Client;

use crate::draw::Draw;
use crate::literal;
use crate::truth::{self, Told};
use crate::types::{Part, Shape};
use crate::values::Values;
use crate::{message, quote, sql_literal};

/// Columns of a table, besides its key.
pub(crate) const COLUMNS: usize = 24;

/// Rows that are written to a table.
const ROWS: usize = 40;

/// A table with random columns.
pub(crate) struct Table {
    pub(crate) name: String,
    pub(crate) columns: Vec<Column>,
    /// What was written to each column of each row, first and later.
    written: Vec<Vec<Vec<Cell>>>,
}

pub(crate) struct Column {
    pub(crate) name: String,
    /// As in CREATE TABLE.
    declared: String,
    pub(crate) of: Part,
}

/// A value, as SQL has it.
#[derive(Clone)]
enum Cell {
    Null,
    Text(String),
    /// Of a type that takes no text.
    Expression(&'static str),
}

impl Cell {
    fn sql(&self) -> String {
        match self {
            Self::Null => "NULL".to_owned(),
            Self::Text(text) => sql_literal(text),
            Self::Expression(sql) => (*sql).to_owned(),
        }
    }
}

/// A type as a column is declared with it.
pub(crate) struct Declared {
    pub(crate) sql: String,
    pub(crate) part: Part,
}

/// Tables which together have a column of each type, in which the types meet others at random.
pub(crate) fn all(mut types: Vec<Declared>, draw: &mut Draw) -> Vec<Table> {
    draw.shuffle(&mut types);
    types
        .chunks(COLUMNS)
        .enumerate()
        .map(|(number, columns)| Table::new(number, columns, draw))
        .collect()
}

impl Table {
    fn new(number: usize, columns: &[Declared], draw: &mut Draw) -> Self {
        let mut names = BTreeSet::from(["id".to_owned()]);
        let columns = columns
            .iter()
            .enumerate()
            .map(|(place, declared)| {
                let mut name = if draw.one_in(3) { draw.name() } else { format!("c{place}") };
                while !names.insert(name.clone()) {
                    name = draw.name();
                }
                Column { name, declared: declared.sql.clone(), of: declared.part }
            })
            .collect();
        Self { name: format!("t{number}"), columns, written: Vec::new() }
    }

    pub(crate) fn definition(&self) -> String {
        let columns: Vec<_> = self
            .columns
            .iter()
            .map(|column| format!(", {} {}", quote(&column.name), column.declared))
            .collect();
        format!("CREATE TABLE public.{} (id bigint PRIMARY KEY{})", self.name, columns.concat())
    }

    /// The definition, and the trigger that tells the truth.
    pub(crate) fn script(&self, values: &Values) -> String {
        let mut told = vec![Told { name: "id", as_text: false }];
        told.extend(
            self.columns
                .iter()
                .map(|column| Told { name: &column.name, as_text: column.is_told_as_text(values) }),
        );
        format!("{}; {}", self.definition(), truth::install(&self.name, &told, "r.id::text"))
    }

    /// Every kind of write, with random values.
    pub(crate) async fn write(&mut self, client: &Client, values: &Values, draw: &mut Draw) {
        let in_one_transaction = draw.one_in(3);
        if in_one_transaction {
            self.run(client, "BEGIN").await;
        }
        let rows: Vec<Vec<Cell>> = (0..ROWS)
            .map(|_| self.columns.iter().map(|column| column.draw(values, draw)).collect())
            .collect();
        self.written =
            rows.iter().map(|row| row.iter().map(|cell| vec![cell.clone()]).collect()).collect();
        let mut first = 0;
        while first < ROWS {
            let end = ROWS.min(first + 1 + draw.below(8));
            let numbered = (first..).zip(&rows[first..end]);
            if draw.one_in(3) {
                self.copy(client, numbered).await;
            } else {
                let rows: Vec<_> =
                    numbered.map(|(id, row)| format!("({id}{})", list(row))).collect();
                self.run(
                    client,
                    &format!("INSERT INTO public.{} VALUES {}", self.name, rows.join(", ")),
                )
                .await;
            }
            first = end;
        }
        for id in 0..ROWS {
            self.update(id, client, values, draw).await;
        }
        // The other rows stay: they are what is compared with what their records restore.
        let gone: Vec<_> = (0..ROWS).step_by(3).map(|id| id.to_string()).collect();
        self.run(
            client,
            &format!("DELETE FROM public.{} WHERE id IN ({})", self.name, gone.join(", ")),
        )
        .await;
        if in_one_transaction {
            self.run(client, "COMMIT").await;
        }
    }

    /// Any of the columns, also none.
    async fn update(&mut self, id: usize, client: &Client, values: &Values, draw: &mut Draw) {
        let mut assignments = vec!["id = id".to_owned()];
        let share = 1 + draw.below(8);
        for (column, written) in self.columns.iter().zip(&mut self.written[id]) {
            if draw.one_in(share) {
                let cell = column.draw(values, draw);
                assignments.push(format!("{} = {}", quote(&column.name), cell.sql()));
                written.push(cell);
            }
        }
        self.run(
            client,
            &format!("UPDATE public.{} SET {} WHERE id = {id}", self.name, assignments.join(", ")),
        )
        .await;
    }

    async fn copy(&self, client: &Client, rows: impl Iterator<Item = (usize, &Vec<Cell>)>) {
        // COPY has values only. What is an expression is left NULL.
        let mut lines = String::new();
        for (id, row) in rows {
            write!(lines, "{id}").unwrap();
            for cell in row {
                lines.push('\t');
                match cell {
                    Cell::Text(text) => lines.push_str(&copy_text(text)),
                    Cell::Null | Cell::Expression(_) => lines.push_str("\\N"),
                }
            }
            lines.push('\n');
        }
        let copied = async {
            let sink = client
                .copy_in::<_, Bytes>(&format!("COPY public.{} FROM STDIN", self.name))
                .await?;
            let mut sink = std::pin::pin!(sink);
            sink.send(Bytes::from(lines.clone())).await?;
            sink.finish().await
        };
        if let Err(error) = copied.await {
            panic!("{}\n{}\n{lines:.4000}", message(&error), self.definition());
        }
    }

    async fn run(&self, client: &Client, sql: &str) {
        if let Err(error) = client.batch_execute(sql).await {
            panic!("{}\n{}\n{sql:.4000}", message(&error), self.definition());
        }
    }

    /// For a human: a column's type, and all that was written to it in one row.
    pub(crate) fn story(&self, key: Option<&str>, column: &str) -> String {
        let place = self.columns.iter().position(|known| known.name == column);
        let row = key.and_then(|key| key.parse::<usize>().ok()).and_then(|id| self.written.get(id));
        let (Some(place), Some(row)) = (place, row) else { return format!("{column:?}") };
        let written: Vec<_> =
            row[place].iter().map(|cell| format!("\n    written: {:.600}", cell.sql())).collect();
        format!("{column:?} {}{}", self.columns[place].declared, written.concat())
    }
}

impl Column {
    /// A type that has a cast to json is stored as its text.
    fn is_told_as_text(&self, values: &Values) -> bool {
        values.types.base_of(self.of.oid).is_cast_to_json
    }

    fn draw(&self, values: &Values, draw: &mut Draw) -> Cell {
        let base = values.types.base_of(self.of.oid);
        if matches!(base.shape, Shape::Base) {
            if base.bare_name == "json" && draw.one_in(8) {
                return Cell::Text(literal::json_beyond_jsonb(draw));
            }
            if let Some(expression) = literal::expression(&base.bare_name)
                && draw.one_in(2)
            {
                return Cell::Expression(expression);
            }
        }
        values.text(self.of, draw).map_or(Cell::Null, Cell::Text)
    }
}

fn list(row: &[Cell]) -> String {
    row.iter().map(|cell| format!(", {}", cell.sql())).collect()
}

/// As COPY reads it.
fn copy_text(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n").replace('\r', "\\r")
}
