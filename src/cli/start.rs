//! From the command line's words to a command, and to an exit code.

use clap::{CommandFactory, Parser};
use tracing_subscriber::EnvFilter;

use crate::cli::args::{Cli, Command, Format};
use crate::cli::client::Client;
use crate::cli::exit::{CliError, Exit};
use crate::cli::list::{
    APPROVALS, CONTAINMENTS, EXCEPTIONS, INCIDENTS, POLLS, QUESTIONS, RUNS, SCHEDULES, alerts, list,
};
use crate::cli::screen::Screen;
use crate::cli::{
    attention, backtest, check, decide, hint, incident, ingest, init, lab, plan, report, run, serve, show,
    store, test, triage, undo,
};
use crate::settings::Settings;
use crate::yaml::diagnostic::Diagnostic;

/// The stack of each worker thread. Expressions are bounded to fit the usual
/// 2 MiB; the rest is room for the frames around them.
const WORKER_STACK_BYTES: usize = 4 * 1024 * 1024;

/// Runs the command line.
pub fn main() -> Exit {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { Exit::Wrong } else { Exit::Done };
        }
    };
    let screen = Screen::new(cli.format, cli.color);
    hint::remember(&cli);
    log_to_stderr();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_stack_size(WORKER_STACK_BYTES)
        .build();
    let result = match runtime {
        Ok(runtime) => {
            let result = runtime.block_on(command(&cli, &screen));
            runtime.shutdown_timeout(std::time::Duration::from_secs(1));
            result
        }
        Err(error) => Err(CliError::new(Exit::Own, "runtime", error)),
    };
    result.unwrap_or_else(|error| {
        screen.error(&error);
        error.exit
    })
}

/// The log is JSON lines, so that text from the world cannot fake one.
/// `QUELL_LOG` sets what is logged (`info`, `quell=debug`).
fn log_to_stderr() {
    let filter = EnvFilter::try_from_env("QUELL_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    let _ = tracing_subscriber::fmt().json().with_env_filter(filter).with_writer(std::io::stderr).try_init();
}

fn settings(cli: &Cli) -> Result<(Settings, Vec<Diagnostic>), CliError> {
    let (mut settings, mistakes) = Settings::load_to_check(cli.config.as_deref())
        .map_err(|error| CliError::new(Exit::Wrong, "settings", error))?;
    // Who checks is told of everything at once.
    if !mistakes.is_empty() && !matches!(cli.command, Command::Check { .. }) {
        return Err(CliError::mistakes(mistakes));
    }
    if let Some(data) = &cli.data {
        settings.data.clone_from(data);
    }
    if let Command::Serve(args) = &cli.command {
        settings.listen = args.listen.unwrap_or(settings.listen);
    }
    Ok((settings, mistakes))
}

async fn command(cli: &Cli, screen: &Screen) -> Result<Exit, CliError> {
    match &cli.command {
        Command::Init { dir } => return init::init(dir, screen),
        _ if matches!(cli.format, Format::Html | Format::Markdown)
            && !matches!(cli.command, Command::Report(_)) =>
        {
            let message = "`--format html` and `markdown` are of `quell report` alone; write text or json";
            return Err(CliError::new(Exit::Wrong, "format-wrong", message));
        }
        Command::Version => {
            if screen.json() {
                screen
                    .document(&serde_json::json!({ "name": "quell", "version": env!("CARGO_PKG_VERSION") }));
            } else {
                screen.line(concat!("quell ", env!("CARGO_PKG_VERSION")));
            }
            return Ok(Exit::Done);
        }
        Command::Lab(args) => return lab::lab(args, cli.data.as_deref(), screen).await,
        Command::Completions { shell } => {
            clap_complete::generate(*shell, &mut Cli::command(), "quell", &mut std::io::stdout());
            return Ok(Exit::Done);
        }
        _ => {}
    }
    let (settings, found) = settings(cli)?;
    match &cli.command {
        Command::Serve(_) => return serve::serve(&settings, screen).await,
        Command::Check { paths } => return check::check(paths, &settings, found, screen),
        Command::Test { paths, coverage } => {
            return test::test(paths, *coverage, &settings, screen);
        }
        Command::Store(command) => return store::store(command, &settings, screen).await,
        _ => {}
    }
    let client = Client::new(&settings)?;
    match &cli.command {
        Command::Plan(args) => plan::plan(args, &settings, &client, screen).await,
        Command::Backtest(args) => backtest::backtest(args, &settings, &client, screen).await,
        Command::Run(args) => run::run(args, &settings, &client, screen).await,
        Command::Ingest(args) => ingest::ingest(args, &settings, &client, screen).await,
        Command::Show { id, raw } => show::show(id, *raw, &client, screen).await,
        Command::Alerts(args) => alerts(args, &client, screen).await,
        Command::Runs(args) => list(&RUNS, args, &client, screen).await,
        Command::Incidents(args) => list(&INCIDENTS, args, &client, screen).await,
        Command::Incident(args) => incident::incident(args, &client, screen).await,
        Command::Merge { incident, into, why } => triage::merge((incident, into, why), &client, screen).await,
        Command::Split(args) => triage::split(args, &client, screen).await,
        Command::Except(args) => triage::except(args, &client, screen).await,
        Command::Exceptions(args) => list(&EXCEPTIONS, args, &client, screen).await,
        Command::Detections(args) => triage::detections(args, &client, screen).await,
        Command::Approvals(args) => list(&APPROVALS, args, &client, screen).await,
        Command::Questions(args) => list(&QUESTIONS, args, &client, screen).await,
        Command::Containments(args) => list(&CONTAINMENTS, args, &client, screen).await,
        Command::Attention(args) => attention::attention(args, &client, screen).await,
        Command::Schedules(args) => list(&SCHEDULES, args, &client, screen).await,
        Command::Polls(args) => list(&POLLS, args, &client, screen).await,
        Command::Approve(args) => decide::decide(args, true, &client, screen).await,
        Command::Reject(args) => decide::decide(args, false, &client, screen).await,
        Command::Answer(args) => decide::answer(args, &client, screen).await,
        Command::Settle(args) => decide::settle(args, &client, screen).await,
        Command::Release(args) => undo::release(args, &client, screen).await,
        Command::Rerun { run, wait } => run::rerun(run, *wait, &client, screen).await,
        Command::Cancel { run, undo, why } => undo::cancel(run, *undo, why.as_deref(), &client, screen).await,
        Command::Undo(args) => undo::undo(args, &client, screen).await,
        Command::Extend { containment, hold } => undo::extend(containment, hold, &client, screen).await,
        Command::Report(args) => report::report(args, &client, screen).await,
        _ => Ok(Exit::Done),
    }
}
