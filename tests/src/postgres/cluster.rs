//! A PostgreSQL cluster that exists for as long as this process needs it, and not a second longer.
//!
//! It listens on 127.0.0.1 and on a Unix socket in its own folder. It is stopped and its folder deleted when the [`Cluster`] is
//! dropped, or when this process ends in whatever way (see [`super::watch`]).
//!
//! Invariant: while the `server` is `Some`, that process was started by us and has not been waited for.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use tokio_postgres::Client;

use super::account::Account;
use super::binaries::{Binaries, Wanted};
use super::endpoint::{Endpoint, SUPERUSER};
use super::options::{Auth, ClusterOptions};
use super::power_cut;
use super::watch::WatchedFolder;
use crate::HarnessError;
use crate::port::free_port;
use crate::tool;

const INITDB_DEADLINE: Duration = Duration::from_secs(60);
const START_DEADLINE: Duration = Duration::from_secs(60);
const STOP_DEADLINE: Duration = Duration::from_secs(60);

/// How often the server is asked whether it is ready.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// How many ports a new cluster tries, and how often a restarting one tries its own.
const BIND_ATTEMPTS_MAX: u32 = 20;

/// What PostgreSQL says when its port is taken.
const PORT_TAKEN: &str = "could not create any TCP/IP sockets";

/// How a server is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StopMode {
    /// Ends all sessions, waits for replication clients to have confirmed everything, and checkpoints.
    Fast,
    /// As good as a crash: the next start has to recover.
    Immediate,
    /// A crash: SIGKILL for every process of it.
    Kill,
}

/// A running PostgreSQL of our own.
///
/// # Examples
/// ```no_run
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use bemi_tests::{Cluster, ClusterOptions};
///
/// let cluster = Cluster::start(&ClusterOptions::new())?;
/// let client = cluster.connect("postgres").await?;
/// client.batch_execute("CREATE TABLE todo (id bigint PRIMARY KEY, task text)").await?;
/// println!("psql {}", cluster.url("postgres"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Cluster {
    binaries: Binaries,
    account: Option<Account>,
    settings: Vec<(String, String)>,
    environment: Vec<(String, String)>,
    endpoint: Endpoint,
    server: Mutex<Option<Child>>,
    folder: WatchedFolder,
}

impl Cluster {
    /// Makes a cluster and starts its server, on a free port. Blocks, for a second or so; longer when PostgreSQL must be fetched first.
    ///
    /// # Errors
    /// [`HarnessError::NoPostgres`] and its neighbours when there is none to run; otherwise what initdb or the server said.
    pub fn start(options: &ClusterOptions) -> Result<Self, HarnessError> {
        let account = Account::for_servers()?;
        let binaries = Binaries::find(options.wanted)?;
        let password = match options.auth {
            Auth::Trust => None,
            Auth::ScramSha256 => Some(random_password()?),
        };
        let mut cluster = Self::empty(binaries, account, options.settings.clone(), password)?;
        cluster.environment.clone_from(&options.environment);
        cluster.initdb()?;
        cluster.start_on_free_port()?;
        Ok(cluster)
    }

