//! A PostgreSQL server for tests: one that `SIDECAR_TEST_POSTGRES` names, or one of their own from the machine's
//! binaries, in a temporary folder, on a free port of the loopback interface.

#![allow(dead_code, reason = "each test binary uses its own part of this")]

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};

/// A URL: `postgres://user:password@host:port/database`. The user must be allowed to make databases and roles, and the
/// server must ask for passwords (`scram-sha-256`): that a wrong one is refused is among the tests.
const VARIABLE: &str = "SIDECAR_TEST_POSTGRES";

const USER: &str = "sidecar";
pub(crate) const PASSWORD: &str = "p4ss-of-the-test-server";

/// Starts, kills and ends the server by words on its input, and says when that is done. When that is closed, because the test has ended in
/// whatever way, it ends the server and removes the folder.
const SUPERVISOR: &str = r#"
folder=$1; shift
server=
while read -r word; do
    case $word in
        start)
            # What is left of a killed server may be in the way for a moment.
            while :; do
                "$@" >>"$folder/log" 2>&1 & server=$!
                sleep 0.3
                kill -0 "$server" 2>/dev/null && break
            done ;;
        kill) kill -9 "$server"; wait "$server" 2>/dev/null ;;
        stop) kill -INT "$server"; wait "$server" ;;
    esac
    echo done
done
kill -QUIT "$server" 2>/dev/null; wait "$server"
rm -rf "$folder"
"#;

/// Where a server listens, and who may do everything there.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) user: String,
    pub(crate) password: String,
}

impl Address {
    /// What `SIDECAR_TEST_POSTGRES` says.
    fn of_variable(url: &str) -> Option<Self> {
        let rest = url.strip_prefix("postgres://").or_else(|| url.strip_prefix("postgresql://"))?;
        let (login, place) = rest.split_once('@')?;
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        let place = place.split('/').next()?;
        let (host, port) = place.split_once(':').unwrap_or((place, "5432"));
        let [host, user, password] = [host, user, password].map(str::to_owned);
        Some(Self { host, port: port.parse().ok()?, user, password })
    }

    pub(crate) async fn connect(&self, database: &str) -> Result<PgConnection, sqlx::Error> {
        PgConnectOptions::new_without_pgpass()
            .host(&self.host)
            .port(self.port)
            .username(&self.user)
            .password(&self.password)
            .database(database)
            .disable_statement_logging()
            .connect()
            .await
    }

    /// Runs statements on one of the databases.
    pub(crate) async fn run(&self, database: &str, sql: &str) {
        let mut connection = self.connect(database).await.expect("the server answers");
        connection.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await.expect("is valid");
        connection.close().await.expect("closes");
    }

    /// A section of a configuration for one of the databases.
    pub(crate) fn section(&self, database: &str) -> String {
        let Self { host, port, user, password } = self;
        format!(
            "[storage.postgresql_config]\nhost = \"{host}\"\nport = {port}\ndatabase_name = \"{database}\"\n\
             database_username = \"{user}\"\ndatabase_password = \"{password}\"\nmax_connections_in_pool = 5\n"
        )
    }

    /// Makes a database with a name that no other has.
    pub(crate) async fn new_database(&self) -> String {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{}_{number}", std::process::id());
        self.run("postgres", &format!("CREATE DATABASE {name}")).await;
        name
    }
}

/// The server that the tests of a binary share; none if there is none on this machine, which is told.
pub(crate) async fn shared() -> Option<Address> {
    static SHARED: OnceLock<Option<Server>> = OnceLock::new();
    if let Ok(url) = std::env::var(VARIABLE) {
        return Some(Address::of_variable(&url).unwrap_or_else(|| {
            panic!("{VARIABLE} is to be postgres://user:password@host:port, and is no such URL")
        }));
    }
    let server = SHARED.get_or_init(|| Server::make(&[])).as_ref()?;
    server.ready().await;
    Some(server.address.clone())
}

/// A server of the test's own, with these settings besides the usual ones.
pub(crate) async fn own(settings: &[&str]) -> Option<Server> {
    let server = Server::make(settings)?;
    server.ready().await;
    Some(server)
}

/// A server from the binaries of this machine. It ends with the test.
pub(crate) struct Server {
    pub(crate) address: Address,
    pub(crate) folder: PathBuf,
    supervisor: Child,
    answers: BufReader<ChildStdout>,
}

