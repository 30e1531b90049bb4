//! `setup`: asks, or takes flags; what the answers mean is decided in the library's room of that name.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use argh::FromArgs;
use kontalk_node::config::{self, Config};
use kontalk_node::setup::fill::{self, Filled};
use kontalk_node::setup::guide::{self, Reach};
use kontalk_node::setup::question::{self, Question, Topic};
use kontalk_node::setup::{ANSWER_BYTES_MAX, Draft, Plan};

use super::secret::{can_ask, secret};
use super::{BAD_CONFIG, NOT_UNDERSTOOD, REFUSED, complain, out};

/// Configure this node: write an annotated configuration, and say which DNS records, ports and commands are left. At a terminal
/// it asks what no flag answers. It sets only what is unset: a value of yours is never changed, and the same answers again change
/// nothing.
#[derive(FromArgs)]
#[argh(
    subcommand,
    name = "setup",
    example = "Question by question:\n  sudo {command_name}",
    example = "By flags, for a script:\n  {command_name} --yes --domain example.org --contact admin@example.org --certificate acme --accept-terms --codes modem",
    example = "See what would be written:\n  {command_name} --print --domain example.org --certificate self-signed --codes terminal",
    error_code(1, "the file says something else already, or cannot be written; nothing was changed"),
    error_code(2, "answers are missing or wrong; nothing was changed"),
    error_code(78, "the configuration would have problems; nothing was changed")
)]
pub(super) struct Setup {
    /// the configuration file (/etc/kontalk-node/node.toml)
    #[argh(option, default = "PathBuf::from(CONFIG)")]
    config: PathBuf,
    /// the domain behind the @ of your users' addresses
    #[argh(option)]
    domain: Option<String>,
    /// where people reach you: an e-mail address, or a URI; may be repeated
    #[argh(option)]
    contact: Vec<String>,
    /// an account that may administrate; may be repeated
    #[argh(option)]
    admin: Vec<String>,
    /// where all data lies
    #[argh(option)]
    data_dir: Option<String>,
    /// an address for clients, e.g. [::]:5222; may be repeated
    #[argh(option)]
    listen: Vec<String>,
    /// the same with TLS from the first byte; may be repeated
    #[argh(option)]
    listen_tls: Vec<String>,
    /// acme, files, or self-signed for a trial
    #[argh(option)]
    certificate: Option<String>,
    /// with files: the certificate and its issuers, in PEM
    #[argh(option)]
    tls_certificate: Option<String>,
    /// with files: its private key, in PEM
    #[argh(option)]
    tls_key: Option<String>,
    /// with acme: http-01, tls-alpn-01 or dns-01
    #[argh(option)]
    acme_challenge: Option<String>,
    /// with acme: you have read the authority's terms, and agree
    #[argh(switch)]
    accept_terms: bool,
    /// how codes go out: modem, terminal, none, or a provider's kind
    #[argh(option)]
    codes: Option<String>,
    /// with modem: its serial port (auto)
    #[argh(option)]
    modem_device: Option<String>,
    /// with a provider: KEY=VALUE of its section; may be repeated
    #[argh(option)]
    provider: Vec<String>,
    /// the machine's name in DNS, if it is not the domain
    #[argh(option)]
    host: Option<String>,
    /// an address by which the world reaches the machine; may be repeated
    #[argh(option)]
    address: Vec<String>,
    /// the domain of a node to exchange cards with
    #[argh(option)]
    join: Option<String>,
    /// ask nothing: flags, and defaults for the rest
    #[argh(switch)]
    yes: bool,
    /// print the configuration and write nothing
    #[argh(switch)]
    print: bool,
}

pub(super) fn run(arguments: &Setup) -> ExitCode {
    configure(arguments).unwrap_or_else(|code| code)
}

