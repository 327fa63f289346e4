//! flowhy answers one question: *this flow was dropped: why, by which policy, and what is the smallest change that lets it through?*
//!
//! # The map
//!
//! Everything that happens is an [`model::input::Input`]; sources only make Inputs. The engine is a plain synchronous struct
//! with one owner: `feed(Input)` → decode → enrich → admit → attribute → store. Screens and outputs only read.
//!
//! ```text
//!    rim (tokio tasks)                              core (one thread, sync)                      edge
//!  ┌──────────────────────┐   bounded mpsc    ┌─────────────────────────────────────────┐
//!  │ source/hubble   gRPC │  Vec<Input> ≤256  │ decode → enrich → admit → attribute     │   ┌────────────┐
//!  │ source/file   replay ├──────────────────►│  wire     world   query     policy      ├──►│ tui  (draw)│
//!  │ source/manifests     │   64 batches      │                     │                   │   │ out  (text)│
//!  └──────────┬───────────┘                   │              ┌──────▼──────┐            │   └────────────┘
//!             │                               │              │ store+causes│            │
//!     back-pressure: the channel fills,       └──────────────┴─────────────┴────────────┘
//!     the source stops reading
//! ```
//!
//! Two shorter ways, where nothing is explained, held or derived: the engine reads of a frame only the fields that filter and format
//! ask for (`wire::lean`), and files do not enter the engine at all: `scan` passes over every line that cannot match, works on
//! blocks of lines side by side and writes them in their order.
//!
//! ```text
//!   files ─ blocks ─┬─ worker: search → lean read → filter → format ─┐
//!                   └─ worker ────────────────────────────────────────┴─ order → stdout
//! ```
//!
//! # The dependency law (checked by `tests/house.rs`)
//!
//! A room uses only rooms on lower floors, and files of its own.
//!
//! | floor | rooms |
//! | --- | --- |
//! | 8, 7 | `main` · `run` |
//! | 6 | `plan` (it names the options of the rooms it plans for), `config` |
//! | 5 | `tui`, `out`, `cmd` |
//! | 4 | `engine`, `scan`, `source`, `serve`, `cli` |
//! | 3 | `policy`, `query`, `demo`, `record` |
//! | 2 | `world`, `wire` |
//! | 1 | `model`, `error` |
//!
//! Besides: `policy` uses no `wire` and no `query`; `source` and `scan` use no `policy`. `ratatui` appears only in `tui`; `tonic` only in
//! `source` and `serve`; the wall clock is read only in `source`, `serve`, `tui/mod` and `run`.

pub mod cli;
pub mod cmd;
pub mod config;
pub mod demo;
pub mod engine;
pub mod error;
pub mod model;
pub mod out;
pub mod plan;
pub mod policy;
pub mod query;
pub mod record;
pub mod run;
pub mod scan;
pub mod serve;
pub mod source;
pub mod tui;
pub mod wire;
pub mod world;
