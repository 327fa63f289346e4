//! Arbitrary command lines, one argument a line: never a panic, and what is asked of a server comes back from its own words.
#![no_main]
use clap::Parser;
use flowhy::cli::Cli;
use flowhy::plan::{Env, plan};
use flowhy::query::{Filters, compile, from_flags, split_args};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let words: Vec<String> = text.lines().map(str::to_owned).collect();
    if let Ok((flags, _)) = split_args(&words)
        && let Ok(filters) = from_flags(&flags)
    {
        let sent = Filters { whitelist: filters.whitelist.clone(), blacklist: filters.blacklist.clone(), ..Filters::default() };
        assert_eq!(compile(&filters).is_ok(), compile(&sent).is_ok(), "{words:?}");
    }
    if let Ok(cli) = Cli::try_parse_from(std::iter::once("flowhy").chain(words.iter().map(String::as_str))) {
        let _ = plan(cli, &Env { stdout_tty: true, utf8: true, ..Env::default() });
    }
});
