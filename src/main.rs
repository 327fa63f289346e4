//! Parse, plan, run, exit code; nothing else.
use mimalloc::MiMalloc;
use std::process::ExitCode;

/// A decoded flow is some sixty small allocations that are given back at once: with the C library's allocator a third of the time of
/// taking in a flow goes there (`cargo bench -- dashboard`), and with musl's far more.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    ExitCode::from(flowhy::run::main())
}