fn configure(arguments: &Setup) -> Result<ExitCode, ExitCode> {
    let path = &arguments.config;
    let before = existing(path)?;
    let text = before.as_deref().unwrap_or(config::SAMPLE);
    let mut draft = draft(arguments);
    draft.remember(config::SAMPLE, text);
    if can_ask() && !arguments.yes {
        ask(&mut draft, path)?;
    }
    let plan = draft.finish().map_err(|refusals| {
        for refusal in refusals {
            complain(&refusal.to_string());
        }
        ExitCode::from(NOT_UNDERSTOOD)
    })?;
    if fill::current(text, "sms.routes").is_some() && plan.settings.iter().any(|(key, _)| key == "sms.via") {
        complain(&format!(
            "{}: sms.routes says already how codes go out, and --codes would not count (remedy: change sms.routes by hand)",
            path.display()
        ));
        return Err(ExitCode::from(REFUSED));
    }
    let filled = fill::fill(config::SAMPLE, text, &plan.settings).map_err(|conflicts| {
        for conflict in conflicts {
            complain(&format!(
                "{}:{}: {} is {} already, not {} (remedy: setup changes no value of yours; change the line, or give no other answer)",
                path.display(),
                conflict.line,
                conflict.key,
                conflict.is,
                conflict.wanted
            ));
        }
        complain("Nothing was changed.");
        ExitCode::from(REFUSED)
    })?;
    if arguments.print {
        out(filled.text.trim_end());
        return Ok(ExitCode::SUCCESS);
    }
    write_secret(&plan, path, arguments.yes)?;
    let config = checked(path, &filled.text)?;
    put(path, before.as_deref(), &filled)?;
    tell(&plan, &config, path);
    Ok(ExitCode::SUCCESS)
}

fn draft(arguments: &Setup) -> Draft {
    Draft {
        domain: arguments.domain.clone(),
        contact: arguments.contact.clone(),
        admins: arguments.admin.clone(),
        data_dir: arguments.data_dir.clone(),
        listen: arguments.listen.clone(),
        listen_tls: arguments.listen_tls.clone(),
        certificate: arguments.certificate.clone(),
        certificate_file: arguments.tls_certificate.clone(),
        key_file: arguments.tls_key.clone(),
        challenge: arguments.acme_challenge.clone(),
        accept_terms: arguments.accept_terms.then(|| "yes".to_owned()),
        codes: arguments.codes.clone(),
        modem_device: arguments.modem_device.clone(),
        provider: arguments.provider.clone(),
        host: arguments.host.clone(),
        addresses: arguments.address.clone(),
        join: arguments.join.clone(),
    }
}

fn existing(path: &Path) -> Result<Option<String>, ExitCode> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => {
            complain(&format!(
                "{} cannot be read: {error} (remedy: run setup as root, or name a file with --config)",
                path.display()
            ));
            Err(ExitCode::from(REFUSED))
        }
    }
}

/// Asks what is not answered yet. A wrong answer is told and asked for again.
fn ask(draft: &mut Draft, path: &Path) -> Result<(), ExitCode> {
    out(&format!(
        "This writes {}. An empty answer takes what stands in brackets; Ctrl-C changes nothing.",
        path.display()
    ));
    let mut asked: Vec<Topic> = Vec::new();
    while let Some(question) = question::next(draft, &asked) {
        let suggestion = match &question.topic {
            Topic::Provider("secret_file") => Some(suggested_secret(draft, path)),
            _ => None,
        };
        let question = Question { default: suggestion.or(question.default.clone()), ..question };
        let brackets = match question.default.as_deref() {
            None | Some("") => String::new(),
            Some(default) => format!(" [{default}]"),
        };
        out(&format!("\n{}", question.meaning));
        let _ = write!(io::stdout(), "{}{brackets}: ", question.text).and_then(|()| io::stdout().flush());
        let mut line = String::new();
        let read = io::stdin().lock().take(ANSWER_BYTES_MAX as u64).read_line(&mut line);
        if !matches!(read, Ok(1..)) {
            complain("\nNo answer, and nothing was changed.");
            return Err(ExitCode::from(REFUSED));
        }
        question::answer(draft, &question, &line);
        let flag = question::flag(&question.topic);
        let wrong = draft.finish().err().into_iter().flatten().find(|refusal| {
            refusal.flag == flag
                && !(matches!(question.topic, Topic::Provider(_)) || needs_more(draft, &question.topic))
        });
        let is_empty = line.trim().is_empty() && question.default.is_none();
        if let Some(wrong) = wrong {
            complain(&wrong.text);
            question::forget(draft, &question.topic);
        } else if is_empty {
            question::forget(draft, &question.topic);
        } else {
            asked.push(question.topic);
        }
    }
    Ok(())
}

/// The answer is right although what belongs to it is asked for only now.
fn needs_more(draft: &Draft, topic: &Topic) -> bool {
    *topic == Topic::Certificate && matches!(draft.certificate.as_deref(), Some("files" | "acme"))
}

fn suggested_secret(draft: &Draft, path: &Path) -> String {
    let name = draft.codes.as_deref().unwrap_or("provider");
    path.with_file_name(format!("{name}.secret")).display().to_string()
}