    /// The TCP port on 127.0.0.1; it stays the same over restarts.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.endpoint.port
    }

    /// The folder of the Unix socket.
    #[must_use]
    pub fn socket_dir(&self) -> &Path {
        self.folder.path()
    }

    /// The data directory.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The server tools that this cluster runs on, and with them its version.
    #[must_use]
    pub fn binaries(&self) -> &Binaries {
        &self.binaries
    }

    /// The URL of one of its databases as the superuser `postgres`. Holds the password, if there is one.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        self.endpoint.url(database)
    }

    /// Connects to one of its databases as the superuser. A task of the running tokio runtime drives the connection until the
    /// client is dropped.
    ///
    /// # Errors
    /// [`HarnessError::Database`] when the server refuses or is stopped.
    pub async fn connect(&self, database: &str) -> Result<Client, HarnessError> {
        self.endpoint.connect(database).await
    }

    /// A tool of PostgreSQL's, such as `pgbench`, of this version or, where a package lacks it, of any installed one.
    #[must_use]
    pub fn pg_tool(&self, name: &str) -> Option<PathBuf> {
        self.binaries.tool(name)
    }

    /// The process id of the server; `None` while it is stopped.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.server().as_ref().map(Child::id)
    }

    /// Everything that the server has logged; for people who wonder why a test failed.
    #[must_use]
    pub fn log(&self) -> String {
        let mut bytes = Vec::new();
        // Without a log there is nothing to see, and that is what is shown.
        let _ = File::open(self.log_path()).and_then(|mut file| file.read_to_end(&mut bytes));
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Stops the server and waits until it is gone; does nothing when it is stopped already.
    ///
    /// Blocks. A fast stop waits for replication clients: they must not depend on the thread that waits here.
    ///
    /// # Errors
    /// [`HarnessError::ServerTooSlow`] when it is still there after a minute.
    pub fn stop(&self, mode: StopMode) -> Result<(), HarnessError> {
        self.halt(&mut self.server(), mode)
    }

    /// Starts the server again after [`stop`](Self::stop), on the same port; does nothing when it runs.
    ///
    /// # Errors
    /// As [`start`](Self::start); also when somebody has taken the port meanwhile and keeps it.
    pub fn start_again(&self) -> Result<(), HarnessError> {
        self.resume(&mut self.server())
    }

    /// Stops the server and starts it again, on the same port.
    ///
    /// # Errors
    /// As [`stop`](Self::stop) and [`start_again`](Self::start_again).
    pub fn restart(&self, mode: StopMode) -> Result<(), HarnessError> {
        let mut server = self.server();
        self.halt(&mut server, mode)?;
        self.resume(&mut server)
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// A cluster like this one, but without data, which does not run yet.
    pub(super) fn empty_sibling(&self) -> Result<Self, HarnessError> {
        Self::empty(
            self.binaries.clone(),
            self.account.clone(),
            self.settings.clone(),
            self.endpoint.password.clone(),
        )
    }

    /// Starts the server for the first time.
    pub(super) fn start_on_free_port(&mut self) -> Result<(), HarnessError> {
        let mut attempt = 1;
        loop {
            let started = self.launch(&mut self.server());
            match started {
                Err(error) if is_port_taken(&error) && attempt < BIND_ATTEMPTS_MAX => {
                    attempt += 1;
                    self.endpoint.port = free_port()?;
                }
                started => return started,
            }
        }
    }

    /// Gives the folder and all that is in it to the user that the server runs as.
    pub(super) fn own_all(&self, folder: &Path) -> Result<(), HarnessError> {
        let Some(account) = &self.account else { return Ok(()) };
        account.own(folder)?;
        let entries = fs::read_dir(folder).map_err(HarnessError::file("list", folder))?;
        for path in entries.flatten().map(|entry| entry.path()) {
            if path.is_dir() { self.own_all(&path)? } else { account.own(&path)? }
        }
        Ok(())
    }

    fn empty(
        binaries: Binaries,
        account: Option<Account>,
        settings: Vec<(String, String)>,
        password: Option<String>,
    ) -> Result<Self, HarnessError> {
        let folder = WatchedFolder::create(account.as_ref())?;
        let endpoint = Endpoint { port: free_port()?, password };
        Ok(Self {
            binaries,
            account,
            settings,
            environment: Vec::new(),
            endpoint,
            server: Mutex::new(None),
            folder,
        })
    }

    fn initdb(&self) -> Result<(), HarnessError> {
        let mut command = self.command("initdb");
        command
            .args([
                "-U",
                SUPERUSER,
                "-E",
                "UTF8",
                "--locale=C",
                "--no-sync",
                "--no-instructions",
                "-D",
            ])
            .arg(self.data_dir());
        match &self.endpoint.password {
            None => {
                command.args(["-A", "trust"]);
                tool::run_successfully(command, INITDB_DEADLINE)?;
            }
            Some(password) => {
                let file = self.folder.path().join("password");
                self.write_secret(&file, password)?;
                command.args(["-A", "scram-sha-256", "--pwfile"]).arg(&file);
                tool::run_successfully(command, INITDB_DEADLINE)?;
                fs::remove_file(&file).map_err(HarnessError::file("remove", &file))?;
            }
        }
        Ok(())
    }

    fn write_secret(&self, path: &Path, secret: &str) -> Result<(), HarnessError> {
        File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .and_then(|mut file| file.write_all(secret.as_bytes()))
            .map_err(HarnessError::file("write", path))?;
        self.account.as_ref().map_or(Ok(()), |account| account.own(path))
    }

    /// Starts the server and waits until it takes connections.
    fn launch(&self, server: &mut Option<Child>) -> Result<(), HarnessError> {
        let log_path = self.log_path();
        let log = File::options()
            .create(true)
            .append(true)
            .open(&log_path)
            .map_err(HarnessError::file("open", &log_path))?;
        let log_start = log.metadata().map_err(HarnessError::file("look at", &log_path))?.len();
        let log_too = log.try_clone().map_err(HarnessError::file("share", &log_path))?;

        let mut command = self.command("postgres");
        command.arg("-D").arg(self.data_dir()).stdout(log).stderr(log_too);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        // The tests' settings first: where this cluster listens is not theirs to change.
        for (name, value) in &self.settings {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        command.args([
            "-c",
            "listen_addresses=127.0.0.1",
            "-c",
            &format!("port={}", self.endpoint.port),
        ]);
        command.arg("-c").arg(format!("unix_socket_directories={}", self.folder.path().display()));
        let mut child = command.spawn().map_err(|source| HarnessError::ToolNotStarted {
            tool: "postgres".to_owned(),
            source,
        })?;

        let started = Instant::now();
        loop {
            let ended = child.try_wait().map_err(HarnessError::system("wait for the server"))?;
            if let Some(status) = ended {
                let log = self
                    .log()
                    .get(usize::try_from(log_start).unwrap_or(0)..)
                    .unwrap_or_default()
                    .to_owned();
                return Err(HarnessError::ServerEnded { status, log });
            }
            if self.is_ready(child.id()) {
                *server = Some(child);
                return Ok(());
            }
            if started.elapsed() >= START_DEADLINE {
                // Kept, so that it is stopped with the cluster.
                *server = Some(child);
                return Err(self.too_slow("ready", START_DEADLINE));
            }
            thread::sleep(POLL_INTERVAL);
        }
    }

    /// Starts the server on the port that it has. Connections of strangers may hold that for a moment.
    fn resume(&self, server: &mut Option<Child>) -> Result<(), HarnessError> {
        if server.is_some() {
            return Ok(());
        }
        let mut attempt = 1;
        loop {
            match self.launch(server) {
                Err(error) if is_port_taken(&error) && attempt < BIND_ATTEMPTS_MAX => attempt += 1,
                started => return started,
            }
        }
    }

    fn halt(&self, server: &mut Option<Child>, mode: StopMode) -> Result<(), HarnessError> {
        let Some(child) = server.as_mut() else { return Ok(()) };
        let signal = match mode {
            StopMode::Fast => Signal::SIGINT,
            StopMode::Immediate => Signal::SIGQUIT,
            StopMode::Kill => {
                power_cut::kill_all(tool::pid_of(child));
                Signal::SIGKILL
            }
        };
        signal_and_wait(child, signal, STOP_DEADLINE)?
            .ok_or_else(|| self.too_slow("stopped", STOP_DEADLINE))?;
        *server = None;
        Ok(())
    }

    /// Whether the server has written into its pid file that it takes connections.
    fn is_ready(&self, pid: u32) -> bool {
        let Ok(file) = fs::read_to_string(self.data_dir().join("postmaster.pid")) else {
            return false;
        };
        let mut lines = file.lines().map(str::trim);
        let is_ours = lines.next().is_some_and(|line| line == pid.to_string());
        is_ours && lines.nth(6) == Some("ready")
    }

    fn command(&self, program: &str) -> Command {
        self.folder.launch(&self.binaries.folder().join(program), self.account.as_ref())
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn too_slow(&self, state: &'static str, deadline: Duration) -> HarnessError {
        HarnessError::ServerTooSlow { state, seconds: deadline.as_secs(), log: self.log() }
    }

    fn server(&self) -> MutexGuard<'_, Option<Child>> {
        // Whoever panicked with it left a process or none: both are fine.
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Waited for here, since nobody but its parent can see a process off; the folder is deleted by its own drop, after this.
        let Some(mut child) = self.server().take() else { return };
        let stopped = signal_and_wait(&mut child, Signal::SIGQUIT, STOP_DEADLINE);
        if !matches!(stopped, Ok(Some(_))) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The one cluster that the tests of this process share, with the default options, started when it is first asked for: the
/// newest installed PostgreSQL, or the major version that `BEMI_TEST_MAJOR` names. Each test makes a [`TestDatabase`](crate::TestDatabase) of its own in it.
///
/// # Panics
/// When it cannot be started, or `BEMI_TEST_MAJOR` is not a number: then no test can run, and the message says why.
#[allow(clippy::panic, reason = "a test fails by panicking, and without a server every test fails")]
pub fn shared_cluster() -> &'static Cluster {
    static SHARED: OnceLock<Cluster> = OnceLock::new();
    SHARED.get_or_init(|| {
        let wanted = match std::env::var("BEMI_TEST_MAJOR") {
            Ok(major) => Wanted::Major(major.parse().unwrap_or_else(|_| {
                panic!("BEMI_TEST_MAJOR is {major:?}, and not a major version such as 16")
            })),
            Err(_) => Wanted::default(),
        };
        Cluster::start(&ClusterOptions::new().wanted(wanted))
            .unwrap_or_else(|error| panic!("{error}"))
    })
}

fn signal_and_wait(
    child: &mut Child,
    signal: Signal,
    deadline: Duration,
) -> Result<Option<ExitStatus>, HarnessError> {
    // Not waited for, so the id is still its own; if it has ended by itself, the signal goes nowhere.
    let _ = kill(tool::pid_of(child), signal);
    tool::wait_until(child, deadline)
}

fn is_port_taken(error: &HarnessError) -> bool {
    matches!(error, HarnessError::ServerEnded { log, .. } if log.contains(PORT_TAKEN))
}

fn random_password() -> Result<String, HarnessError> {
    let source = Path::new("/dev/urandom");
    let mut bytes = [0_u8; 16];
    File::open(source)
        .and_then(|mut file| file.read_exact(&mut bytes))
        .map_err(HarnessError::file("read", source))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
