//! The command line: arguments in, exit code out. What the commands do is in the library.

mod command;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    command::run(&arguments)
}
