//! stub
#[derive(Default)] pub struct Options { pub filter: String, pub color: bool, pub ascii: bool, pub title: String, pub live: bool }
pub async fn run(e: crate::engine::Engine, _: crate::source::feed::Inbox, _: Options) -> Result<crate::engine::Engine, crate::error::Error> { Ok(e) }
