//! The directory that certificates and the account are kept in, one below it for each CA. Nodes can share it. Each file is
//! whole or not there: written beside, synced and renamed. Only this service can read them.
//!
//! ```text
//! certificates/acme-v02.api.letsencrypt.org-5a1c…/
//!   account.json            the account's key and URL
//!   img.shop.example.pem    a chain and its key
//!   img.shop.example.lock   locked (flock) by the node that orders
//!   challenges/             what a CA is shown, so that any node can: `posted`
//! ```

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime},
};

use url::Url;

use super::name::DnsName;
use crate::tls::certificate::Certificate;

/// What no file here is larger than: chains are a few kilobytes.
const MAX_FILE_BYTES: u64 = 256 * 1024;

/// Files half written are left behind by a process that was killed: after this time nobody writes them any more.
const LEFT_BEHIND: Duration = Duration::from_secs(3_600);

const CERTIFICATE: &str = ".pem";
const LOCK: &str = ".lock";
const SET_ASIDE: &str = ".broken";
const BESIDE: &str = ".new";
const ACCOUNT: &str = "account.json";

static BESIDE_NUMBER: AtomicU64 = AtomicU64::new(0);

/// The directory of one CA.
#[derive(Debug)]
pub struct Store {
    directory: PathBuf,
}

/// A file that could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("{}: {cause}", path.display())]
pub struct StoreError {
    path: PathBuf,
    cause: io::Error,
}

/// The right to order, held until this is dropped. A process that is killed lets go of it.
#[derive(Debug)]
#[must_use = "it is held only as long as this is"]
pub struct Lock(#[expect(dead_code, reason = "the file is what is locked")] File);

impl Store {
    /// The directory of the CA that is at `ca`, below `root`; both are made where they are missing.
    ///
    /// # Errors
    /// Where that cannot be.
    pub fn open(root: &Path, ca: &Url) -> Result<Self, StoreError> {
        // Two CAs of one host are two.
        let mark = blake3::hash(ca.as_str().as_bytes()).to_hex();
        let host = ca.host_str().unwrap_or("ca").replace(|c: char| !c.is_ascii_alphanumeric() && c != '.', "-");
        let directory = root.join(format!("{host}-{}", &mark[..8]));
        let store = Self { directory };
        make_directory(&store.challenges())?;
        Ok(store)
    }

    /// Where challenges' answers are.
    pub(super) fn challenges(&self) -> PathBuf {
        self.directory.join("challenges")
    }

    /// The certificate that is kept for a name. One that cannot be shown is set aside and is none.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn certificate(&self, name: &DnsName) -> Result<Option<Certificate>, StoreError> {
        let path = self.path(name, CERTIFICATE);
        let Some(text) = read(&path)? else { return Ok(None) };
        let why = match Certificate::from_pem(&text, &text) {
            Ok(certificate) if certificate.covers(name.as_str()) => return Ok(Some(certificate)),
            Ok(_) => "it is for other names".to_owned(),
            Err(error) => error.to_string(),
        };
        let aside = self.path(name, SET_ASIDE);
        tracing::error!(file = %path.display(), aside = %aside.display(), why, "a stored certificate cannot be shown; it is set aside and ordered anew");
        fs::rename(&path, aside).map_err(|cause| StoreError { path, cause })?;
        Ok(None)
    }

    /// Keeps a certificate, in the place of an older one.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn keep(&self, name: &DnsName, chain: &str, key: &str) -> Result<(), StoreError> {
        write_whole(&self.path(name, CERTIFICATE), format!("{chain}\n{key}").as_bytes())
    }

    /// All names that something is kept for, in no order.
    ///
    /// # Errors
    /// Where the directory cannot be read.
    pub fn names(&self) -> Result<impl Iterator<Item = DnsName> + use<>, StoreError> {
        let entries = fs::read_dir(&self.directory).map_err(|cause| self.error(cause))?;
        Ok(entries.filter_map(|entry| {
            let file = entry.ok()?.file_name();
            DnsName::parse(file.to_str()?.strip_suffix(CERTIFICATE)?)
        }))
    }

    /// The account, as it was kept.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn account(&self) -> Result<Option<Vec<u8>>, StoreError> {
        read(&self.directory.join(ACCOUNT))
    }

    /// Keeps the account.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn keep_account(&self, account: &[u8]) -> Result<(), StoreError> {
        write_whole(&self.directory.join(ACCOUNT), account)
    }

    /// Puts an account aside that cannot be used, so that there is none.
    ///
    /// # Errors
    /// Where it cannot be renamed.
    pub fn set_account_aside(&self) -> Result<(), StoreError> {
        let path = self.directory.join(ACCOUNT);
        match fs::rename(&path, self.directory.join(format!("{ACCOUNT}{SET_ASIDE}"))) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(StoreError { path, cause }),
            _ => Ok(()),
        }
    }

    /// The right to order for a name, if no other task of any node has it.
    ///
    /// # Errors
    /// Where the file cannot be locked.
    pub fn try_lock(&self, name: &DnsName) -> Result<Option<Lock>, StoreError> {
        self.try_lock_file(self.path(name, LOCK))
    }

    /// The right to make the account.
    ///
    /// # Errors
    /// Where the file cannot be locked.
    pub fn try_lock_account(&self) -> Result<Option<Lock>, StoreError> {
        self.try_lock_file(self.directory.join(format!("account{LOCK}")))
    }

    fn try_lock_file(&self, path: PathBuf) -> Result<Option<Lock>, StoreError> {
        let open = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
        let file = open.map_err(|cause| StoreError { path: path.clone(), cause })?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Lock(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(cause)) => Err(StoreError { path, cause }),
        }
    }

    /// Removes what killed processes have left behind.
    ///
    /// # Errors
    /// Where a directory cannot be read.
    pub fn tidy(&self) -> Result<(), StoreError> {
        remove_old(&self.directory, |file| file.ends_with(BESIDE)).map_err(|cause| self.error(cause))?;
        remove_old(&self.challenges(), |_| true).map_err(|cause| self.error(cause))
    }

    fn path(&self, name: &DnsName, suffix: &str) -> PathBuf {
        self.directory.join(format!("{name}{suffix}"))
    }

    fn error(&self, cause: io::Error) -> StoreError {
        StoreError { path: self.directory.clone(), cause }
    }
}

