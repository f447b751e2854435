//! The program under test, as a process of its own: started with a configuration in a directory of its own, watched
//! through its metrics and its log, and gone when the test ends, however it ends. What it logged is shown when a test fails.

use std::{
    fs::{self, File},
    net::SocketAddr,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
};

use reqwest::Method;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::{
    Setup, decode::Seen, ports::free_address, request::Request, request::new_client, setup::HOST, until, until_some,
    wait::DEADLINE,
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_lightmeter");

/// How often a start is tried again because another program took the port meanwhile.
const STARTS: usize = 5;

/// A running edge.
pub(crate) struct Edge {
    child: Child,
    /// Where visitors are served.
    pub(crate) http: SocketAddr,
    /// Where they are served over TLS, if the setup has a certificate.
    pub(crate) https: SocketAddr,
    /// Where metrics and health are served.
    pub(crate) admin: SocketAddr,
    home: TempDir,
    setup: Setup,
    client: reqwest::Client,
}

impl Edge {
    /// Starts with `setup` and an empty cache, and waits until it takes requests.
    pub(crate) async fn start(setup: Setup) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), setup).await
    }

    async fn start_in(home: TempDir, setup: Setup) -> Self {
        for _ in 0..STARTS {
            let (http, https, admin) = (free_address(), free_address(), free_address());
            let text = setup.clone().https_at(https).text(http, admin, &home.path().join("data"));
            fs::write(config_path(home.path()), text).unwrap();
            let mut child = spawn(home.path());
            if is_ready(&mut child, admin).await {
                return Self { child, http, https, admin, home, setup, client: new_client() };
            }
            let log = read_log(home.path());
            assert!(log.contains("cannot listen on"), "the edge did not start:\n{log}");
        }
        panic!("no start found its ports free");
    }

    /// Kills it as a power cut would, or stops it in good order, and starts it again over what it left behind.
    pub(crate) async fn restart(self, how: Ending) -> Self {
        let setup = self.setup.clone();
        self.restart_with(how, setup).await
    }

    /// Likewise, with another configuration.
    pub(crate) async fn restart_with(mut self, how: Ending, setup: Setup) -> Self {
        match how {
            Ending::Killed => self.kill(),
            Ending::Stopped => {
                self.signal(Signal::TERM);
                assert!(self.exited().await.success(), "it did not stop in good order:\n{}", self.log());
            }
        }
        let home = std::mem::replace(&mut self.home, tempfile::tempdir().unwrap());
        drop(self);
        Self::start_in(home, setup).await
    }

    /// Kills it and starts it again on the same ports, with the same configuration, while its clients go on.
    pub(crate) async fn kill_and_start(&mut self) {
        self.kill();
        self.child = spawn(self.home.path());
        assert!(is_ready(&mut self.child, self.admin).await, "it did not start again");
    }

    /// Changes the configuration file; it takes effect when the edge is told.
    pub(crate) fn rewrite(&self, setup: &Setup) {
        let text = setup.clone().https_at(self.https).text(self.http, self.admin, &self.data_dir());
        fs::write(config_path(self.home.path()), text).unwrap();
    }

    /// Puts something else in place of the configuration file.
    pub(crate) fn rewrite_text(&self, text: &str) {
        fs::write(config_path(self.home.path()), text).unwrap();
    }

    /// The configuration file.
    pub(crate) fn config_path(&self) -> PathBuf {
        config_path(self.home.path())
    }

    /// Where it keeps its state.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.home.path().join("data")
    }

    /// A GET of `path` at the site [`HOST`].
    pub(crate) fn get(&self, path: &str) -> Request {
        self.request(Method::GET, path)
    }

    /// A request for `path` at the site [`HOST`].
    pub(crate) fn request(&self, method: Method, path: &str) -> Request {
        Request::new(&self.client, method, &format!("http://{}{path}", self.http)).host(HOST)
    }

    /// A GET on the operator's side.
    pub(crate) fn admin(&self, path: &str) -> Request {
        self.admin_request(Method::GET, path)
    }

    /// A request on the operator's side.
    pub(crate) fn admin_request(&self, method: Method, path: &str) -> Request {
        Request::new(&self.client, method, &format!("http://{}{path}", self.admin))
    }

    /// The sum of all series of a metric that carry these labels.
    pub(crate) async fn metric(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        let text = self.admin("/metrics").await.text();
        let labels: Vec<String> = labels.iter().map(|(label, value)| format!("{label}=\"{value}\"")).collect();
        let series = text.lines().filter_map(|line| line.strip_prefix(name));
        let matching = series.filter(|rest| rest.starts_with(['{', ' ']) && labels.iter().all(|l| rest.contains(l)));
        let values = matching.map(|rest| rest.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap());
        values.sum::<f64>() as u64
    }

    /// How many pictures have been encoded since the start.
    pub(crate) async fn encodes(&self) -> u64 {
        self.metric("lightmeter_transform_duration_seconds_count", &[("stage", "encode")]).await
    }

    /// Waits until a metric has a value.
    pub(crate) async fn until_metric(&self, name: &str, labels: &[(&str, &str)], holds: impl Fn(u64) -> bool) {
        until(&format!("{name} {labels:?} is as wanted"), async || holds(self.metric(name, labels).await)).await;
    }

    /// The most memory that it had resident so far, in MiB.
    pub(crate) fn peak_resident_mib(&self) -> u64 {
        self.status_mib("VmHWM:")
    }

    /// The memory that it has resident, in MiB.
    pub(crate) fn resident_mib(&self) -> u64 {
        self.status_mib("VmRSS:")
    }

    fn status_mib(&self, field: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
    }

    /// All that it logged since the first start in this directory.
    pub(crate) fn log(&self) -> String {
        read_log(self.home.path())
    }

    /// The lines of its access log.
    pub(crate) fn access_log(&self) -> Vec<serde_json::Value> {
        let lines = self.log();
        let values = lines.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        values.filter(|line| line["message"] == "request").collect()
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let id = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(id, signal).unwrap();
    }

    /// Waits for its end.
    pub(crate) async fn exited(&mut self) -> ExitStatus {
        until_some("the edge has stopped", async || self.child.try_wait().unwrap()).await
    }

    /// Whether it still runs.
    pub(crate) fn is_alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Whether it answers on the operator's side.
    pub(crate) async fn is_serving(&self) -> bool {
        self.admin("/healthz").await.status.is_success()
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        assert_eq!(self.child.wait().unwrap().signal(), Some(9));
    }

    /// A response's body as a picture.
    pub(crate) async fn picture(&self, path: &str, accept: &str) -> Seen {
        self.get(path).accept(accept).await.picture()
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("---- what the edge logged:\n{}----", self.log());
        }
    }
}

