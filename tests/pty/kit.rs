//! The binary in a pseudo-terminal, with the terminal's own idea of what stands on it. Waits for conditions, never for a time.
use portable_pty::{Child, CommandBuilder, ExitStatus, MasterPty, PtySize, native_pty_system};
use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub const FLOWS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tui/flows.jsonl");
pub const POLICIES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tui/policies.yaml");

pub fn limit() -> Duration {
    let ms = std::env::var("FLOWHY_TEST_WAIT_MS").ok().and_then(|v| v.parse().ok()).unwrap_or(20_000);
    Duration::from_millis(ms)
}

pub struct Tui {
    pub parser: Arc<Mutex<vt100::Parser>>,
    /// Everything that was written to the terminal.
    pub raw: Arc<Mutex<Vec<u8>>>,
    pub writer: Box<dyn Write + Send>,
    pub master: Box<dyn MasterPty + Send>,
    pub child: Box<dyn Child + Send + Sync>,
    /// What `stty -a` said before.
    before: String,
}

/// What `stty -a` says.
fn settings(master: &dyn MasterPty) -> String {
    let t = master.get_termios().unwrap();
    format!("{:?} {:?} {:?} {:?} {:?}", t.input_flags, t.output_flags, t.control_flags, t.local_flags, t.control_chars)
}

pub fn size(cols: u16, rows: u16) -> PtySize {
    PtySize { rows, cols, pixel_width: 0, pixel_height: 0 }
}

pub fn lines(n: u16) -> NonZeroU16 {
    NonZeroU16::new(n).unwrap()
}

impl Tui {
    pub fn start(args: &[&str], env: &[(&str, &str)]) -> Self {
        let mut cmd = CommandBuilder::new(env!("CARGO_BIN_EXE_flowhy"));
        cmd.args(args);
        Self::run(cmd, env)
    }

    pub fn run(mut cmd: CommandBuilder, env: &[(&str, &str)]) -> Self {
        let pair = native_pty_system().openpty(size(80, 24)).unwrap();
        let home = std::env::temp_dir();
        cmd.env_clear();
        for (k, v) in [("TERM", "xterm-256color"), ("LANG", "C.UTF-8"), ("PATH", "/usr/bin:/bin")] {
            cmd.env(k, v);
        }
        cmd.env("HOME", &home);
        // What one test looked for is not offered to the next.
        cmd.env("FLOWHY_NO_HISTORY", "true");
        cmd.cwd(&home);
        env.iter().for_each(|(k, v)| cmd.env(k, v));
        let before = settings(&*pair.master);
        let child = pair.slave.spawn_command(cmd).unwrap();
        drop(pair.slave);
        let parser = Arc::new(Mutex::new(vt100::Parser::new(lines(24), lines(80), 0)));
        let raw = Arc::new(Mutex::new(Vec::new()));
        let mut reader = pair.master.try_clone_reader().unwrap();
        let (p, r) = (parser.clone(), raw.clone());
        std::thread::spawn(move || {
            let mut buf = [0; 8192];
            while let Ok(n @ 1..) = reader.read(&mut buf) {
                p.lock().unwrap().process(&buf[..n]);
                r.lock().unwrap().extend_from_slice(&buf[..n]);
            }
        });
        Self { parser, raw, writer: pair.master.take_writer().unwrap(), master: pair.master, child, before }
    }

    pub fn replay(env: &[(&str, &str)]) -> Self {
        let tui = Self::start(&["replay", FLOWS, "--policies", POLICIES], env);
        tui.wait_text("17 flows");
        tui
    }

    pub fn keys(&mut self, keys: &str) {
        self.writer.write_all(keys.as_bytes()).unwrap();
        self.writer.flush().unwrap();
    }

    pub fn screen<T>(&self, f: impl FnOnce(&vt100::Screen) -> T) -> T {
        f(self.parser.lock().unwrap().screen())
    }

    /// Waits for a condition; shows the screen if it does not come.
    pub fn wait(&self, what: &str, ok: impl Fn(&vt100::Screen) -> bool) {
        let end = Instant::now() + limit();
        while !self.screen(&ok) {
            if Instant::now() > end {
                panic!("waited for {what}; the screen was\n{}", self.screen(vt100::Screen::contents));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn wait_text(&self, text: &str) {
        self.wait(text, |s| s.contents().contains(text));
    }

    pub fn resize(&self, cols: u16, rows: u16) {
        self.parser.lock().unwrap().screen_mut().set_size(lines(rows), lines(cols));
        self.master.resize(size(cols, rows)).unwrap();
    }

    pub fn signal(&self, name: &str) {
        let pid = self.child.process_id().unwrap().to_string();
        assert!(std::process::Command::new("kill").args([&format!("-{name}"), &pid]).status().unwrap().success());
    }

    /// Waits for the end, and for a terminal as it was before.
    pub fn gone(mut self) -> ExitStatus {
        self.wait("the alternate screen to be left", |s| !s.alternate_screen() && !s.hide_cursor() && !s.bracketed_paste());
        let end = Instant::now() + limit();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                assert_eq!(settings(&*self.master), self.before, "the terminal is set as it was");
                return status;
            }
            assert!(Instant::now() < end, "it did not end");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Tui {
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}

/// The demo's server in a process of its own.
pub struct Demo {
    child: std::process::Child,
    pub address: String,
}

impl Demo {
    pub fn start(dir: &std::path::Path, rate: &str) -> Self {
        let address = format!("unix://{}", dir.join("demo.sock").display());
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_flowhy"));
        command.args(["demo", "--rate", rate, "--listen", &address]);
        command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        let demo = Self { child: command.spawn().unwrap(), address };
        // Its history is made first.
        let end = Instant::now() + 6 * limit();
        while std::os::unix::net::UnixStream::connect(dir.join("demo.sock")).is_err() {
            assert!(Instant::now() < end, "the demo does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
        demo
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
