//! A client in a terminal of its own, with somebody who types and looks.
use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::pty::{Winsize, openpty};
use nix::unistd::ttyname;

use crate::running::as_a_shell_sees;
use crate::{DEADLINE, tool, wait_for};

/// A client whose controlling terminal is a pty of 24 lines and 80 columns. It is killed when dropped.
#[derive(Debug)]
pub struct Terminal {
    child: Child,
    keyboard: File,
    device: String,
    screen: Arc<Mutex<Vec<u8>>>,
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ended = self.child.kill().and_then(|()| self.child.wait());
    }
}

impl Terminal {
    /// Starts a client; `settings` are stty's words for the terminal it finds.
    pub fn start(command: &Command, settings: &[&str]) -> Self {
        let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(Some(&size), None).unwrap();
        let device = ttyname(&pty.slave).unwrap().to_str().unwrap().to_owned();
        tool("stty", ["-F", &device].iter().chain(settings));
        let mut child = Command::new("setsid");
        child.arg("--ctty").arg(command.get_program()).args(command.get_args());
        if let Some(directory) = command.get_current_dir() {
            child.current_dir(directory);
        }
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => child.env(name, value),
                None => child.env_remove(name),
            };
        }
        let end = || pty.slave.try_clone().unwrap();
        let child = child.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
        let keyboard = File::from(pty.master);
        let screen = Arc::new(Mutex::new(Vec::new()));
        let (mut output, written) = (keyboard.try_clone().unwrap(), screen.clone());
        std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            // EIO once nobody has the terminal open any more.
            while let Ok(count @ 1..) = output.read(&mut chunk) {
                written.lock().unwrap().extend_from_slice(&chunk[..count]);
            }
        });
        Self { child, keyboard, device, screen }
    }

    /// Types: `\x03` is Ctrl-C, `\r` the Enter key.
    pub fn types(&mut self, text: &str) {
        self.keyboard.write_all(text.as_bytes()).unwrap();
    }

    /// Everything shown so far.
    pub fn screen(&self) -> String {
        String::from_utf8_lossy(&self.screen.lock().unwrap()).into_owned()
    }

    /// Waits until `text` was shown, and gives everything.
    pub fn shows(&self, text: &str) -> String {
        let began = Instant::now();
        loop {
            let screen = self.screen();
            if screen.contains(text) {
                return screen;
            }
            assert!(began.elapsed() < DEADLINE, "no `{text}` on the screen: {screen:?}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Types `keys` again and again until `text` was shown: where news on another way may come after them.
    pub fn shows_after(&mut self, keys: &str, text: &str) {
        wait_for(text, || {
            self.types(keys);
            std::thread::sleep(Duration::from_millis(200));
            self.screen().contains(text).then_some(())
        });
    }

    /// Resizes the terminal's window.
    pub fn resize(&self, lines: u16, columns: u16) {
        let (lines, columns) = (lines.to_string(), columns.to_string());
        tool("stty", ["-F", &self.device, "rows", &lines, "cols", &columns]);
    }

    /// The client's process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the client's end: its exit status as a shell sees it.
    pub fn wait(&mut self) -> i32 {
        as_a_shell_sees(wait_for("the client's end", || self.child.try_wait().unwrap()))
    }
}
