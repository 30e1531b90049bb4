//! What the simulated modem answers to each command when nothing goes wrong.

use super::{Entry, SimModem};

impl SimModem {
    pub(super) fn answer(&mut self, line: &str) {
        let (name, argument) = match line.find(['=', '?']) {
            Some(at) => line.split_at(at),
            None => (line, ""),
        };
        match (name.to_ascii_uppercase().as_str(), argument) {
            ("AT", _) => self.ok(),
            ("ATE0", _) => {
                self.echo = self.script.stubborn_echo;
                if self.echo { self.error(3) } else { self.ok() }
            }
            ("ATE1", _) => {
                self.echo = true;
                self.ok();
            }
            ("ATZ", _) => {
                self.echo = true;
                self.ok();
            }
            ("ATV1" | "ATQ0" | "ATQ0V1" | "AT&D0" | "AT+CRC" | "AT+CLIP" | "AT+CSMP", _) => self.ok(),
            ("AT+CSCS", "=?") => self.tell("+CSCS: (\"GSM\",\"IRA\")"),
            ("AT+CSCS", "?") => self.tell(&format!("+CSCS: \"{}\"", self.charset)),
            ("AT+CSCS", set) => {
                self.charset = set.trim_start_matches('=').trim_matches('"').to_owned();
                self.ok();
            }
            ("AT+CMEE", set) => {
                self.errors = set.trim_start_matches('=').parse().unwrap_or(0);
                self.ok();
            }
            ("AT+CGMI", _) => self.tell("Simulated"),
            ("AT+CGMM", _) => self.tell("SIM1000"),
            ("AT+CGMR", _) => self.tell("1.0"),
            ("AT+CGSN", _) => self.tell("490154203237518"),
            ("AT+CFUN", "?") => self.tell("+CFUN: 1"),
            ("AT+CFUN", "=1,1") => {
                self.ok();
                self.restart();
            }
            ("AT+CFUN", _) => self.ok(),
            ("AT+CSQ", _) => self.tell(if self.coverage { "+CSQ: 17,99" } else { "+CSQ: 99,99" }),
            _ => self.answer_sim(line, &name.to_ascii_uppercase(), argument),
        }
    }

    fn answer_sim(&mut self, line: &str, name: &str, argument: &str) {
        let busy = self.now < self.started + self.script.sim_busy;
        match (name, argument) {
            _ if !self.sim_present => self.error(10),
            ("AT+CPIN", _) if busy => self.error(14),
            ("AT+CPIN", "?") => self.tell(match (self.puk, self.unlocked) {
                (true, _) => "+CPIN: SIM PUK",
                (_, false) => "+CPIN: SIM PIN",
                _ => "+CPIN: READY",
            }),
            ("AT+CPIN", pin) => self.enter_pin(pin.trim_start_matches('=').trim_matches('"').to_owned()),
            ("AT+CPINR", _) if self.script.tells_tries => self.tell(&format!("+CPINR: SIM PIN,{},3", self.tries)),
            ("AT+CCID", _) => self.tell("+CCID: \"8949020000012345678\""),
            _ if !self.unlocked || self.puk => self.error(11),
            ("AT+CIMI", _) => self.tell("262019876543210"),
            ("AT+CREG" | "AT+CEREG" | "AT+CGREG", "?") => {
                let registered = self.coverage && self.now >= self.started + self.script.registers_after;
                self.tell(&format!("{}: 1,{}", &name[2..], if registered { 1 } else { 2 }));
            }
            ("AT+COPS", "?") => self.tell("+COPS: 0,0,\"Simnet\",2"),
            ("AT+CREG" | "AT+CEREG" | "AT+CGREG" | "AT+COPS", _) => self.ok(),
            _ => self.answer_messages(line, name, argument),
        }
    }

