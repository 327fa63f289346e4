//! Recordings as they come: whole, packed, torn, enormous or nonsense. Every byte is accounted for and memory is bounded.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on says so")]

use flowhy::model::input::{Frame, Input};
use flowhy::source::file::Recording;
use flowhy::source::reel::Reel;
use flowhy::source::tape::Tape;
use flowhy::source::{Inbox, Source, Stop, channel};
use std::io::{self, Read, Write};
use std::time::Duration;

const MIB: usize = 1 << 20;

/// Pseudo-random bytes from a seed, `left` of them, with every `\n` replaced if `no_lines`.
struct Noise {
    state: u64,
    left: usize,
    no_lines: bool,
}

impl Read for Noise {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let n = to.len().min(self.left);
        for chunk in to[..n].chunks_mut(8) {
            self.state ^= self.state << 13;
            self.state ^= self.state >> 7;
            self.state ^= self.state << 17;
            chunk.copy_from_slice(&self.state.to_le_bytes()[..chunk.len()]);
        }
        if self.no_lines {
            to[..n].iter_mut().filter(|b| **b == b'\n').for_each(|b| *b = b' ');
        }
        self.left -= n;
        Ok(n)
    }
}

fn recording(name: &str, from: impl Read + Send + 'static) -> Recording {
    Recording::reader(name, Box::new(from), false).unwrap()
}

/// Everything that comes of a recording, read on a thread of its own.
fn all(recording: Recording) -> (Vec<Frame>, Result<(), String>) {
    let (mut feed, inbox) = channel(64);
    let reader = std::thread::spawn(move || Tape::of(vec![recording]).pump(&mut feed, &Stop::new()));
    let got = gather(inbox);
    reader.join().unwrap().unwrap();
    got
}

fn gather(mut inbox: Inbox) -> (Vec<Frame>, Result<(), String>) {
    let (mut frames, mut end) = (Vec::new(), None);
    while let Some(batch) = inbox.blocking_recv() {
        for input in batch {
            match input {
                Input::Frame(f) => frames.push(f),
                Input::End(_, r) => assert!(end.replace(r).is_none(), "two ends"),
                other => panic!("{other:?}"),
            }
        }
    }
    (frames, end.expect("an end"))
}

fn texts(frames: &[Frame]) -> Vec<&str> {
    frames.iter().map(|f| std::str::from_utf8(&f.bytes).unwrap()).collect()
}

fn gz(text: &str) -> Vec<u8> {
    let mut e = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    e.write_all(text.as_bytes()).unwrap();
    e.finish().unwrap()
}

#[test]
fn a_hundred_megabytes_of_noise() {
    let (mut feed, mut inbox) = channel(64);
    let reader = std::thread::spawn(move || {
        let mut noise = recording("noise", Noise { state: 42, left: 100 * MIB, no_lines: false });
        let mut bytes = 0;
        while let Some(frame) = noise.next_frame().unwrap() {
            bytes += frame.bytes.len();
            feed.blocking_send(Input::Frame(frame)).unwrap();
        }
        feed.blocking_flush().unwrap();
        (bytes, noise.peak())
    });
    let (mut lines, mut bytes, mut next) = (0u64, 0, 1);
    while let Some(batch) = inbox.blocking_recv() {
        assert!(batch.len() <= 256);
        for input in batch {
            let Input::Frame(f) = input else { panic!() };
            assert!(f.broken.is_none());
            assert_eq!(f.line, next);
            next += 1;
            lines += 1;
            bytes += f.bytes.len();
        }
    }
    let (sent, peak) = reader.join().unwrap();
    assert_eq!(bytes, sent);
    // Only line ends (and the `\r` before some of them) are missing.
    let ends = 100 * MIB - bytes;
    assert!(ends as u64 >= lines - 1 && ends as u64 <= lines + lines / 50, "{ends} line ends, {lines} lines");
    assert!(peak <= MIB, "{peak}");
}

#[test]
fn a_hundred_megabytes_of_noise_without_a_line_end() {
    let mut noise = recording("noise", Noise { state: 7, left: 100 * MIB, no_lines: true });
    let only = noise.next_frame().unwrap().unwrap();
    assert_eq!(only.broken.as_deref(), Some("line longer than 64 MiB"));
    assert_eq!((only.line, only.bytes.len()), (1, 200));
    assert!(noise.next_frame().unwrap().is_none());
    assert!(noise.peak() <= 130 * MIB, "{}", noise.peak());
}

