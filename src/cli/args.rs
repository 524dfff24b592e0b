//! The words of the command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use self::triage::{AlertsArgs, DetectionsArgs, ExceptArgs, IncidentArgs, SplitArgs};

mod triage;

use crate::service::preview::how::Reads;

/// What the environment may say, for the help.
const ENVIRONMENT: &str = "\
Environment:
  QUELL_SERVER  The server to speak to, as https://quell.example.com [default: the one of the data directory]
  QUELL_TOKEN   The token to speak with, which an administrator gives you [default: the operator's own, on the server's machine]
  QUELL_LOG     What is logged to standard error, such as `info` or `quell=debug` [default: warn]
  QUELL_CONFIG, QUELL_DATA and QUELL_LISTEN stand for --config, --data and `serve --listen`.";

/// Runs YAML playbooks on alerts: enriches them, asks the owners, suspends
/// access, lifts it on time, and writes the summaries.
#[derive(Debug, Parser)]
#[command(name = "quell", version, about, max_term_width = 100, disable_help_subcommand = true, after_help = ENVIRONMENT)]
pub struct Cli {
    /// The settings file [default: quell.yaml here, if there is one].
    #[arg(long, global = true, value_name = "FILE", env = "QUELL_CONFIG")]
    pub config: Option<PathBuf>,
    /// The data directory; wins over the settings.
    #[arg(long, global = true, value_name = "DIR", env = "QUELL_DATA")]
    pub data: Option<PathBuf>,
    /// Text for people or JSON for programs; `quell report` takes html and markdown too.
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// Colours.
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto)]
    pub color: Color,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Text or JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON document, or JSON lines while following.
    Json,
    /// A web page; of `quell report` alone.
    Html,
    /// Markdown; of `quell report` alone.
    Markdown,
}

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start the practice range and play a real alert through it, end to end.
    Lab(LabArgs),
    /// Run the server: scheduler, API, webhooks, question pages.
    Serve(ServeArgs),
    /// Write commented settings, a first playbook and its test.
    Init {
        /// Where to write them.
        #[arg(default_value = ".")]
        dir: PathBuf,
    },
    /// Find every mistake in playbooks, templates, connectors, sources and settings.
    Check {
        /// Files or directories [default: what the settings name].
        paths: Vec<PathBuf>,
    },
    /// Run the playbooks' own tests, in virtual time.
    Test {
        /// Test files, playbooks or directories [default: the playbooks of the settings].
        paths: Vec<PathBuf>,
        /// Also list the steps that no case reached.
        #[arg(long)]
        coverage: bool,
    },
    /// Dry run: reads happen, effects become a plan.
    Plan(PlanArgs),
    /// Put stored alerts through a changed playbook, and show what it would decide differently.
    Backtest(BacktestArgs),
    /// Start a run.
    Run(RunArgs),
    /// Show one of anything, with its timeline.
    Show {
        /// An id such as run_…, inc_…, apr_…, qst_…, ctn_…, sch_…, alt_….
        id: String,
        /// Of an alert, what its sender sent, as JSON.
        #[arg(long)]
        raw: bool,
    },
    /// Hand in alerts from a file, as their source would send them.
    Ingest(IngestArgs),
    /// List alerts, with what became of each.
    Alerts(AlertsArgs),
    /// List runs.
    Runs(ListArgs),
    /// List incidents.
    Incidents(ListArgs),
    /// Show an incident, or change what is on record of it.
    Incident(IncidentArgs),
    /// Make all of one incident part of another, and close it.
    Merge {
        /// The incident that is no story of its own.
        incident: String,
        /// The incident that holds both from here on.
        #[arg(long, value_name = "INC")]
        into: String,
        /// Why.
        #[arg(long)]
        why: String,
    },
    /// Take some alerts of an incident, with the runs they started, into a new one.
    Split(SplitArgs),
    /// Keep alerts of a rule without any effect for a time, or end that.
    Except(ExceptArgs),
    /// List exceptions that hold (with --all, also those that ended).
    Exceptions(ListArgs),
    /// List how often the rules of detectors fired and were right; of one rule, what to write to its owner.
    Detections(DetectionsArgs),
    /// List approvals that wait (with --all, also decided ones).
    Approvals(ListArgs),
    /// List questions that wait (with --all, also closed ones).
    Questions(ListArgs),
    /// List what is contained, by whom, why and until when (with --all, also what was lifted).
    Containments(ListArgs),
    /// List all that needs a person, the most urgent first, with what to do next.
    Attention(AttentionArgs),
    /// List schedules, with what each last did and its next firings.
    Schedules(ListArgs),
    /// List sources that are polled: from where each goes on, when it last answered, and what fails.
    Polls(ListArgs),
    /// Say yes to a step that waits for approval.
    Approve(DecideArgs),
    /// Say no to a step that waits for approval.
    Reject(DecideArgs),
    /// Answer a question that was sent to you.
    Answer(AnswerArgs),
    /// Say what happened to an uncertain step.
    Settle(SettleArgs),
    /// Let runs go on that were set aside, from where they stood.
    Release(ReleaseArgs),
    /// Do a run once more: its playbook as it is now, with the inputs and the alert that it had.
    Rerun {
        /// The run.
        run: String,
        /// Follow it until it ends.
        #[arg(long)]
        wait: bool,
    },
    /// End a run.
    Cancel {
        /// The run.
        run: String,
        /// Also lift what it contained.
        #[arg(long)]
        undo: bool,
        /// Why.
        #[arg(long)]
        why: Option<String>,
    },
    /// Lift what a run or an incident contained, some steps of it, or one containment.
    Undo(UndoArgs),
    /// Let a containment hold longer.
    Extend {
        /// The containment.
        containment: String,
        /// How much longer than it would hold now, such as 24h.
        #[arg(long = "for", value_name = "DURATION")]
        hold: String,
    },
    /// Write a summary of an incident or a run, from the journal alone.
    Report(ReportArgs),
    /// Check, back up, export, import or compact what the server keeps.
    #[command(subcommand)]
    Store(StoreCommand),
    /// Print the version.
    Version,
    /// Print completions for a shell.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

