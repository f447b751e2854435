//! File systems of a few megabytes that tests fill, break and hang. Mounting one takes privileges: where there are none, the
//! test says so and puts nothing to the test.

use std::{path::Path, process::Command};

use tempfile::{NamedTempFile, TempDir};

/// A file system, unmounted at the end.
pub(super) struct SmallDisk {
    mounted_at: TempDir,
    /// What it is in, where it is not in memory.
    pub(super) image: Option<NamedTempFile>,
}

/// A file system that keeps everybody waiting who writes to it, until this is dropped.
pub(super) struct Frozen<'a>(&'a SmallDisk);

impl SmallDisk {
    /// One in memory.
    pub(super) fn in_memory(bytes: u64) -> Option<Self> {
        Self::mount(&["-t", "tmpfs", "-o", &format!("size={bytes}"), "none"], None)
    }

    /// One in a file.
    pub(super) fn in_file(bytes: u64) -> Option<Self> {
        let image = NamedTempFile::new().unwrap();
        image.as_file().set_len(bytes).unwrap();
        let made = Command::new("mkfs.ext4").args(["-q", "-F"]).arg(image.path()).status();
        if !made.is_ok_and(|made| made.success()) {
            println!("not put to the test: there is no mkfs.ext4");
            return None;
        }
        let source = image.path().to_str().unwrap().to_owned();
        Self::mount(&["-t", "ext4", "-o", "loop", &source], Some(image))
    }

    fn mount(arguments: &[&str], image: Option<NamedTempFile>) -> Option<Self> {
        let mounted_at = tempfile::tempdir().unwrap();
        let mount = Command::new("mount").args(arguments).arg(mounted_at.path()).output();
        let is_mounted = mount.is_ok_and(|mount| mount.status.success());
        if !is_mounted {
            println!("not put to the test: mounting takes privileges that there are not");
        }
        is_mounted.then_some(Self { mounted_at, image })
    }

    pub(super) fn path(&self) -> &Path {
        self.mounted_at.path()
    }

    /// Makes whoever writes wait.
    pub(super) fn freeze(&self) -> Frozen<'_> {
        assert!(Command::new("fsfreeze").arg("-f").arg(self.path()).status().unwrap().success());
        Frozen(self)
    }
}

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        let _ = Command::new("fsfreeze").arg("-u").arg(self.0.path()).status();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}