/// A provider's secret that has no file yet is asked for and put there. An existing file stays as it is.
fn write_secret(plan: &Plan, config: &Path, quiet: bool) -> Result<(), ExitCode> {
    let is_secret = |(key, _): &&(String, String)| key.ends_with(".secret_file");
    let Some((key, value)) = plan.settings.iter().find(is_secret) else { return Ok(()) };
    let file = fill::texts(value).into_iter().next().unwrap_or_default();
    let file = config.parent().unwrap_or(Path::new("")).join(file);
    if file.exists() || quiet || !can_ask() {
        return Ok(());
    }
    let secret =
        zeroize::Zeroizing::new(secret(&format!("The secret for {} ({key}), not shown: ", file.display()), None)?);
    let write = || -> io::Result<()> {
        make_folder(&file)?;
        let mut opened = OpenOptions::new().write(true).create_new(true).mode(0o640).open(&file)?;
        writeln!(opened, "{}", secret.as_str())?;
        opened.sync_all()?;
        if let Some(group) = group_of_node().filter(|_| rustix::process::geteuid().is_root()) {
            chown(&file, None, Some(group))?;
        }
        Ok(())
    };
    write().map_err(|error| unwritten(&file, &error))
}

/// The configuration as the node will read it; else nothing is written.
fn checked(path: &Path, text: &str) -> Result<Config, ExitCode> {
    let base = path.parent().unwrap_or(Path::new(""));
    config::parse(&path.display().to_string(), base, text).map_err(|problems| {
        for problem in problems {
            complain(&problem.to_string());
        }
        complain("Nothing was changed.");
        ExitCode::from(BAD_CONFIG)
    })
}

/// Puts the text in place whole, or not at all. A new file is made only where there is none.
fn put(path: &Path, before: Option<&str>, filled: &Filled) -> Result<(), ExitCode> {
    if filled.set.is_empty() && before.is_some() {
        out(&format!("{} says all of this already; nothing was changed.", path.display()));
        return Ok(());
    }
    let fresh = path.with_extension("toml.new");
    let write = || -> io::Result<()> {
        make_folder(path)?;
        let old = fs::metadata(path).ok();
        let mode = old.as_ref().map_or(0o644, |old| old.permissions().mode() & 0o777);
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&fresh)?;
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        if let Some(old) = old.filter(|_| rustix::process::geteuid().is_root()) {
            chown(&fresh, Some(old.uid()), Some(old.gid()))?;
        }
        file.write_all(filled.text.as_bytes())?;
        file.sync_all()?;
        match before {
            // Whoever made one meanwhile keeps it.
            None => fs::hard_link(&fresh, path).and_then(|()| fs::remove_file(&fresh))?,
            Some(_) => fs::rename(&fresh, path)?,
        }
        File::open(path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")))?.sync_all()
    };
    write().map_err(|error| {
        let _ = fs::remove_file(&fresh);
        unwritten(path, &error)
    })?;
    out(&format!("Wrote {}: {}.", path.display(), filled.set.join(", ")));
    Ok(())
}

fn make_folder(path: &Path) -> io::Result<()> {
    match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => fs::create_dir_all(parent),
        None => Ok(()),
    }
}

fn unwritten(path: &Path, error: &io::Error) -> ExitCode {
    complain(&format!(
        "{} cannot be written: {error} (remedy: run setup as root, or name another file with --config)",
        path.display()
    ));
    ExitCode::from(REFUSED)
}

/// The group under which the node runs, where its package has made it.
fn group_of_node() -> Option<u32> {
    let groups = fs::read_to_string("/etc/group").ok()?;
    let line = groups.lines().find_map(|line| line.strip_prefix("kontalk-node:"))?;
    line.split(':').nth(1)?.parse().ok()
}

fn tell(plan: &Plan, config: &Config, path: &Path) {
    let reach = reach(config, &plan.host, plan.addresses.clone());
    out(&format!("\nDNS records for {}:", plan.domain));
    for record in guide::records(&reach) {
        out(&format!("   {record}"));
    }
    out("\nPorts to forward on the router to this machine:");
    for port in guide::ports(&reach, plan.certificate) {
        out(&format!("   {port}"));
    }
    out("\nNext:");
    for (place, step) in (1..).zip(guide::next_steps(plan, &path.display().to_string())) {
        out(&format!("{place}. {step}"));
    }
}

/// How a configuration wants to be reached.
fn reach(config: &Config, host: &str, addresses: Vec<std::net::IpAddr>) -> Reach {
    kontalk_node::node::checkup::reach(config, host, addresses)
}

const CONFIG: &str = "/etc/kontalk-node/node.toml";