#[test]
fn a_line_of_50_mb_passes_and_one_of_70_mib_is_one_broken_frame() {
    let long = |n: usize| io::repeat(b'x').take(n as u64).chain(&b"\nnext\n"[..]);
    let shape = |frames: &[Frame]| frames.iter().map(|f| (f.line, f.bytes.len(), f.broken.is_some())).collect::<Vec<_>>();
    let (frames, end) = all(recording("t", long(50_000_000)));
    assert_eq!(end, Ok(()));
    assert_eq!(shape(&frames), [(1, 50_000_000, false), (2, 4, false)]);
    let (frames, end) = all(recording("t", long(70 * MIB)));
    assert_eq!(end, Ok(()));
    assert_eq!(shape(&frames), [(1, 200, true), (2, 4, false)]);
}

#[test]
fn many_long_lines_wait_at_the_door() {
    // 40 lines of 8 MiB are 320 MiB; the channel takes 64.
    let line = || io::repeat(b'x').take(8 * MIB as u64 - 1).chain(&b"\n"[..]);
    let mut from: Box<dyn Read + Send> = Box::new(io::empty());
    for _ in 0..40 {
        from = Box::new(from.chain(line()));
    }
    let (mut feed, mut inbox) = channel(64);
    let sent = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = sent.clone();
    let reader = std::thread::spawn(move || {
        let mut r = recording("t", from);
        while let Some(frame) = r.next_frame().unwrap() {
            feed.blocking_send(Input::Frame(frame)).unwrap();
            count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        }
        feed.blocking_flush().unwrap();
    });
    // Until the reader stands still.
    let mut before = usize::MAX;
    loop {
        std::thread::sleep(Duration::from_millis(500));
        let now = sent.load(std::sync::atomic::Ordering::SeqCst);
        if now == before && now > 0 {
            break;
        }
        before = now;
    }
    assert!(before <= 9, "{before} lines of 8 MiB in a channel of 64 MiB");
    let mut n = 0;
    while let Some(batch) = inbox.blocking_recv() {
        n += batch.len();
    }
    assert_eq!(n, 40);
    reader.join().unwrap();
}

#[test]
fn packed_files_are_told_by_their_first_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let text = "one\ntwo\r\n\nlast";
    let want = ["one", "two", "", "last"];
    let z = |t: &str| zstd::stream::encode_all(t.as_bytes(), 1).unwrap();
    // A skippable frame stands before the first one.
    let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3][..], &z(text)].concat();
    let files = [
        ("plain.gz", text.as_bytes().to_vec()),
        ("whole", gz(text)),
        ("members.jsonl", [gz("one\ntw"), gz("o\r\n\n"), gz("last")].concat()),
        ("whole.txt", z(text)),
        ("frames", [z("one\ntw"), z("o\r\n\n"), z("last")].concat()),
        ("skippable", skippable),
        ("mark", [b"\xef\xbb\xbf", text.as_bytes()].concat()),
        ("mark.gz", gz(&format!("\u{feff}{text}"))),
    ];
    for (name, bytes) in files {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let (frames, end) = all(Recording::open(path.to_str().unwrap()).unwrap());
        assert_eq!((texts(&frames), end), (want.to_vec(), Ok(())), "{name}");
        assert_eq!(frames.iter().map(|f| f.line).collect::<Vec<_>>(), [1, 2, 3, 4]);
        assert!(frames[0].from.ends_with(name));
    }
    std::fs::write(dir.path().join("empty"), b"").unwrap();
    let (frames, end) = all(Recording::open(dir.path().join("empty").to_str().unwrap()).unwrap());
    assert!(frames.is_empty() && end.is_ok());
}

#[test]
fn torn_files_give_their_lines_and_say_that_they_are_torn() {
    let text: String = (0..20_000).map(|n| format!("line {n} {}\n", n * 7919 % 10_007)).collect();
    let whole = text.lines().collect::<Vec<_>>();
    let zst = zstd::stream::encode_all(text.as_bytes(), 1).unwrap();
    for (kind, packed) in [("gzip", gz(&text)), ("zstd", zst)] {
        for cut in [packed.len() / 2, packed.len() - 1] {
            let (frames, end) = all(recording("t", io::Cursor::new(packed[..cut].to_vec())));
            assert_eq!(end, Err(format!("unexpected end of file: the {kind} data is cut off")), "{cut}");
            let good = frames.iter().take_while(|f| f.broken.is_none()).count();
            assert_eq!(texts(&frames[..good]), whole[..good], "{kind} {cut}");
            assert!(frames.len() - good <= 1, "at most the line it breaks off in");
            assert!(cut < packed.len() - 1 || good > 10_000, "{kind}: {good} of {} lines", whole.len());
        }
        // Nothing but the beginning of a header.
        let (frames, end) = all(recording("t", io::Cursor::new(packed[..6].to_vec())));
        assert!(frames.is_empty() && end.is_err(), "{kind}: {end:?}");
        let mut damaged = packed.clone();
        for b in &mut damaged[packed.len() / 3..packed.len() / 3 + 200] {
            *b = !*b;
        }
        let (frames, end) = all(recording("t", io::Cursor::new(damaged)));
        assert!(end.as_ref().is_err_and(|e| e.contains(kind)), "{kind}: {end:?}");
        assert!(frames.len() <= whole.len());
    }
}