/// How an edge ends.
#[derive(Clone, Copy)]
pub(crate) enum Ending {
    /// By SIGKILL.
    Killed,
    /// By SIGTERM.
    Stopped,
}

/// Runs a subcommand to its end: whether it succeeded, its output and its errors.
pub(crate) fn run(arguments: &[&str]) -> (bool, String, String) {
    let output = command().args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

/// The program, with nothing of this environment that would configure it.
pub(crate) fn command() -> Command {
    let mut command = Command::new(PROGRAM);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("LIGHTMETER__")) {
        command.env_remove(name);
    }
    command
}

fn spawn(home: &Path) -> Child {
    let log = File::options().create(true).append(true).open(log_path(home)).unwrap();
    let mut command = command();
    command.arg("serve").arg("--config").arg(config_path(home));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap()
}

async fn is_ready(child: &mut Child, admin: SocketAddr) -> bool {
    let client = new_client();
    let url = format!("http://{admin}/readyz");
    let started = std::time::Instant::now();
    loop {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        if client.get(&url).send().await.is_ok_and(|response| response.status().is_success()) {
            return true;
        }
        assert!(started.elapsed() < DEADLINE, "the edge did not become ready");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

fn config_path(home: &Path) -> PathBuf {
    home.join("lightmeter.toml")
}

fn log_path(home: &Path) -> PathBuf {
    home.join("log")
}

fn read_log(home: &Path) -> String {
    String::from_utf8_lossy(&fs::read(log_path(home)).unwrap_or_default()).into_owned()
}
