//! What `docs/faults-pkcs11.md` says is tested, is.

use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn every_fault_has_its_row_and_every_test_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let document = fs::read_to_string(root.join("../docs/faults-pkcs11.md")).expect("the document");
    let tests: String = sources(&root.join("tests")).iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let rows: Vec<_> = document.lines().filter_map(row).collect();
    let mut numbers = Vec::new();
    for cells in &rows {
        let names: Vec<_> = cells.last().unwrap().split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "no test: {cells:?}");
        for name in names {
            assert!(exists(root, &tests, name), "no test `{name}`: {cells:?}");
        }
        if let Ok(number) = cells[0].parse::<u32>() {
            assert!(["T", "R", "C", "X"].contains(&cells[2]), "no class: {cells:?}");
            numbers.push(number);
        }
    }
    assert_eq!(numbers, (1..=51).collect::<Vec<_>>());
    assert!(!exists(root, &tests, "survived::no_such_case") && !exists(root, &tests, "pool::tests::no_such_case"));
}

/// The cells of a line of a table that is neither its head nor its rule.
fn row(line: &str) -> Option<Vec<&str>> {
    let cells: Vec<_> = line.strip_prefix("| ")?.strip_suffix(" |")?.split(" | ").collect();
    (!matches!(cells[0], "#" | "fault")).then_some(cells)
}

/// `file::tests::name` is a unit test, `conformance` a program, anything else a case by that name in some program.
fn exists(root: &Path, tests: &str, name: &str) -> bool {
    if let Some((file, function)) = name.split_once("::tests::") {
        let source = fs::read_to_string(root.join(format!("src/{file}.rs"))).unwrap_or_default();
        return source.contains(&format!("    #[test]\n    fn {function}()"));
    }
    if !name.contains("::") {
        return root.join(format!("tests/{name}.rs")).is_file();
    }
    // The quotation marks: this file names none of them so.
    tests.contains(&format!("(\"{name}\", "))
}

fn sources(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
}