impl Server {
    /// Makes its folder and starts it. A server of the test's own is not ready yet.
    fn make(settings: &[&str]) -> Option<Self> {
        let Some(binaries) = binaries() else {
            eprintln!(
                "SKIPPED: there is no PostgreSQL on this machine (initdb in PATH or below /usr/lib/postgresql), and \
                 {VARIABLE} names none"
            );
            return None;
        };
        let owner = owner();
        let folder = tempfile::Builder::new().prefix("sidecar-postgres-").tempdir().expect("a folder").keep();
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700)).expect("it is ours");
        let password = folder.join("password");
        std::fs::write(&password, PASSWORD).expect("written");
        for path in [&folder, &password] {
            chown(path, owner, owner).expect("root may do that, and others give it to themselves");
        }
        let data = folder.join("data");
        let made = command(&binaries.join("initdb"), owner)
            .args(["--no-sync", "--encoding=UTF8", "--locale=C", "--auth=scram-sha-256"])
            .arg(format!("--username={USER}"))
            .arg(format!("--pwfile={}", password.display()))
            .arg(format!("--pgdata={}", data.display()))
            .output()
            .expect("initdb can be started");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));

        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("loopback has free ports");
        let port = listener.local_addr().expect("it is bound").port();
        drop(listener);
        let mut supervisor = command(Path::new("/bin/sh"), owner);
        supervisor
            .args(["-c", SUPERVISOR, "sh"])
            .arg(&folder)
            .arg(binaries.join("postgres"))
            .arg("-D")
            .arg(&data);
        let port_setting = format!("port={port}");
        // What is lost when a machine loses its power is not what these tests are about, but kill -9 is.
        let usual =
            ["listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off", "max_connections=60"];
        for setting in usual.iter().chain(settings).chain([&&*port_setting]) {
            supervisor.arg("-c").arg(setting);
        }
        let mut supervisor =
            supervisor.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("there is a shell");
        let answers = BufReader::new(supervisor.stdout.take().expect("it is piped"));
        let address =
            Address { host: "127.0.0.1".into(), port, user: USER.into(), password: PASSWORD.into() };
        let mut server = Self { address, folder, supervisor, answers };
        server.start();
        Some(server)
    }

    fn tell(&mut self, word: &str) {
        let input = self.supervisor.stdin.as_mut().expect("it is piped until the end");
        writeln!(input, "{word}").expect("the supervisor listens");
        self.answers.read_line(&mut String::new()).expect("the supervisor answers");
    }

    pub(crate) fn start(&mut self) {
        self.tell("start");
    }

    /// `kill -9` of the server's first process; the others end when they notice.
    pub(crate) fn kill(&mut self) {
        self.tell("kill");
    }

    /// An orderly restart.
    pub(crate) async fn restart(&mut self) {
        self.tell("stop");
        self.start();
        self.ready().await;
    }

    /// Its first process, from which all others come.
    pub(crate) fn process(&self) -> Option<u32> {
        let file = std::fs::read_to_string(self.folder.join("data/postmaster.pid")).ok()?;
        file.lines().next()?.parse().ok()
    }

    /// Waits until it answers.
    pub(crate) async fn ready(&self) {
        for _ in 0..600 {
            if let Ok(connection) = self.address.connect("postgres").await {
                connection.close().await.expect("closes");
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        panic!("the server does not get ready:\n{log}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.supervisor.stdin.take());
        // It ends by itself.
        let _ = self.supervisor.wait();
    }
}

fn command(program: &Path, owner: Option<u32>) -> Command {
    let mut command = Command::new(program);
    // A folder that everybody may enter, whoever runs it.
    command.current_dir("/");
    if let Some(owner) = owner {
        command.uid(owner).gid(owner);
    }
    command
}

/// Who a server is run as: PostgreSQL refuses to be run by root. None if this is not root.
fn owner() -> Option<u32> {
    let is_root =
        std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let id_of = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        line.split(':').nth(2)?.parse().ok()
    };
    is_root.then(|| id_of("postgres").or_else(|| id_of("nobody")).unwrap_or(65534))
}

/// The folder with `initdb` and `postgres`: the newest version, if there are several.
fn binaries() -> Option<PathBuf> {
    let of_debian = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut of_debian: Vec<_> = of_debian.map(|version| version.path().join("bin")).collect();
    of_debian.sort();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = of_debian.into_iter().rev().chain(std::env::split_paths(&path));
    let mut folders =
        folders.filter(|folder| folder.join("initdb").exists() && folder.join("postgres").exists());
    folders.next()
}
