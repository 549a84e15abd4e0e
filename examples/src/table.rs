//! A table as psql prints it: aligned, with `+` where a value goes on in the next line.
//!
//! Invariant: nothing is cut off.

use std::fmt::Write;

/// The table. Values may have several lines.
pub fn render(names: &[&str], rows: &[Vec<String>]) -> String {
    let widths: Vec<usize> = names
        .iter()
        .enumerate()
        .map(|(column, name)| {
            let values = rows.iter().filter_map(|row| row.get(column));
            values.flat_map(|value| value.lines()).map(width).fold(width(name), usize::max)
        })
        .collect();
    let mut text = String::new();
    let header: Vec<_> =
        names.iter().zip(&widths).map(|(name, w)| format!(" {name:^w$} ")).collect();
    text.push_str(header.join("|").trim_end());
    text.push('\n');
    let rule: Vec<_> = widths.iter().map(|w| "-".repeat(w + 2)).collect();
    text.push_str(&rule.join("+"));
    text.push('\n');
    for row in rows {
        push_row(&mut text, row, &widths);
    }
    let plural = if rows.len() == 1 { "" } else { "s" };
    // Writing to a string cannot fail.
    let _ = writeln!(text, "({} row{plural})", rows.len());
    text
}

fn push_row(text: &mut String, row: &[String], widths: &[usize]) {
    let height = row.iter().map(|value| value.lines().count()).fold(1, usize::max);
    for line in 0..height {
        let cells: Vec<_> = row
            .iter()
            .zip(widths)
            .map(|(value, w)| {
                let mut lines = value.lines().skip(line);
                let part = lines.next().unwrap_or_default();
                let goes_on = if lines.next().is_some() { '+' } else { ' ' };
                format!(" {part:<w$}{goes_on}")
            })
            .collect();
        text.push_str(cells.join("|").trim_end());
        text.push('\n');
    }
}

/// The text of a JSON object with a line for each of its fields; any other text as it is.
pub fn break_object(json: &str) -> String {
    if !json.starts_with('{') {
        return json.to_owned();
    }
    let mut broken = String::with_capacity(json.len());
    let (mut depth, mut in_string, mut escaped, mut after_comma) = (0_u32, false, false, false);
    for character in json.chars() {
        broken.push(character);
        if after_comma && character == ' ' {
            broken.pop();
            broken.push_str("\n ");
        }
        after_comma = false;
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => in_string = !in_string,
            _ if in_string => {}
            '{' | '[' => depth += 1,
            '}' | ']' => depth = depth.saturating_sub(1),
            ',' => after_comma = depth == 1,
            _ => {}
        }
    }
    broken
}

fn width(line: &str) -> usize {
    line.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_broken_between_its_own_fields_only() {
        let json = r#"{"a": 1, "b": "x, {\", y", "c": {"d": [1, 2], "e": {}}, "f": [3, 4]}"#;
        let lines = [
            r#"{"a": 1,"#,
            r#" "b": "x, {\", y","#,
            r#" "c": {"d": [1, 2], "e": {}},"#,
            r#" "f": [3, 4]}"#,
        ];
        assert_eq!(break_object(json), lines.join("\n"));
    }

    #[test]
    fn nothing_else_is_broken() {
        for text in ["", "{}", "2026-01-01 00:00:00, UTC", r#"{"a, b": 1}"#, "[1, 2]"] {
            assert_eq!(break_object(text), text);
        }
    }

    #[test]
    fn a_table_looks_as_psql_prints_it() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        let rows = [row(["1", "{\"a\": 1,\n \"bc\": 2}", "x"]), row(["20", "{}", ""])];
        // psql 15 printed this, but for the blanks at the ends of lines.
        let printed = [
            r#" id |   value   | long name"#,
            r#"----+-----------+-----------"#,
            r#" 1  | {"a": 1, +| x"#,
            r#"    |  "bc": 2} |"#,
            r#" 20 | {}        |"#,
            r#"(2 rows)"#,
            "",
        ];
        assert_eq!(render(&["id", "value", "long name"], &rows), printed.join("\n"));
    }
}
