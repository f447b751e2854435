//! Certificates out of files, read when the configuration is, and whenever the files change: whoever renews them need not
//! tell anybody.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::{certificate::Certificate, shelf::Shelf};
use crate::config::{CertificateFileError, CertificateFiles};

/// How often it is asked whether the files have changed.
const POLL: Duration = Duration::from_secs(60);

/// The files in effect.
#[derive(Debug)]
pub struct Files {
    shelf: Arc<Shelf>,
    watched: Mutex<Watched>,
}

#[derive(Debug, Default)]
struct Watched {
    files: Vec<CertificateFiles>,
    /// What they were like when they were last read, whether they could be shown or not: what is broken is told once.
    marks: Vec<Mark>,
}

/// What tells a file from one that took its place: device, inode, length, and when it was written. None where there is none.
type Mark = Option<(u64, u64, u64, (i64, i64))>;

/// Certificates that were read and are not shown yet.
#[derive(Debug)]
pub struct Loaded {
    certificates: Vec<Arc<Certificate>>,
    watched: Watched,
}

/// What a look at the files gave.
#[derive(Debug)]
enum Seen {
    Unchanged,
    Taken,
    Refused(CertificateFileError),
}

impl Loaded {
    /// Reads certificates.
    ///
    /// # Errors
    /// [`CertificateFileError`], naming the first file that cannot be shown.
    pub fn read(files: &[CertificateFiles]) -> Result<Self, CertificateFileError> {
        // Before they are read: what is written meanwhile is seen the next time.
        let marks = marks(files);
        let certificates = files.iter().map(|files| files.read().map(Arc::new)).collect::<Result<_, _>>()?;
        files.iter().for_each(|files| warn_if_open_to_others(&files.key));
        Ok(Self { certificates, watched: Watched { files: files.to_vec(), marks } })
    }
}

impl Files {
    /// None yet.
    #[must_use]
    pub fn new(shelf: Arc<Shelf>) -> Self {
        Self { shelf, watched: Mutex::default() }
    }

    /// Shows these in the place of those that were there. Connections that are open keep what they have seen.
    pub fn show(&self, loaded: Loaded) {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        show(&self.shelf, &mut watched, loaded);
    }

    /// Takes changed files up, as long as it is polled. A file that cannot be shown changes nothing.
    pub async fn watch(self: Arc<Self>) {
        loop {
            tokio::time::sleep(POLL).await;
            let files = Arc::clone(&self);
            match tokio::task::spawn_blocking(move || files.look()).await {
                Ok(Seen::Refused(error)) => {
                    tracing::error!(%error, "a certificate's file changed and cannot be shown; the old one stays");
                }
                Ok(Seen::Unchanged | Seen::Taken) => {}
                Err(error) => tracing::error!(%error, "certificates could not be looked at"),
            }
        }
    }

    fn look(&self) -> Seen {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let marks = marks(&watched.files);
        if marks == watched.marks {
            return Seen::Unchanged;
        }
        match Loaded::read(&watched.files) {
            Ok(loaded) => {
                show(&self.shelf, &mut watched, loaded);
                Seen::Taken
            }
            Err(error) => {
                watched.marks = marks;
                Seen::Refused(error)
            }
        }
    }
}

fn show(shelf: &Shelf, watched: &mut Watched, loaded: Loaded) {
    let Loaded { certificates, watched: new } = loaded;
    for (certificate, files) in certificates.iter().zip(&new.files) {
        let until = httpdate::HttpDate::from(std::time::UNIX_EPOCH + Duration::from_secs(certificate.not_after.0));
        tracing::info!(chain = %files.chain.display(), names = certificate.names.join(" "), %until, "certificate");
    }
    shelf.set_files(certificates);
    *watched = new;
}

fn marks(files: &[CertificateFiles]) -> Vec<Mark> {
    let of = |path: &Path| {
        let seen = fs::metadata(path).ok()?;
        Some((seen.dev(), seen.ino(), seen.len(), (seen.mtime(), seen.mtime_nsec())))
    };
    files.iter().flat_map(|files| [of(&files.chain), of(&files.key)]).collect()
}

/// Whoever has the key can pretend to be the site.
fn warn_if_open_to_others(key: &Path) {
    const OTHERS: u32 = 0o007;
    if fs::metadata(key).is_ok_and(|seen| seen.mode() & OTHERS != 0) {
        let key = key.display();
        tracing::warn!(%key, "everybody on this machine can get at this key: let only this service read it (chmod 600)");
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::tls::certificate::tests::{NOW, pem};

    struct Home {
        _directory: tempfile::TempDir,
        files: CertificateFiles,
    }

    impl Home {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let path = |name: &str| -> PathBuf { directory.path().join(name) };
            let files = CertificateFiles { chain: path("chain.pem"), key: path("key.pem") };
            Self { _directory: directory, files }
        }

        /// As programs do that renew certificates: each file whole, beside and renamed.
        fn write(&self, chain: &str, key: &str) {
            for (path, text) in [(&self.files.chain, chain), (&self.files.key, key)] {
                let beside = path.with_extension("new");
                fs::write(&beside, text).unwrap();
                fs::rename(beside, path).unwrap();
            }
        }
    }

    #[test]
    fn changed_files_are_taken_up_and_broken_ones_told_once() {
        let (home, shelf) = (Home::new(), Arc::new(Shelf::default()));
        let files = Files::new(Arc::clone(&shelf));
        let (chain, key) = pem(&["a.example"], 2030);
        home.write(&chain, &key);
        files.show(Loaded::read(std::slice::from_ref(&home.files)).unwrap());
        assert!(matches!(files.look(), Seen::Unchanged));
        let (renewed, its_key) = pem(&["a.example", "b.example"], 2031);
        home.write(&renewed, &key);
        assert!(matches!(files.look(), Seen::Refused(CertificateFileError::Refused { key: "key", .. })));
        assert!(matches!(files.look(), Seen::Unchanged), "it is told once");
        assert!(shelf.find("a.example", NOW).is_some(), "the old one stays");
        home.write(&renewed, &its_key);
        assert!(matches!(files.look(), Seen::Taken));
        assert!(shelf.find("b.example", NOW).is_some());
        fs::remove_file(&home.files.key).unwrap();
        assert!(matches!(files.look(), Seen::Refused(CertificateFileError::Unreadable { .. })));
        assert!(shelf.find("b.example", NOW).is_some());
    }
}
