//! How answers are shown: JSON as it came, or tables and sentences for people. A table is as wide as what is in it,
//! whatever the terminal: a row is a line, for `grep` and for `less -S`.

use std::io::{self, Write as _};

use anyhow::Context as _;
use comfy_table::{CellAlignment, LineStyle, Table, TableStyle};

use super::pretty::pretty;

const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('-'));

/// Spaces between columns.
const GAP: u16 = 2;

/// A column, by its header.
#[derive(Debug, Clone, Copy)]
pub(super) enum Column {
    /// Left-aligned.
    Text(&'static str),
    /// Right-aligned.
    Number(&'static str),
}

impl Column {
    const fn name(self) -> &'static str {
        match self {
            Self::Text(name) | Self::Number(name) => name,
        }
    }
}

/// A table, or, where it would be empty, `nothing` in its place.
pub(super) fn table_or<const N: usize>(
    nothing: &str,
    columns: [Column; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut rows = rows.into_iter().peekable();
    if rows.peek().is_none() { nothing.to_owned() } else { table(columns, rows) }
}

/// A table, its header first.
pub(super) fn table<const N: usize>(columns: [Column; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let mut table = Table::new();
    table.load_style(STYLE).set_header(columns.map(Column::name));
    for row in rows {
        table.add_row(row.map(|cell| clean(&cell)));
    }
    for (place, (shape, column)) in table.column_iter_mut().zip(columns).enumerate() {
        shape.set_padding((0, if place + 1 < N { GAP } else { 0 }));
        if matches!(column, Column::Number(_)) {
            shape.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}

/// Names and what they stand for, below each other.
pub(super) fn facts<const N: usize>(facts: [(&str, String); N]) -> String {
    let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    let lines = facts.map(|(name, value)| format!("{name:width$}  {}", clean(&value)));
    lines.join("\n")
}

/// A text that does nothing to a terminal but to stand there, in one line: others may have written it.
pub(super) fn clean(text: &str) -> String {
    let is_harmful = |c: char| c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().map(|c| if is_harmful(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// What may be missing, or a dash.
pub(super) fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// Bytes for people, in powers of 1,000 as credits count them (`billing.md` rule 1).
pub(super) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 1_000 {
        return format!("{bytes} B");
    }
    // Tenths of the unit: what is cut off is less than one.
    let mut tenths = bytes / 100;
    let mut unit = 0;
    while tenths >= 10_000 && unit + 1 < UNITS.len() {
        tenths /= 1_000;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

/// JSON as it came, laid out; nothing for an answer without content.
pub(super) fn json(text: &str) -> String {
    if text == "null" { String::new() } else { pretty(text) }
}

/// Prints to standard output. Whoever reads it may have had enough before its end: that is no failure.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    if text.is_empty() {
        return Ok(());
    }
    let mut out = io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error).context("standard output"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_aligned_at_their_right_and_texts_at_their_left() {
        let rows = [
            ["shop".to_owned(), "7".to_owned(), "a".to_owned()],
            ["b".to_owned(), "1200.5".to_owned(), "bb".to_owned()],
        ];
        let table = table([Column::Text("site"), Column::Number("credits"), Column::Text("note")], rows);
        assert_eq!(
            table,
            "site  credits  note\n\
             -------------------\n\
             shop        7  a\n\
             b      1200.5  bb"
        );
    }

    #[test]
    fn a_row_stays_one_line_however_long_it_is() {
        let long = "x".repeat(5_000);
        let table = table([Column::Text("a"), Column::Text("b")], [[long.clone(), format!("a\nb {long}")]]);
        assert_eq!(table.lines().count(), 3);
        assert!(table.lines().last().unwrap().len() > 10_000);
    }

    #[test]
    fn no_text_is_too_long_for_a_table() {
        let table = table([Column::Text("a"), Column::Number("b")], [["x".repeat(70_000), "1".to_owned()]]);
        assert!(table.contains("xxx"));
    }

    #[test]
    fn what_others_wrote_does_nothing_to_the_terminal() {
        let evil = "\u{1b}]0;title\u{7}\u{9b}2J\r\n\u{202e}\u{2066}ok é 日本";
        let shown = table([Column::Text("a")], [[evil.to_owned()]]) + &facts([("a", evil.to_owned())]);
        assert!(shown.contains("ok é 日本"), "{shown}");
        for harmful in ['\u{1b}', '\u{7}', '\u{9b}', '\r', '\u{202e}', '\u{2066}'] {
            assert!(!shown.contains(harmful), "{harmful:?}");
        }
    }

    #[test]
    fn an_answer_without_content_prints_nothing() {
        assert_eq!(json("null"), "");
        assert_eq!(json("[1]"), "[\n  1\n]");
    }

    #[test]
    fn bytes_have_units_of_a_thousand() {
        for (count, expected) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.0 kB"),
            (999_999, "999.9 kB"),
            (5_000_000, "5.0 MB"),
            (500_000_000_000, "500.0 GB"),
            (u64::MAX, "18.4 EB"),
        ] {
            assert_eq!(bytes(count), expected);
        }
    }
}
