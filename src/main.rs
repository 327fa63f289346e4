//! Parse, plan, run, exit code; nothing else.
use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(flowhy::run::main())
}
