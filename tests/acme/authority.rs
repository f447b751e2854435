//! A certificate authority, and the name server that it asks: processes of their own, with their own root.

use std::{
    fs::{self, File},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustix::process::{Pid, Signal, kill_process};
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use serde_json::json;
use tempfile::TempDir;

use crate::{
    harness::{ports::free_address, until, until_some},
    visitor,
};

/// How the authority is to be.
#[derive(Clone, Default)]
pub(crate) struct Manner {
    /// How long its certificates are valid; five years if nobody says so.
    pub(crate) validity_seconds: Option<u64>,
    /// Of good nonces, how many it refuses, in percent.
    pub(crate) refused_nonces: u8,
    /// Whether it wants customers only that it knows: by this name and key.
    pub(crate) external_account: Option<(&'static str, &'static str)>,
}

/// The ports that it asks whether a name leads there.
#[derive(Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) http: u16,
    pub(crate) https: u16,
}

pub(crate) struct Authority {
    home: TempDir,
    manner: Manner,
    addresses: [SocketAddr; 4],
    pebble: Option<Child>,
    name_server: Child,
}

impl Authority {
    /// One that is not there yet: its address and root are known, so that an edge can be told of them.
    pub(crate) fn new(manner: Manner) -> Self {
        let home = tempfile::tempdir().unwrap();
        write_own_certificate(home.path());
        let addresses = [(); 4].map(|()| free_address());
        let [_, _, dns, dns_management] = addresses;
        let mut name_server = Command::new("pebble-challtestsrv");
        name_server.args(["-http01", "", "-https01", "", "-tlsalpn01", "", "-defaultIPv6", ""]);
        name_server.args(["-dns01", &dns.to_string(), "-management", &dns_management.to_string()]);
        let name_server = spawn(name_server, &home.path().join("names.log"));
        Self { home, manner, addresses, pebble: None, name_server }
    }

    /// Where an edge finds it.
    pub(crate) fn directory(&self) -> String {
        format!("https://localhost:{}/dir", self.addresses[0].port())
    }

    /// The file of the root of its own certificate.
    pub(crate) fn root_file(&self) -> String {
        self.home.path().join("root.pem").display().to_string()
    }

    /// Starts it, knowing nothing of before, and waits until it answers.
    pub(crate) async fn start(&mut self, asked: Asked) {
        let path = |name: &str| self.home.path().join(name);
        let mut config = json!({
            "listenAddress": self.addresses[0],
            "managementListenAddress": self.addresses[1],
            "certificate": path("own.pem"),
            "privateKey": path("own.key"),
            "httpPort": asked.http,
            "tlsPort": asked.https,
            "retryAfter": { "authz": 1, "order": 1 },
        });
        if let Some(seconds) = self.manner.validity_seconds {
            config["certificateValidityPeriod"] = json!(seconds);
        }
        if let Some((id, key)) = self.manner.external_account {
            config["externalAccountBindingRequired"] = json!(true);
            config["externalAccountMACKeys"] = json!({ id: key });
        }
        fs::write(path("pebble.json"), json!({ "pebble": config }).to_string()).unwrap();
        let mut pebble = Command::new("pebble");
        pebble.arg("-config").arg(path("pebble.json")).args(["-dnsserver", &self.addresses[2].to_string()]);
        pebble.env("PEBBLE_VA_NOSLEEP", "1").env("PEBBLE_AUTHZREUSE", "0");
        pebble.env("PEBBLE_WFE_NONCEREJECT", self.manner.refused_nonces.to_string());
        self.pebble = Some(spawn(pebble, &path("pebble.log")));
        until("the authority answers", async || self.get("/roots/0").await.is_ok()).await;
    }

    /// Kills it.
    pub(crate) fn stop(&mut self) {
        let mut pebble = self.pebble.take().unwrap();
        pebble.kill().unwrap();
        pebble.wait().unwrap();
    }

    /// What its certificates are checked by.
    pub(crate) async fn roots(&self) -> RootCertStore {
        let root = until_some("there is a root", async || self.get("/roots/0").await.ok()).await;
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(root.as_bytes()).unwrap()).unwrap();
        roots
    }

    /// How many orders have been placed since its first start.
    pub(crate) fn orders(&self) -> usize {
        self.log().matches("Added order").count()
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.home.path().join("pebble.log")).unwrap()
    }

    /// Has it wait for its name server from now on, as long as that is held.
    pub(crate) fn pause_names(&self) -> Paused {
        let name_server = Pid::from_raw(i32::try_from(self.name_server.id()).unwrap()).unwrap();
        kill_process(name_server, Signal::STOP).unwrap();
        Paused(name_server)
    }

    async fn get(&self, path: &str) -> Result<String, String> {
        let root = CertificateDer::from_pem_file(self.root_file()).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(root).unwrap();
        visitor::get(self.addresses[1], "localhost", &roots, path).await.map(|(text, _)| text)
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        for process in self.pebble.iter_mut().chain([&mut self.name_server]) {
            // It may be gone already.
            let _ = process.kill();
            let _ = process.wait();
        }
        if std::thread::panicking() {
            eprintln!("---- what the authority logged:\n{}----", self.log());
        }
    }
}

/// A process that is stopped until this is dropped.
pub(crate) struct Paused(Pid);

impl Drop for Paused {
    fn drop(&mut self) {
        kill_process(self.0, Signal::CONT).unwrap();
    }
}

fn spawn(mut command: Command, log: &Path) -> Child {
    let log = File::options().create(true).append(true).open(log).unwrap();
    command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    let program = command.get_program().display().to_string();
    command
        .spawn()
        .unwrap_or_else(|error| panic!("{program} is needed: apt-get install pebble, or make acme ({error})"))
}

/// A root, and a certificate by it for `localhost`: a client does not take a root for a server.
fn write_own_certificate(home: &Path) {
    let root_key = KeyPair::generate().unwrap();
    let mut root = CertificateParams::new([]).unwrap();
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root_certificate = root.self_signed(&root_key).unwrap();
    let key = KeyPair::generate().unwrap();
    let own = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let own = own.signed_by(&key, &Issuer::new(root, root_key)).unwrap();
    for (name, text) in [("root.pem", root_certificate.pem()), ("own.pem", own.pem()), ("own.key", key.serialize_pem())]
    {
        fs::write(home.join(name), text).unwrap();
    }
}
