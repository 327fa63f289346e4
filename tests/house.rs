//! The house rules that a compiler does not check: the dependency law, file sizes, heads of files, who may use which crate.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking, and says what it skips"
)]
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A room uses only rooms on lower floors, and files of its own.
const FLOORS: &[(&str, u8)] = &[
    ("main", 8),
    ("run", 7),
    ("plan", 6),
    ("config", 6),
    ("tui", 5),
    ("out", 5),
    ("cmd", 5),
    ("engine", 4),
    ("scan", 4),
    ("source", 4),
    ("serve", 4),
    ("cli", 4),
    ("policy", 3),
    ("query", 3),
    ("demo", 3),
    ("record", 3),
    ("world", 2),
    ("wire", 2),
    ("model", 1),
    ("error", 1),
];

/// Words that may stand only in some rooms: (word, where, why).
const ONLY: &[(&str, &[&str], &str)] = &[
    ("ratatui", &["tui"], "only screens know how screens are drawn"),
    ("crossterm", &["tui"], "only the screen's rim touches the terminal"),
    ("tonic::", &["source", "serve", "wire"], "gRPC lives at the rim; wire holds what the build generates"),
    ("tokio::", &["source", "serve", "tui/mod.rs", "tui/term.rs", "run", "main.rs"], "the core is synchronous"),
    ("SystemTime::now", &["source", "serve", "tui/mod.rs", "run"], "the core has no clock: the same input gives the same output"),
    ("Utc::now", &["source", "serve", "tui/mod.rs", "run"], "the core has no clock: the same input gives the same output"),
    ("Instant::now", &["source", "serve", "tui/mod.rs", "run"], "the core has no clock: the same input gives the same output"),
    ("Color::", &["tui/theme.rs"], "one file says how roles look"),
    ("Modifier::", &["tui/theme.rs"], "one file says how roles look"),
    ("Style::new", &["tui/theme.rs"], "one file says how roles look"),
];

/// Rooms that must not know each other although their floors would allow it: (room, must not use).
const NEVER: &[(&str, &str)] = &[("policy", "wire"), ("policy", "query"), ("source", "policy"), ("scan", "policy")];

const MOST_LINES: usize = 600;

struct File {
    /// Below `src/`, with `/`.
    path: String,
    room: String,
    text: String,
    /// Without its unit tests.
    code: String,
}

fn walk(dir: &Path, out: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            walk(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
}

fn sources() -> Vec<File> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    walk(&src, &mut paths);
    assert!(paths.len() > 30, "found only {} files", paths.len());
    paths
        .into_iter()
        .map(|p| {
            let path = p.strip_prefix(&src).unwrap().to_string_lossy().replace('\\', "/");
            let room = path.split('/').next().unwrap().trim_end_matches(".rs").to_owned();
            let text = fs::read_to_string(&p).unwrap();
            let is_tests = path.ends_with("/tests.rs");
            let code = if is_tests { String::new() } else { text.split("#[cfg(test)]\nmod tests").next().unwrap().to_owned() };
            File { path, room, text, code }
        })
        .collect()
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with("//")
}

/// Rooms that a line of code names: `crate::room`, `flowhy::room`, and the members of `crate::{a, b}`.
fn rooms_named(code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (n, line) in code.lines().enumerate().filter(|(_, l)| !is_comment(l)) {
        for prefix in ["crate::", "flowhy::"] {
            for (at, _) in line.match_indices(prefix) {
                let rest = &line[at + prefix.len()..];
                if let Some(group) = rest.strip_prefix('{') {
                    let mut depth = 0usize;
                    let mut word = String::new();
                    for c in group.chars() {
                        match c {
                            '{' => depth += 1,
                            '}' if depth == 0 => break,
                            '}' => depth -= 1,
                            ',' if depth == 0 => {
                                found.push((n + 1, std::mem::take(&mut word)));
                            }
                            c if depth == 0 && (c.is_alphanumeric() || c == '_' || c == ':') => word.push(c),
                            _ => {}
                        }
                    }
                    found.push((n + 1, word));
                } else {
                    let word: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                    found.push((n + 1, word));
                }
            }
        }
    }
    found.into_iter().map(|(n, w)| (n, w.split(':').next().unwrap_or("").to_owned())).filter(|(_, w)| !w.is_empty()).collect()
}

