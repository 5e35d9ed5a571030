//! The kernel's files as a test plants them.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Planted files below a folder of their own, which goes with it.
pub(super) struct Tree(PathBuf);

impl Tree {
    pub(super) fn plant(files: &[(&str, &[u8])]) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!("engine-vitals-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let tree = Self(std::env::temp_dir().join(name));
        // What an aborted run has left.
        let _ = std::fs::remove_dir_all(tree.root());
        std::fs::create_dir(tree.root()).unwrap();
        for (path, content) in files {
            let path = tree.root().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        tree
    }

    pub(super) fn root(&self) -> &Path {
        &self.0
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
