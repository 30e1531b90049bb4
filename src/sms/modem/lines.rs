//! Bytes to lines and prompts: ITU-T V.250 §5.7.1, 3GPP TS 27.005 §3.5.1.

use std::collections::VecDeque;

use zeroize::Zeroizing;

/// One thing that the modem said. A line may hold a number or a text: it is wiped when dropped.
#[derive(PartialEq, Eq)]
pub(super) enum Said {
    /// A line without its end, never empty.
    Line(Zeroizing<String>),
    /// `>`: it waits for the PDU.
    Prompt,
}

/// Cuts lines out of bytes that come in pieces of any size.
#[derive(Default)]
pub(super) struct LineReader {
    pending: Zeroizing<Vec<u8>>,
    /// The line is too long; the rest of it is dropped.
    overlong: bool,
    said: VecDeque<Said>,
}

impl LineReader {
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match byte {
                b'\r' | b'\n' => self.end_line(),
                // A prompt has no line end. The space behind it, and echoes of the PDU, begin the next line.
                b'>' if self.pending.trim_ascii_start().is_empty() && !self.overlong => {
                    self.pending.clear();
                    self.said.push_back(Said::Prompt);
                }
                // Noise on the line, and what some modems send while they start. Ctrl-Z and ESC come back as echoes.
                0..=0x1f | 0x7f.. => {}
                _ if self.pending.len() >= LINE_BYTES_MAX => self.overlong = true,
                byte => {
                    if self.pending.capacity() == 0 {
                        // Growing would leave copies behind.
                        self.pending.reserve_exact(LINE_BYTES_MAX);
                    }
                    self.pending.push(*byte);
                }
            }
        }
    }

    pub(super) fn next(&mut self) -> Option<Said> {
        self.said.pop_front()
    }

    /// Forgets everything that was read.
    pub(super) fn clear(&mut self) {
        self.pending.clear();
        self.overlong = false;
        self.said.clear();
    }

    fn end_line(&mut self) {
        let text = std::str::from_utf8(&self.pending).unwrap_or_default().trim();
        // A diagnostic port, or the wrong speed, may send forever without being asked.
        if !text.is_empty() && !self.overlong && self.said.len() < SAID_MAX {
            self.said.push_back(Said::Line(Zeroizing::new(text.to_owned())));
        }
        self.pending.clear();
        self.overlong = false;
    }
}

/// The longest lines are PDUs (360 digits) and balances in hexadecimal (728).
const LINE_BYTES_MAX: usize = 1024;
/// Lines that wait to be looked at: a full memory of 255 messages is listed in one go.
const SAID_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn said(pieces: &[&[u8]]) -> Vec<String> {
        let mut reader = LineReader::default();
        let mut said = Vec::new();
        for piece in pieces {
            reader.feed(piece);
            while let Some(one) = reader.next() {
                said.push(match one {
                    Said::Line(line) => line.to_string(),
                    Said::Prompt => "<prompt>".to_owned(),
                });
            }
        }
        said
    }

    #[test]
    fn lines_come_whole_whatever_the_pieces() {
        let stream = b"AT\r\r\nOK\r\n\r\n\r\n+CSQ: 17,99\r\n\0\xffOK\r\n> \r\n+CMGS: 7\r\n";
        let expected = ["AT", "OK", "+CSQ: 17,99", "OK", "<prompt>", "+CMGS: 7"];
        assert_eq!(said(&[stream]), expected);
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(said(&bytes), expected);
    }

    #[test]
    fn a_prompt_needs_no_line_end_and_what_follows_is_a_line() {
        assert_eq!(said(&[b"\r\n>"]), ["<prompt>"]);
        assert_eq!(said(&[b"\r\n> +CREG: 1\r\n"]), ["<prompt>", "+CREG: 1"]);
        assert_eq!(said(&[b"a > b\r\n"]), ["a > b"]);
    }

    #[test]
    fn overlong_lines_are_dropped_and_memory_is_bounded() {
        let long = vec![b'x'; 5000];
        assert_eq!(said(&[&long, b"\r\nOK\r\n"]), ["OK"]);
        let mut reader = LineReader::default();
        reader.feed(&b"x\r\n".repeat(5000));
        assert_eq!(reader.said.len(), SAID_MAX);
        reader.clear();
        assert!(reader.next().is_none());
    }
}