#[test]
fn a_room_uses_only_rooms_on_lower_floors() {
    let floors: BTreeMap<_, _> = FLOORS.iter().copied().collect();
    let mut broken = Vec::new();
    for f in sources() {
        if f.room == "lib" {
            continue;
        }
        let Some(own) = floors.get(f.room.as_str()) else {
            broken.push(format!("{}: room `{}` has no floor", f.path, f.room));
            continue;
        };
        for (line, used) in rooms_named(&f.code) {
            let Some(floor) = floors.get(used.as_str()) else { continue };
            if used != f.room && floor >= own {
                broken.push(format!("src/{}:{line}: `{}` (floor {own}) uses `{used}` (floor {floor})", f.path, f.room));
            }
            if NEVER.contains(&(f.room.as_str(), used.as_str())) {
                broken.push(format!("src/{}:{line}: `{}` must not know `{used}`", f.path, f.room));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn the_law_has_teeth() {
    let named = rooms_named("use crate::{model::row::Row, wire::{pb, json}};\nlet x = crate::tui::run;\n// use crate::policy\n");
    assert_eq!(named, [(1, "model".to_owned()), (1, "wire".to_owned()), (2, "tui".to_owned())]);
}

#[test]
fn crates_and_clocks_stay_in_their_rooms() {
    let mut broken = Vec::new();
    for f in sources() {
        for (n, line) in f.code.lines().enumerate().filter(|(_, l)| !is_comment(l)) {
            for (word, rooms, why) in ONLY {
                let allowed = rooms.iter().any(|r| f.path == *r || f.room == *r);
                if line.contains(word) && !allowed {
                    broken.push(format!("src/{}:{}: `{word}`: {why}", f.path, n + 1));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn files_have_a_head_and_an_end() {
    let mut broken = Vec::new();
    for f in sources() {
        let lines = f.text.lines().count();
        if lines > MOST_LINES {
            broken.push(format!("src/{}: {lines} lines; over {MOST_LINES} is split", f.path));
        }
        if !f.text.starts_with("//!") && !f.path.ends_with("tests.rs") {
            broken.push(format!("src/{}: does not say at its head what it owns", f.path));
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// The fuzzers are built with `--locked` by a lock of their own, which nothing else would notice to be behind.
#[test]
fn a_new_dependency_is_in_the_lock_of_the_fuzzers() {
    let read = |path: &str| fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    let (manifest, lock) = (read("Cargo.toml"), read("tests/fuzz/Cargo.lock"));
    let manifest: toml_edit::DocumentMut = manifest.parse().unwrap();
    let needed: Vec<&str> = manifest["dependencies"].as_table().unwrap().iter().map(|(name, _)| name).collect();
    let known = |name: &str| lock.lines().any(|l| l == format!("name = \"{name}\""));
    let missing: Vec<&&str> = needed.iter().filter(|n| **n != "cel" && !known(n)).collect();
    assert!(needed.len() > 20 && missing.is_empty(), "{missing:?}: `cargo metadata` in tests/fuzz writes them down");
}

#[test]
fn an_allowed_lint_names_its_reason() {
    let mut broken = Vec::new();
    for f in sources() {
        for (n, line) in f.text.lines().enumerate() {
            let l = line.trim_start();
            if (l.starts_with("#[allow(") || l.starts_with("#![allow(") || l.starts_with("#[expect(") || l.starts_with("#![expect("))
                && !f.text.lines().skip(n).take(8).collect::<String>().split(")]").next().unwrap_or("").contains("reason")
            {
                broken.push(format!("src/{}:{}: {l}", f.path, n + 1));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// `rust-version` is true only if no dependency needs a newer compiler.
#[test]
fn rust_version_is_what_the_dependencies_need_at_most() {
    // Only this platform's packages have been fetched, and nothing is fetched by a test.
    let rustc = std::process::Command::new("rustc").arg("-vV").output().unwrap();
    let host = String::from_utf8_lossy(&rustc.stdout).lines().find_map(|l| l.strip_prefix("host: ").map(str::to_owned)).unwrap();
    let out = std::process::Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--offline", "--locked", "--filter-platform", &host])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let meta: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    let version = |p: &serde_json::Value| -> Option<Vec<u32>> {
        p["rust_version"].as_str().map(|v| v.split('.').filter_map(|n| n.parse().ok()).collect())
    };
    let packages = meta["packages"].as_array().unwrap();
    let own = packages.iter().find(|p| p["name"] == "flowhy").and_then(version).unwrap();
    let newer: Vec<_> =
        packages.iter().filter(|p| version(p).is_some_and(|v| v[..2.min(v.len())] > own[..2])).map(|p| p["id"].to_string()).collect();
    assert!(newer.is_empty(), "need a newer Rust than rust-version: {newer:?}");
}
