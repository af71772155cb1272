//! The documentation keeps its word: its links lead somewhere, every page is in the book, and every command is in a guide.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::*;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every page: those at the top, and all of `docs/`.
fn pages() -> Vec<PathBuf> {
    let mut pages = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "STYLE.md"]
        .map(|name| root().join(name))
        .to_vec();
    markdown(&root().join("docs"), &mut pages);
    pages
}

fn markdown(folder: &Path, pages: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            markdown(&path, pages);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            pages.push(path);
        }
    }
}

/// The anchors of a page's headings, as forges and mdBook make them.
fn anchors(page: &Path) -> Vec<String> {
    let text = fs::read_to_string(page).unwrap();
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let kept = |c: &char| c.is_alphanumeric() || ['-', '_', ' '].contains(c);
    let anchor = |line: &str| -> String {
        line.trim_start_matches('#')
            .trim()
            .to_lowercase()
            .chars()
            .filter(kept)
            .map(|c| if c == ' ' { '-' } else { c })
            .collect()
    };
    headings.map(anchor).collect()
}

#[test]
fn every_relative_link_leads_somewhere() {
    let mut broken = Vec::new();
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for (at, _) in text.match_indices("](") {
            let link = text[at + 2..].split(')').next().unwrap();
            let (target, anchor) = link.split_once('#').unwrap_or((link, ""));
            let path = if target.is_empty() { page.clone() } else { page.parent().unwrap().join(target) };
            let is_there =
                || path.exists() && (anchor.is_empty() || anchors(&path).iter().any(|found| found == anchor));
            if !target.contains("://") && !is_there() {
                broken.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn every_page_is_in_the_book() {
    let docs = root().join("docs");
    let summary = fs::read_to_string(docs.join("SUMMARY.md")).unwrap();
    let mut pages = Vec::new();
    markdown(&docs, &mut pages);
    let missing: Vec<_> = pages
        .iter()
        .map(|page| page.strip_prefix(&docs).unwrap().to_str().unwrap())
        .filter(|page| *page != "SUMMARY.md" && !summary.contains(&format!("]({page})")))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn the_picture_is_the_same_in_light_and_dark() {
    let drawing = |mode: &str| {
        let svg = fs::read_to_string(root().join(format!("docs/pictures/two-locks-{mode}.svg"))).unwrap();
        let (before, after) = (svg.split("<style>").next().unwrap(), svg.split("</style>").nth(1).unwrap());
        before.to_owned() + after
    };
    assert_eq!(drawing("light"), drawing("dark"));
}

#[test]
fn every_command_is_in_a_guide() {
    let mut guides = vec![root().join("README.md")];
    markdown(&root().join("docs/guides"), &mut guides);
    let guides: String = guides.iter().map(|page| fs::read_to_string(page).unwrap()).collect();
    let help = succeed(root(), "--help");
    let groups = help.split("Options:").next().unwrap();
    // A wrapped description is indented deeper than a command.
    let names =
        groups.lines().filter(|line| line.starts_with("  ") && line.as_bytes()[2].is_ascii_lowercase());
    let names: Vec<_> = names.map(|line| line.split_whitespace().next().unwrap()).collect();
    assert!(names.len() > 5, "{names:?}");
    for name in names.into_iter().filter(|name| *name != "help") {
        let shown = [format!("portcullis {name}"), format!("portcullis --home registry {name}")];
        assert!(shown.iter().any(|shown| guides.contains(shown)), "{name}");
    }
}

#[test]
fn completions_name_every_command() {
    let script = succeed(root(), "completions bash");
    for name in ["import", "verify", "show", "run", "score", "demo"] {
        assert!(script.contains(name), "{name}");
    }
}
