//! Passwords and passphrases come from a file, a pipe or the terminal, never as arguments, which everybody on the machine can see.

use std::io::{BufRead, IsTerminal, Read};
use std::path::Path;
use std::process::ExitCode;

use super::{REFUSED, complain};

/// The first line of the file, or of standard input for `-` and where that is no terminal; else what is typed.
pub(super) fn secret(prompt: &str, file: Option<&Path>) -> Result<String, ExitCode> {
    let text = match file {
        Some(path) if path != Path::new("-") => std::fs::read_to_string(path),
        None if std::io::stdin().is_terminal() => ask_terminal(prompt),
        _ => {
            let mut text = String::new();
            std::io::stdin().lock().take(64 * 1024).read_to_string(&mut text).map(|_| text)
        }
    };
    match text {
        Ok(mut text) => {
            let line = text.lines().next().unwrap_or_default().to_owned();
            zeroize::Zeroize::zeroize(&mut text);
            Ok(line)
        }
        Err(error) => {
            complain(&format!(
                "it cannot be read: {error} (remedy: name a file whose first line it is, or - and a pipe)"
            ));
            Err(ExitCode::from(REFUSED))
        }
    }
}

/// Is a person there to be asked?
pub(super) fn can_ask() -> bool {
    std::io::stdin().is_terminal()
}

/// What is typed is not shown.
fn ask_terminal(prompt: &str) -> std::io::Result<String> {
    use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
    let stdin = std::io::stdin();
    let before = tcgetattr(&stdin)?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    eprint!("{prompt}");
    tcsetattr(&stdin, OptionalActions::Flush, &silent)?;
    let mut line = String::new();
    let read = stdin.lock().read_line(&mut line);
    tcsetattr(&stdin, OptionalActions::Flush, &before)?;
    eprintln!();
    read.map(|_| line)
}
