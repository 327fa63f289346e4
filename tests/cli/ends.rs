//! What stands at the ends of the program: pipes that close, signals, torn and noisy input, lines without end.
use super::{err, file, flow, flowhy, out, run};
use std::fs;
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[test]
fn a_closed_pipe_is_a_success() {
    let mut child = flowhy()
        .args(["demo", "--headless", "--rate", "max", "-o", "jsonpb"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0u8; 4096];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    // The reader is gone now.
    let o = child.wait_with_output().unwrap();
    assert_eq!((o.status.code(), err(&o).as_str()), (Some(0), ""));
    assert!(first.starts_with(b"{\"flow\""));
}

#[test]
#[cfg(unix)]
fn an_interrupt_flushes_and_is_a_success() {
    let mut child =
        flowhy().args(["observe", "--input-file", "-", "-o", "jsonpb"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let line = flow("a", "b", "FORWARDED", "");
    let mut stdin = child.stdin.take().unwrap();
    writeln!(stdin, "{line}").unwrap();
    stdin.flush().unwrap();
    let mut got = vec![0; line.len() + 1];
    // The line comes at once, although the pipe stays open.
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut got).unwrap();
    assert_eq!(String::from_utf8(got).unwrap().trim_end(), line);
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let began = Instant::now();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(5));
    drop(stdin);
}

#[test]
#[cfg(unix)]
fn an_interrupt_is_heard_before_the_first_line_and_while_the_reader_sleeps() {
    let told = |mut child: std::process::Child, signal: &str| {
        std::thread::sleep(Duration::from_millis(1500));
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
        let began = Instant::now();
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return status.code();
            }
            if began.elapsed() > Duration::from_secs(10) {
                child.kill().unwrap();
                panic!("{signal} was not heard");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    for signal in ["-INT", "-TERM"] {
        let mut child = flowhy().args(["observe", "--input-file", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let _silent = child.stdin.take().unwrap();
        assert_eq!(told(child, signal), Some(0), "{signal}");
        // The pipe fills and nobody empties it: what is cut off in the middle is no success.
        let mut child = flowhy().args(["demo", "--headless", "--rate", "max"]).stdout(Stdio::piped()).spawn().unwrap();
        let _asleep = child.stdout.take().unwrap();
        assert_eq!(told(child, signal), Some(130), "{signal}");
    }
}

#[test]
fn malformed_lines_are_counted_with_their_place_and_the_rest_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let good = flow("a", "b", "FORWARDED", "");
    let f = file(dir.path(), "f.jsonl", format!("{good}\nno json\n\n{good}\n{{\"flow\":{{\n"));
    let o = run(&["observe", "--input-file", &f, "-o", "jsonpb"]);
    assert_eq!(o.status.code(), Some(0));
    assert_eq!(out(&o), format!("{good}\n{good}\n"));
    assert!(err(&o).contains("2 lines could not be read"), "{}", err(&o));
    assert!(err(&o).contains("f.jsonl:2:") && err(&o).contains("f.jsonl:5:"), "{}", err(&o));
    assert_eq!(err(&run(&["observe", "-q", "--input-file", &f])), "");
}

#[test]
fn a_torn_archive_gives_what_it_has_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let mut z = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    for n in 0..2000 {
        writeln!(z, "{}", flow("a", &format!("b{n}"), "FORWARDED", "")).unwrap();
    }
    let whole = z.finish().unwrap();
    let o = run(&["observe", "--input-file", &file(dir.path(), "whole.gz", &whole), "-o", "jsonpb"]);
    assert_eq!((o.status.code(), out(&o).lines().count()), (Some(0), 2000));
    let o = run(&["observe", "--input-file", &file(dir.path(), "torn.gz", &whole[..whole.len() / 2]), "-o", "jsonpb"]);
    assert_eq!(o.status.code(), Some(4), "{}", err(&o));
    assert!(err(&o).contains("torn.gz"), "{}", err(&o));
    assert!(out(&o).lines().count() > 100);
}

#[test]
fn a_hundred_megabytes_of_noise_stay_bounded_and_are_counted() {
    let mut child = flowhy()
        .args(["observe", "--input-file", "-", "-o", "jsonpb"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let pid = child.id();
    let mut peak = 0u64;
    let mut x = 88_172_645_463_325_252u64;
    for _ in 0..1600 {
        let block: Vec<u8> = (0..8192)
            .flat_map(|_| {
                x ^= x << 13;
                x ^= x >> 7;
                x ^= x << 17;
                x.to_le_bytes()
            })
            .collect();
        stdin.write_all(&block).unwrap();
        peak = peak.max(resident(pid));
    }
    drop(stdin);
    let o = child.wait_with_output().unwrap();
    assert_eq!((o.status.code(), out(&o).as_str()), (Some(0), ""));
    assert!(err(&o).contains("lines could not be read"), "{}", err(&o));
    assert!(peak < 200 << 20, "{} MiB", peak >> 20);
}

/// Bytes of memory, where /proc says.
fn resident(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let kib = text.lines().find_map(|l| l.strip_prefix("VmRSS:")).and_then(|l| l.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

#[test]
fn a_line_of_fifty_megabytes_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let long = flow("a", "b", "FORWARDED", &format!(r#","Summary":"{}""#, "x".repeat(50 << 20)));
    let f = file(dir.path(), "long.jsonl", format!("{long}\n{}\n", flow("a", "c", "FORWARDED", "")));
    let o = run(&["observe", "--input-file", &f, "-o", "jsonpb"]);
    assert_eq!(o.status.code(), Some(0), "{}", err(&o));
    assert_eq!(o.stdout.len() as u64, fs::metadata(&f).unwrap().len());
}
