//! `docs/http-checklist.md` is true: each point has a row, and each test that it names is there.

use std::{collections::BTreeSet, fs, path::Path};

/// Points of the standards, of what is refused, and of what origins send.
const POINTS: [(&str, u32); 3] = [("", 43), ("F", 15), ("B", 4)];

fn read(path: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// The cells of each row that begins with a point.
fn rows(document: &str) -> Vec<[&str; 3]> {
    let is_point = |cell: &str| cell.chars().last().is_some_and(|last| last.is_ascii_digit());
    let cells = document.lines().map(|line| line.split('|').map(str::trim).collect::<Vec<_>>());
    cells.filter(|cells| cells.len() == 5 && is_point(cells[1])).map(|cells| [cells[1], cells[2], cells[3]]).collect()
}

#[test]
fn each_point_has_a_row_with_tests_or_a_reason() {
    let document = read("docs/http-checklist.md");
    let rows = rows(&document);
    let given: Vec<String> = rows.iter().map(|[point, ..]| (*point).to_owned()).collect();
    let expected: Vec<String> =
        POINTS.iter().flat_map(|(prefix, count)| (1..=*count).map(move |number| format!("{prefix}{number}"))).collect();
    assert_eq!(given, expected);
    for [point, _, tests] in rows {
        assert!(tests.starts_with('`') || tests.starts_with("— "), "point {point} has neither tests nor a reason");
    }
}

#[test]
fn each_test_that_is_named_exists() {
    let document = read("docs/http-checklist.md");
    let rows = rows(&document);
    let tests = rows.iter().map(|[.., tests]| *tests).filter(|tests| tests.starts_with('`'));
    let named: BTreeSet<&str> = tests.flat_map(|tests| tests.split('`').skip(1).step_by(2)).collect();
    assert!(named.len() > 43, "{named:?}");
    for name in named {
        let (module, test) = name.rsplit_once("::").unwrap_or_else(|| panic!("{name} names no module"));
        let path = if module.starts_with("src/") { module.to_owned() } else { format!("tests/blackbox/{module}.rs") };
        assert!(read(&path).contains(&format!("fn {test}(")), "{name} is not in {path}");
    }
}
