//! One run of a program as a whole process: wall time, CPU time, peak of anonymous memory; and the time of a core that this thread had.
use nix::sys::resource::{UsageWho, getrusage};
use nix::time::{ClockId, clock_gettime};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Figures of a run.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    pub wall: f64,
    /// User and system seconds.
    pub cpu: f64,
    /// Bytes of `RssAnon` at its highest; 0 where the system does not tell.
    pub anon: u64,
}

/// CPU seconds of all children that have ended.
fn children() -> f64 {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap();
    let seconds = |t: nix::sys::time::TimeVal| t.tv_sec() as f64 + t.tv_usec() as f64 / 1e6;
    seconds(usage.user_time()) + seconds(usage.system_time())
}

/// Runs it once, stdout to /dev/null.
pub fn once(program: &str, args: &[String]) -> Run {
    let before = children();
    let began = Instant::now();
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|e| panic!("{program}: {e}"));
    let mut anon = 0;
    let mut looks = 0u32;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if looks.is_multiple_of(8) {
            anon = anon.max(rss_anon(child.id()));
        }
        looks += 1;
        std::thread::sleep(Duration::from_micros(500));
    };
    let wall = began.elapsed().as_secs_f64();
    assert!(status.code().is_some_and(|c| c <= 1), "{program} {args:?}: {status}");
    Run { wall, cpu: children() - before, anon }
}

/// The middle one by wall time of `n` runs, after one that warms the cache.
pub fn median(program: &str, args: &[String], n: usize) -> Run {
    if n > 1 {
        once(program, args);
    }
    let mut runs: Vec<Run> = (0..n).map(|_| once(program, args)).collect();
    let anon = runs.iter().map(|r| r.anon).max().unwrap_or(0);
    runs.sort_by(|a, b| a.wall.total_cmp(&b.wall));
    Run { anon, ..runs[runs.len() / 2] }
}

/// What this thread has had of a core so far: whatever else the machine does is not in it.
pub fn own_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap().into()
}

/// Bytes of this process's memory at its highest; 0 where the system does not tell.
pub fn own_peak() -> u64 {
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else { return 0 };
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    line.and_then(|l| l.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) * 1024
}

fn rss_anon(pid: u32) -> u64 {
    let Ok(status) = std::fs::read_to_string(format!("/proc/{pid}/status")) else { return 0 };
    let line = status.lines().find_map(|l| l.strip_prefix("RssAnon:"));
    line.and_then(|l| l.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) * 1024
}
