//! What the kernel says a process costs. Linux only, as the node's boards are.

use std::fs;

/// Processor time, memory and disk traffic of a process.
#[derive(Clone, Copy)]
pub struct Process {
    pub pid: u32,
}

impl Process {
    /// Processor time used so far by all threads that still live, in milliseconds. The scheduler counts nanoseconds; the
    /// usual ticks of 10 ms would be too coarse.
    pub fn cpu_ms(self) -> f64 {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.pid)).expect("the process lives");
        let nanoseconds = tasks.filter_map(|task| {
            let schedstat = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
            schedstat.split_whitespace().next()?.parse::<f64>().ok()
        });
        nanoseconds.sum::<f64>() / 1e6
    }

    /// Resident memory in KiB.
    pub fn rss_kib(self) -> f64 {
        number(&self.read("status"), "VmRSS:")
    }

    /// The most resident memory in KiB since [`Process::forget_peak`].
    pub fn peak_rss_kib(self) -> f64 {
        number(&self.read("status"), "VmHWM:")
    }

    /// From here on the peak counts anew.
    pub fn forget_peak(self) {
        fs::write(format!("/proc/{}/clear_refs", self.pid), "5").expect("it is a process of ours");
    }

    /// Bytes that the process has caused to be written to a device.
    pub fn bytes_written(self) -> f64 {
        number(&self.read("io"), "write_bytes:")
    }

    fn read(self, file: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{file}", self.pid)).expect("the process lives")
    }
}

/// The value below which this share (0 to 1) of the values lies.
pub fn percentile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1) as f64;
    values.get((last * share).round() as usize).copied().unwrap_or(f64::NAN)
}

fn number(text: &str, name: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("the kernel tells it");
    line.split_whitespace().next().and_then(|word| word.parse().ok()).expect("a number")
}