#[test]
fn a_zstd_frame_that_wants_too_large_a_window_is_refused() {
    // Frame header: no content size, window descriptor 2^(10 + 20) = 1 GiB; then an empty last block.
    let bomb = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 20 << 3, 0x01, 0x00, 0x00];
    let (frames, end) = all(recording("t", io::Cursor::new(bomb.to_vec())));
    assert!(frames.is_empty() && end.as_ref().is_err_and(|e| e.starts_with("damaged zstd data")), "{end:?}");
    let fine = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 10 << 3, 0x01, 0x00, 0x00];
    assert_eq!(all(recording("t", io::Cursor::new(fine.to_vec()))).1, Ok(()));
}

#[test]
fn a_slow_pipe_is_handed_on_line_by_line() {
    struct Pipe(std::sync::mpsc::Receiver<Vec<u8>>);
    impl Read for Pipe {
        fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
            let bytes = self.0.recv().unwrap_or_default();
            to[..bytes.len()].copy_from_slice(&bytes);
            Ok(bytes.len())
        }
    }
    let (tx, rx) = std::sync::mpsc::sync_channel(1);
    let (mut feed, mut inbox) = channel(4);
    tx.send(b"1".to_vec()).unwrap();
    let live = Recording::reader("-", Box::new(Pipe(rx)), true).unwrap();
    let reader = std::thread::spawn(move || Tape::of(vec![live]).pump(&mut feed, &Stop::new()));
    for n in 0..3 {
        tx.send(b"\n2".to_vec()).unwrap();
        let batch = inbox.blocking_recv().unwrap();
        assert_eq!(batch.len(), 1, "{n}");
    }
    drop(tx);
    let (frames, end) = gather(inbox);
    assert_eq!((texts(&frames), end), (vec!["2"], Ok(())));
    reader.join().unwrap().unwrap();
}

#[tokio::test]
async fn a_source_ends_when_nobody_reads_and_when_it_is_told_to() {
    let endless = || recording("t", io::repeat(b'\n'));
    let (feed, inbox) = channel(2);
    let task = tokio::spawn(Box::new(Reel::of(vec![endless()])).run(feed, Stop::new()));
    drop(inbox);
    tokio::time::timeout(Duration::from_secs(10), task).await.expect("ends").unwrap().unwrap();
    let (feed, _inbox) = channel(2);
    let stop = Stop::new();
    let task = tokio::spawn(Box::new(Reel::of(vec![endless()])).run(feed, stop.clone()));
    stop.cancel();
    tokio::time::timeout(Duration::from_secs(10), task).await.expect("stops").unwrap().unwrap();
}

#[tokio::test]
async fn a_reel_is_read_in_order_and_goes_on_after_a_torn_file() {
    let reel = Reel::of(vec![
        recording("a", &b"1\n2"[..]),
        recording("torn", io::Cursor::new(gz("3\n4\n")[..12].to_vec())),
        recording("b", &b"5\n"[..]),
    ]);
    let (feed, mut inbox) = channel(2);
    let task = tokio::spawn(Box::new(reel).run(feed, Stop::new()));
    let mut said = Vec::new();
    while let Some(batch) = inbox.recv().await {
        for input in batch {
            match input {
                Input::Frame(f) => said.push(format!("{}:{} {}", f.from, f.line, String::from_utf8_lossy(&f.bytes))),
                Input::End(name, r) => said.push(format!("{name} {}", r.is_ok())),
                other => panic!("{other:?}"),
            }
        }
    }
    task.await.unwrap().unwrap();
    said.retain(|s| !s.starts_with("torn:"));
    assert_eq!(said, ["a:1 1", "a:2 2", "a true", "torn false", "b:1 5", "b true"]);
}