/// `quell lab`.
#[derive(Debug, Args)]
pub struct LabArgs {
    /// End when the story has ended, instead of staying up.
    #[arg(long)]
    pub exit: bool,
    /// Start only the practice range, without a server.
    #[arg(long, conflicts_with = "exit")]
    pub world: bool,
    /// How long the people of the lab take to answer: 1 is a few seconds, 0 at once.
    #[arg(long, default_value_t = 1.0, value_name = "FACTOR")]
    pub pace: f64,
}

/// `quell serve`.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Where to listen; wins over the settings.
    #[arg(long, value_name = "ADDR", env = "QUELL_LISTEN")]
    pub listen: Option<std::net::SocketAddr>,
}

/// `quell plan`.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// The playbook's name.
    pub playbook: String,
    /// The alert as a JSON file, `-` for standard input, or the id of one on record (alt_…).
    #[arg(long, value_name = "FILE|ALERT")]
    pub alert: Option<PathBuf>,
    /// The source whose rules read the alert [default: a normalised alert].
    #[arg(long, value_name = "NAME")]
    pub source: Option<String>,
    /// An input, as name=value; its declared type says how the value is read.
    #[arg(long = "input", value_name = "K=V")]
    pub inputs: Vec<String>,
}

/// `quell backtest`. Ends with 0 when nothing differs, with 1 when something does.
#[derive(Debug, Args)]
pub struct BacktestArgs {
    /// The changed playbook's file, or the name of one in the library.
    pub playbook: String,
    /// Alerts that came in this long ago at most.
    #[arg(long, default_value = "90d", value_name = "DURATION")]
    pub since: String,
    /// What to hold it against: a file, or a version of which a run is on record [default: the
    /// playbook of its name in the library].
    #[arg(long, value_name = "VERSION|FILE")]
    pub against: Option<String>,
    /// How many alerts at most, the newest first.
    #[arg(long, default_value_t = crate::service::backtest::LIMIT_DEFAULT)]
    pub limit: usize,
    /// Whether systems are asked: `none` gives steps that read no answer, `live` asks each for
    /// each alert and gets the answers of today.
    #[arg(long, default_value = "none", value_name = "live|none", value_parser = reads)]
    pub reads: Reads,
}

fn reads(text: &str) -> Result<Reads, String> {
    match text {
        "live" => Ok(Reads::Live),
        "none" => Ok(Reads::None),
        _ => Err("write `live` or `none`".to_owned()),
    }
}

/// `quell ingest`.
#[derive(Debug, Args)]
pub struct IngestArgs {
    /// JSON or JSON lines, as the source sends them; `-` reads standard input.
    pub file: PathBuf,
    /// The source whose rules read them: one of the settings; for a dry run also one that is shipped.
    #[arg(long, value_name = "NAME")]
    pub source: String,
    /// Print the alerts as Quell understands them, and store nothing. Needs no server.
    #[arg(long)]
    pub dry_run: bool,
}

/// `quell run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// What to run, and on what.
    #[command(flatten)]
    pub what: PlanArgs,
    /// Follow it until it ends.
    #[arg(long)]
    pub wait: bool,
}