    fn answer_messages(&mut self, line: &str, name: &str, argument: &str) {
        let number = argument.trim_start_matches('=').split(',').next().unwrap_or_default();
        match (name, argument) {
            ("AT+CSMS", "?") => self.tell("+CSMS: 0,1,1,1"),
            ("AT+CSMS", _) => self.tell("+CSMS: 1,1,1"),
            ("AT+CMGF", "=?") => self.tell("+CMGF: (0,1)"),
            ("AT+CMGF", "?") => self.tell(if self.text_mode { "+CMGF: 1" } else { "+CMGF: 0" }),
            ("AT+CMGF", mode) => {
                self.text_mode = mode == "=1";
                self.ok();
            }
            ("AT+CSCA", "?") => self.tell("+CSCA: \"+491710760000\",145"),
            ("AT+CPMS", "=?") => self.tell("+CPMS: (\"SM\"),(\"SM\"),(\"SM\")"),
            ("AT+CPMS", "?") => {
                let (used, all) = (self.stored(), self.store.len());
                self.tell(&format!("+CPMS: \"SM\",{used},{all},\"SM\",{used},{all},\"SM\",{used},{all}"));
            }
            ("AT+CPMS", set) if set.contains("SM") => {
                let (used, all) = (self.stored(), self.store.len());
                self.tell(&format!("+CPMS: {used},{all},{used},{all},{used},{all}"));
            }
            ("AT+CNMI", "=?") => self.tell("+CNMI: (0-2),(0,1),(0,2),(0-2),(0,1)"),
            ("AT+CNMI", "?") => self.tell("+CNMI: 2,1,0,2,0"),
            ("AT+CNMI", _) => {
                self.notices = true;
                self.ok();
            }
            ("AT+CSCA", _) => self.ok(),
            ("AT+CMGL", _) => self.list(),
            ("AT+CMGR", _) => self.read_place(number.parse().unwrap_or(0)),
            ("AT+CMGD", "=?") => self.tell("+CMGD: (1-10),(0-4)"),
            ("AT+CMGD", _) => self.delete(number.parse().unwrap_or(0)),
            ("AT+CMGS", length) => {
                let octets = length.trim_start_matches('=').trim_matches('"').parse().unwrap_or(0);
                self.entry = Entry::Awaiting(self.now + self.script.prompt_after, octets);
                self.tick(self.now);
            }
            ("AT+CUSD", "=2") => self.ok(),
            ("AT+CUSD", _) if self.ussd.is_some() => {
                self.ok();
                let answer = self.ussd.clone().unwrap();
                self.say(&answer);
            }
            ("AT+CHUP" | "ATH", _) => {
                self.hung_up += 1;
                self.ok();
            }
            ("AT+CLCC", _) => {
                if let Some(state) = self.call_states.pop_front() {
                    self.say(&format!("+CLCC: 1,0,{state},0,0"));
                }
                self.ok();
            }
            _ if line.starts_with("ATD") => {
                self.dialled.push(line[3..].trim_end_matches(';').to_owned());
                self.ok();
            }
            _ => self.error(4),
        }
    }

    fn list(&mut self) {
        for place in 0..self.store.len() {
            if let Some((state, pdu)) = self.store[place].clone() {
                self.say(&format!("+CMGL: {},{state},,{}", place + 1, octets_of(&pdu)));
                self.say_raw(&pdu);
            }
        }
        self.ok();
    }

    fn read_place(&mut self, place: usize) {
        match self.store.get(place.wrapping_sub(1)).cloned().flatten() {
            Some((state, pdu)) => {
                self.say(&format!("+CMGR: {state},,{}", octets_of(&pdu)));
                self.say_raw(&pdu);
                self.ok();
            }
            None => self.say("+CMS ERROR: 321"),
        }
    }

    fn delete(&mut self, place: usize) {
        if let Some(place) = self.store.get_mut(place.wrapping_sub(1)) {
            *place = None;
        }
        self.ok();
        self.store_kept_back();
    }
}

/// Octets of the PDU without the service centre.
fn octets_of(pdu: &str) -> usize {
    pdu.len() / 2 - 1 - usize::from_str_radix(&pdu[..2], 16).unwrap()
}
