//! stub
use crate::query::Flag;
#[derive(Debug, Clone, Default, clap::Args)]
pub struct FilterFlags { #[arg(skip)] pub flags: Vec<Flag> }