/// A list.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Also what is over.
    #[arg(long)]
    pub all: bool,
    /// How many rows.
    #[arg(long, default_value_t = 50)]
    pub limit: usize,
    /// Begin after this id.
    #[arg(long, value_name = "ID")]
    pub after: Option<String>,
}

/// `quell attention`.
#[derive(Debug, Args)]
pub struct AttentionArgs {
    /// Only what you are asked.
    #[arg(long)]
    pub mine: bool,
    /// Only of this run.
    #[arg(long, value_name = "RUN")]
    pub run: Option<String>,
    /// How many.
    #[arg(long, default_value_t = 50)]
    pub limit: usize,
    /// Begin after this place, which the page before names.
    #[arg(long, value_name = "PLACE")]
    pub after: Option<String>,
}

/// `quell approve` and `quell reject`.
#[derive(Debug, Args)]
pub struct DecideArgs {
    /// The approval.
    pub approval: String,
    /// Why.
    #[arg(long)]
    pub note: Option<String>,
}

/// `quell answer`.
#[derive(Debug, Args)]
pub struct AnswerArgs {
    /// The question.
    pub question: String,
    /// The choice's value.
    pub choice: String,
    /// A field, as name=value.
    #[arg(long = "field", value_name = "K=V")]
    pub fields: Vec<String>,
}

/// `quell release`.
#[derive(Debug, Args)]
pub struct ReleaseArgs {
    /// The runs.
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    pub runs: Vec<String>,
    /// All that are set aside.
    #[arg(long)]
    pub all: bool,
    /// Why it is safe now.
    #[arg(long)]
    pub note: Option<String>,
}

/// `quell settle`.
#[derive(Debug, Args)]
pub struct SettleArgs {
    /// The run.
    pub run: String,
    /// The uncertain step.
    pub step: String,
    /// Whether it happened.
    #[arg(value_enum)]
    pub happened: Happened,
    /// How you know.
    #[arg(long)]
    pub note: Option<String>,
}

/// What a person saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Happened {
    /// It did happen.
    Happened,
    /// It did not: it will be sent again.
    DidNot,
}

/// `quell undo`.
#[derive(Debug, Args)]
pub struct UndoArgs {
    /// A run, a containment or an incident.
    #[arg(required_unless_present_any = ["containment", "incident"], conflicts_with_all = ["containment", "incident"])]
    pub id: Option<String>,
    /// Only what these steps contained, such as suspend or suspend[2].
    #[arg(value_name = "STEP")]
    pub steps: Vec<String>,
    /// One containment, by the id that `quell containments` shows.
    #[arg(long, value_name = "ID", conflicts_with = "incident")]
    pub containment: Option<String>,
    /// What all runs of an incident contained, the newest first.
    #[arg(long, value_name = "INC")]
    pub incident: Option<String>,
    /// Only these of it: steps or containments.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub only: Vec<String>,
    /// Look, say what would be done and in which order, and do nothing.
    #[arg(long)]
    pub plan: bool,
    /// Also over what somebody else changed since; needs --note.
    #[arg(long, requires = "why")]
    pub anyway: bool,
    /// Why.
    #[arg(long, visible_alias = "note")]
    pub why: Option<String>,
}

/// `quell report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// An incident or a run.
    pub of: String,
    /// Which summary: executive or technical.
    #[arg(long, default_value = "technical")]
    pub template: String,
    /// For whom.
    #[arg(long, default_value = "responders")]
    pub audience: String,
    /// How it is written, when `--format` does not say; with `--format json` the
    /// text stands in the document.
    #[arg(long = "as", default_value = "markdown", value_name = "html|markdown")]
    pub kind: String,
}

/// `quell store`.
#[derive(Debug, Subcommand)]
pub enum StoreCommand {
    /// Check everything in the store, or a backup or export by restoring it aside.
    Verify {
        /// A backup or export [default: the store itself; the server must be stopped].
        file: Option<PathBuf>,
    },
    /// Write a backup, also while the server runs.
    Backup {
        /// The file to write; it must not be there yet.
        dest: PathBuf,
    },
    /// Write everything as JSON lines, also when the disk is full or the store is damaged.
    Export {
        /// The file to write; `-` writes to standard output.
        file: PathBuf,
        /// Where a store that does not open may be copied to [default: beside FILE].
        #[arg(long, value_name = "DIR")]
        work: Option<PathBuf>,
    },
    /// Write the store's file anew, without the bytes of what retention erased.
    Compact,
    /// Read a backup or an export into an empty data directory.
    Import {
        /// The file to read; `-` reads standard input.
        file: PathBuf,
    },
}
