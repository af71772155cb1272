//! A run that is killed while it writes its text.

use std::io::{Read as _, Write as _, pipe};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use super::people::{ID, Scene};
use super::portcullis;

/// What a pipe holds on Linux, in bytes (pipe(7)).
const PIPE_BYTES: usize = 65_536;

/// The text that the pipe takes before it is full, in bytes; less than the run would write.
const ROOM: usize = 64;

/// Kills a run of Rosa's once some of its text was shown; what was shown. The pipe for its output is nearly full, so that the run cannot end
/// before it is killed, however fast it is.
pub fn killed_run(scene: &Scene) -> String {
    let (mut shown, mut output) = pipe().unwrap();
    output.write_all(&[0; PIPE_BYTES - ROOM]).unwrap();
    let mut child = portcullis()
        .current_dir(scene.path())
        .args(["--home", "homes/rosa", "run", ID, "Hello", "-n", "100", "--ignore-eos"])
        .stdout(output)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    while rustix::io::ioctl_fionread(&shown).unwrap() < (PIPE_BYTES - ROOM + 12) as u64 {
        assert!(begun.elapsed() < Duration::from_secs(60), "no text is shown");
        thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let mut bytes = Vec::new();
    shown.read_to_end(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes[PIPE_BYTES - ROOM..]).into_owned()
}