fn make_directory(path: &Path) -> Result<(), StoreError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|cause| StoreError { path: path.to_owned(), cause })
}

/// A file's content; none where there is no file.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    let attempt = || -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        File::open(path)?.take(MAX_FILE_BYTES).read_to_end(&mut text)?;
        Ok(text)
    };
    match attempt() {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(StoreError { path: path.to_owned(), cause }),
    }
}

/// Writes a file that is whole whenever somebody sees it.
pub(super) fn write_whole(path: &Path, content: &[u8]) -> Result<(), StoreError> {
    let attempt = || -> io::Result<()> {
        let directory = path.parent().unwrap_or(Path::new("."));
        let number = BESIDE_NUMBER.fetch_add(1, Ordering::Relaxed);
        // Another node may have a process of the same number: `create_new` tells.
        let beside = directory.join(format!(".{}-{number}{BESIDE}", std::process::id()));
        let written = write_beside(&beside, content).and_then(|()| fs::rename(&beside, path));
        if written.is_err() {
            let _ = fs::remove_file(&beside);
        }
        written?;
        File::open(directory)?.sync_all()
    };
    attempt().map_err(|cause| StoreError { path: path.to_owned(), cause })
}

fn write_beside(beside: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(beside)?;
    file.write_all(content)?;
    file.sync_all()
}

