//! The settings files: found, read, written. And the commands about them.
//!
//! Owns where the files lie. What they mean belongs to `config`.
use super::ask::put;
use super::{called, say};
use crate::cli::config::What;
use crate::cli::{Cli, Command};
use crate::config::{self, Around, Origin, SETTINGS, Settings, Spec};
use crate::error::{Error, Kind};
use crate::query::Flag;
use clap::parser::ValueSource;
use clap::{ArgMatches, FromArgMatches as _};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|v| !v.is_empty())
}

/// `$XDG_CONFIG_HOME`, else `~/.config`; none where there is no home.
fn folder() -> Option<PathBuf> {
    variable("XDG_CONFIG_HOME").map(PathBuf::from).or_else(|| Some(PathBuf::from(variable("HOME")?).join(".config")))
}

/// Our file, and whether its path was given: then it has to be there.
fn own_path(given: Option<&Path>) -> Option<(PathBuf, bool)> {
    let given = given.map(Path::to_owned).or_else(|| variable("FLOWHY_CONFIG").map(PathBuf::from));
    given.map(|p| (p, true)).or_else(|| Some((folder()?.join("flowhy/config.toml"), false)))
}

fn read(path: &Path) -> Result<Option<String>, Error> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(e) => Err(Error::new(Kind::Usage, format!("cannot read {}", path.display())).cause(e.to_string())),
    }
}

/// All settings of the moment.
pub fn settings(given: Option<&Path>) -> Result<Settings, Error> {
    let own = match own_path(given) {
        None => None,
        Some((path, must)) => match read(&path)? {
            Some(text) => Some((path.display().to_string(), text)),
            None if must => {
                return Err(Error::usage(format!("cannot read {}", path.display()))
                    .cause("no such file")
                    .hint("--config and $FLOWHY_CONFIG name flowhy's file"));
            }
            None => None,
        },
    };
    let hubbles = variable("HUBBLE_CONFIG").map(PathBuf::from).or_else(|| Some(folder()?.join("hubble/config.yaml")));
    // Missing, unreadable: passed over, as Hubble does.
    let hubbles = hubbles.and_then(|p| Some((p.display().to_string(), read(&p).ok()??)));
    config::resolve(Around {
        variable: &variable,
        own: own.as_ref().map(|(p, t)| (p.as_str(), t.as_str())),
        hubbles: hubbles.as_ref().map(|(p, t)| (p.as_str(), t.as_str())),
    })
}

/// The command line once more, with the settings as the defaults of its flags.
/// What a flag of the command line says otherwise is left out of the settings.
pub fn applied(cli: Cli) -> Result<(Cli, Settings), Error> {
    if matches!(cli.command, Some(Command::Config(_) | Command::Completions(_) | Command::Man | Command::Version)) {
        return Ok((cli, Settings::default()));
    }
    let mut settings = settings(cli.display.config.as_deref())?;
    let alone = matches!(cli.command, Some(Command::Replay(_) | Command::Demo(_) | Command::Serve(_) | Command::Audit(_)));
    let servers = !alone && cli.source.input_file.is_empty();
    if !servers {
        settings.without(Spec::of_servers);
    }
    if settings.set().next().is_none() {
        return Ok((cli, settings));
    }
    let again = settings.defaults(called::command()).try_get_matches();
    let matches = again.map_err(|e| settings.blame(say::misuse(&e, &[])))?;
    let mut cli = Cli::from_arg_matches(&matches).map_err(|e| settings.blame(say::misuse(&e, &[])))?;
    settings.without(|spec| typed(&matches, spec.key));
    let flags = match &mut cli.command {
        Some(Command::Observe(o)) if !matches!(o.filter.first().map(String::as_str), Some("agent-events" | "debug-events")) => {
            &mut o.flags.0
        }
        Some(Command::Why(w)) => &mut w.flags.0,
        _ => return Ok((cli, settings)),
    };
    for name in ["allowlist", "denylist"] {
        if !flags.iter().any(|f| f.name == name)
            && let Some(s) = settings.set().find(|s| s.spec.key == name)
        {
            flags.extend(s.values.iter().map(|v| Flag { name: s.spec.key, value: v.clone() }));
        }
    }
    Ok((cli, settings))
}

/// Whether the flag of this name stands on the command line, whatever the command.
fn typed(matches: &ArgMatches, key: &str) -> bool {
    let here = matches.ids().filter(|id| id.as_str().replace('_', "-") == key);
    here.into_iter().any(|id| matches.value_source(id.as_str()) == Some(ValueSource::CommandLine))
        || matches.subcommand().is_some_and(|(_, below)| typed(below, key))
}

/// What the settings are and where they come from, for those who debug.
pub fn tell(settings: &Settings) {
    settings.notes.iter().for_each(|n| say::say("debug", n));
    for s in settings.set() {
        let shown = if s.spec.key.contains("password") { "********".to_owned() } else { s.values.join(" ") };
        say::say("debug", &format!("{} = {shown} ({})", s.spec.key, s.origin));
    }
}

/// `flowhy config`.
pub fn command(what: What, given: Option<&Path>) -> Result<u8, Error> {
    let mut stdout = io::stdout().lock();
    match what {
        What::View | What::Get { key: None } => put(&mut stdout, settings(given)?.view().as_bytes())?,
        What::Get { key: Some(key) } => put(&mut stdout, settings(given)?.get(Spec::named(&key)?).as_bytes())?,
        What::Set { key, values } => {
            let spec = Spec::named(&key)?;
            let path = write(given, |path, text| config::changed(path, text, spec, &values))?;
            // What stands before our file still counts: better said than wondered at.
            if let Some(s) = settings(Some(&path))?.of(spec)
                && s.origin != Origin::File(path.display().to_string())
                && s.origin != Origin::Default
            {
                say::say("note", &format!("{key} of {} counts before that of {}", s.origin, path.display()));
            }
        }
        What::Reset { key } => {
            let specs = match &key {
                Some(key) => std::slice::from_ref(Spec::named(key)?),
                None => SETTINGS,
            };
            write(given, |path, text| specs.iter().try_fold(text.to_owned(), |text, spec| config::changed(path, &text, spec, &[])))?;
        }
    }
    Ok(0)
}

/// Our file, changed: whole or not at all.
pub fn write(given: Option<&Path>, change: impl FnOnce(&str, &str) -> Result<String, Error>) -> Result<PathBuf, Error> {
    let (path, _) = own_path(given).ok_or_else(|| {
        Error::usage("there is no place for a configuration file")
            .cause("neither $XDG_CONFIG_HOME nor $HOME is set")
            .hint("name one: --config FILE")
    })?;
    let before = read(&path)?.unwrap_or_default();
    let after = change(&path.display().to_string(), &before)?;
    if after == before {
        return Ok(path);
    }
    let cannot = |e: io::Error| Error::new(Kind::Output, format!("cannot write {}", path.display())).cause(e.to_string());
    if let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o750);
        builder.create(parent).map_err(cannot)?;
    }
    // A link stays one: what is written is the file that it leads to.
    let real = std::fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
    // Beside it, so that the last step is one rename; nobody else may read what may be a password, unless somebody has let them.
    let beside = real.with_extension(format!("toml.{}", std::process::id()));
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let fill = |mut f: std::fs::File| {
        f.write_all(after.as_bytes())?;
        std::fs::metadata(&real).map_or(Ok(()), |old| f.set_permissions(old.permissions()))?;
        std::fs::rename(&beside, &real)
    };
    options.open(&beside).and_then(fill).map_err(|e| {
        let _ = std::fs::remove_file(&beside);
        cannot(e)
    })?;
    Ok(path)
}
