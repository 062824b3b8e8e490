//! What is typed: the subcommands and their options.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::manifest::quantity::Megabytes;

/// Stages, runs, checks and opens apps on this machine, as Cloud Foundry does it.
#[derive(Debug, Parser)]
#[command(name = "cell", version, subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct CommandLine {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Print JSON, one object a line, for programs to read
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Stage an app, run it, and follow its log; it goes on when you leave with Ctrl-C
    Push(Push),
    /// Stage an app and print where its droplet is
    Stage(Stage),
    /// Run an app as it was staged, or a droplet that is a file
    Run(Run),
    /// Open a shell in an app's container, or run a command there
    Ssh(Ssh),
    /// Print an app's log and follow it
    Logs(Logs),
    /// List the apps and their instances
    Ps,
    /// Stop an app
    Stop(Stop),
    /// Show what is in a droplet
    Inspect(Inspect),
    /// Serve a directory of bundles, droplets and buildpacks to cells
    Serve(Serve),
    /// Keep a container open: its first process
    #[command(hide = true)]
    Pause,
    /// Keep the app that standard input tells running: what `push` and `run` leave behind
    #[command(hide = true)]
    Supervise {
        /// The app.
        name: String,
        /// Its bundle.
        #[arg(long)]
        bundle: Option<String>,
    },
}

/// `cell stage`, and what `cell push` has in common with it.
#[derive(Debug, Clone, Args)]
pub(crate) struct Stage {
    /// The app's directory, or an archive of it: zip, jar, tar
    #[arg(value_name = "APP_DIR", default_value = ".")]
    pub(crate) directory: PathBuf,
    /// The app's name, or which of the manifest's apps; else the manifest's, else the directory's
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// The manifest, instead of `APP_DIR/manifest.yml`
    #[arg(short = 'f', long, value_name = "FILE")]
    pub(crate) manifest: Option<PathBuf>,
    /// A value for ((NAME)) in the manifest
    #[arg(long = "var", value_name = "NAME=VALUE")]
    pub(crate) variables: Vec<String>,
    /// A YAML file of values for the manifest
    #[arg(long = "vars-file", value_name = "FILE")]
    pub(crate) variable_files: Vec<PathBuf>,
    /// A buildpack: a name of the stack's, a path, or a URL; several are used in this order
    #[arg(short, long = "buildpack", value_name = "BUILDPACK")]
    pub(crate) buildpacks: Vec<String>,
    /// The stack
    #[arg(short, long, value_name = "NAME")]
    pub(crate) stack: Option<String>,
    /// What the stacks are, instead of `CELL_STACKS` or ./stacks.yml
    #[arg(long, value_name = "FILE")]
    pub(crate) stacks: Option<PathBuf>,
    /// The value of `VCAP_SERVICES` as a JSON file
    #[arg(long, value_name = "FILE")]
    pub(crate) services: Option<PathBuf>,
    /// The lifecycle bundle: a file or a URL; else the one beside this program
    #[arg(long, value_name = "BUNDLE")]
    pub(crate) bundle: Option<String>,
    /// What walls containers have; else those of an OCI runtime where the stack has a root file system
    #[arg(long, value_enum, value_name = "KIND")]
    pub(crate) isolation: Option<IsolationName>,
}

/// `cell push`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Push {
    /// As for staging.
    #[command(flatten)]
    pub(crate) stage: Stage,
    /// The start command of the web process
    #[arg(short, long, value_name = "COMMAND")]
    pub(crate) command: Option<String>,
    /// Memory of an instance: 512M, 1G
    #[arg(short, long, value_name = "SIZE")]
    pub(crate) memory: Option<Megabytes>,
    /// Instances of the web process
    #[arg(short, long, value_name = "COUNT")]
    pub(crate) instances: Option<u32>,
    /// Leave as soon as the app runs, instead of following its log
    #[arg(long)]
    pub(crate) detach: bool,
}

/// `cell run`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Run {
    /// The droplet: a .tgz, or the name of an app that was pushed
    #[arg(value_name = "DROPLET")]
    pub(crate) droplet: OsString,
    /// The name the app is to have; else the file's
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// The start command of the web process, instead of its own
    #[arg(short, long, value_name = "COMMAND")]
    pub(crate) command: Option<String>,
    /// The stack, instead of the one it was staged on
    #[arg(short, long, value_name = "NAME")]
    pub(crate) stack: Option<String>,
    /// What the stacks are, instead of `CELL_STACKS` or ./stacks.yml
    #[arg(long, value_name = "FILE")]
    pub(crate) stacks: Option<PathBuf>,
    /// What walls containers have, instead of those it was staged in
    #[arg(long, value_enum, value_name = "KIND")]
    pub(crate) isolation: Option<IsolationName>,
    /// The lifecycle bundle: a file or a URL; else the one beside this program
    #[arg(long, value_name = "BUNDLE")]
    pub(crate) bundle: Option<String>,
    /// Leave as soon as the app runs, instead of following its log
    #[arg(long)]
    pub(crate) detach: bool,
}

/// `cell ssh`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Ssh {
    /// The app
    #[arg(value_name = "APP")]
    pub(crate) name: String,
    /// Which instance
    #[arg(short, long, value_name = "INDEX", default_value_t = 0)]
    pub(crate) instance: u32,
    /// Which process type
    #[arg(long, value_name = "TYPE", default_value = "web")]
    pub(crate) process: String,
    /// What to run there instead of a shell
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

/// `cell logs`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Logs {
    /// The app
    #[arg(value_name = "APP")]
    pub(crate) name: String,
    /// Print what there is and leave
    #[arg(long)]
    pub(crate) recent: bool,
}

/// `cell stop`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Stop {
    /// The app
    #[arg(value_name = "APP")]
    pub(crate) name: String,
}

/// `cell inspect`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Inspect {
    /// The droplet: a .tgz, or the name of an app that was pushed
    #[arg(value_name = "DROPLET")]
    pub(crate) droplet: OsString,
}

/// `cell serve`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Serve {
    /// The directory
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub(crate) address: std::net::SocketAddr,
}

/// A kind of walls by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum IsolationName {
    /// Containers like the platform's, by runc, crun or youki
    Oci,
    /// Plain processes of this machine in a directory of their own
    None,
}