fn remove_old(directory: &Path, is_wanted: impl Fn(&str) -> bool) -> io::Result<()> {
    let now = SystemTime::now();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let is_old = |entry: &fs::DirEntry| {
            let written = entry.metadata().and_then(|seen| seen.modified());
            written.is_ok_and(|written| now.duration_since(written).is_ok_and(|age| age > LEFT_BEHIND))
        };
        if entry.file_name().to_str().is_some_and(&is_wanted) && is_old(&entry) {
            // Another node may have been faster.
            let _ = fs::remove_file(entry.path());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::tls::certificate::tests::pem;

    struct Home {
        root: tempfile::TempDir,
        store: Store,
    }

    impl Home {
        fn new() -> Self {
            let root = tempfile::tempdir().unwrap();
            let store = Store::open(&root.path().join("certificates"), &ca("directory")).unwrap();
            Self { root, store }
        }

        fn keep(&self, name: &str) {
            let (chain, key) = pem(&[name], 2030);
            self.store.keep(&dns(name), &chain, &key).unwrap();
        }
    }

    fn ca(path: &str) -> Url {
        format!("https://ca.example/{path}").parse().unwrap()
    }

    fn dns(name: &str) -> DnsName {
        DnsName::parse(name).unwrap()
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn what_is_kept_is_found_again_and_is_for_this_service_alone() {
        let home = Home::new();
        home.keep("a.example");
        home.store.keep_account(b"{}").unwrap();
        let _lock = home.store.try_lock(&dns("a.example")).unwrap().unwrap();
        assert!(home.store.certificate(&dns("a.example")).unwrap().unwrap().covers("a.example"));
        assert!(home.store.certificate(&dns("b.example")).unwrap().is_none());
        assert_eq!(home.store.names().unwrap().collect::<Vec<_>>(), [dns("a.example")]);
        assert_eq!(home.store.account().unwrap().unwrap(), b"{}");
        assert_eq!(mode(&home.root.path().join("certificates")), 0o700);
        assert_eq!(mode(&home.store.directory), 0o700);
        let files: Vec<_> = fs::read_dir(&home.store.directory).unwrap().map(|entry| entry.unwrap().path()).collect();
        let files: Vec<_> = files.iter().filter(|path| path.is_file()).collect();
        assert_eq!(files.len(), 3, "{files:?}");
        files.iter().for_each(|file| assert_eq!(mode(file), 0o600, "{}", file.display()));
    }

    #[test]
    fn what_cannot_be_shown_is_set_aside_once() {
        let home = Home::new();
        let path = home.store.path(&dns("a.example"), CERTIFICATE);
        for damage in [&b""[..], b"garbage", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            home.keep("a.example");
            fs::write(&path, damage).unwrap();
            assert!(home.store.certificate(&dns("a.example")).unwrap().is_none());
            assert!(!path.exists() && home.store.path(&dns("a.example"), SET_ASIDE).exists());
        }
        home.keep("a.example");
        fs::rename(path, home.store.path(&dns("b.example"), CERTIFICATE)).unwrap();
        assert!(home.store.certificate(&dns("b.example")).unwrap().is_none(), "it is another name's");
    }

    #[test]
    fn one_at_a_time_may_order_for_a_name() {
        let home = Home::new();
        let lock = |name: &str| home.store.try_lock(&dns(name)).unwrap();
        let held = lock("a.example").unwrap();
        assert!(lock("a.example").is_none() && lock("b.example").is_some());
        drop(held);
        assert!(lock("a.example").is_some());
    }

    #[test]
    fn two_cas_of_one_host_are_apart() {
        let home = Home::new();
        home.keep("a.example");
        let other = Store::open(&home.root.path().join("certificates"), &ca("staging")).unwrap();
        assert!(other.certificate(&dns("a.example")).unwrap().is_none());
    }

    #[test]
    fn an_account_is_set_aside_and_none_is_there_then() {
        let home = Home::new();
        home.store.set_account_aside().unwrap();
        home.store.keep_account(b"{}").unwrap();
        home.store.set_account_aside().unwrap();
        assert!(home.store.account().unwrap().is_none());
    }

    #[test]
    fn only_what_is_left_behind_for_long_is_tidied_away() {
        let home = Home::new();
        home.keep("a.example");
        let old = SystemTime::now() - LEFT_BEHIND - Duration::from_secs(1);
        let paths = [".1-1.new", "challenges/token"].map(|file| home.store.directory.join(file));
        for path in &paths {
            fs::write(path, "x").unwrap();
        }
        home.store.tidy().unwrap();
        assert!(paths.iter().all(|path| path.exists()), "somebody may be writing it");
        let kept = home.store.path(&dns("a.example"), CERTIFICATE);
        for path in paths.iter().chain([&kept]) {
            File::options().write(true).open(path).unwrap().set_modified(old).unwrap();
        }
        home.store.tidy().unwrap();
        assert!(paths.iter().all(|path| !path.exists()) && kept.exists());
    }
}
