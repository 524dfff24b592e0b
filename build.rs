//! Digests the code that folds views, so that views on disk are only read by
//! the code that wrote them (`src/app/shelf.rs`).

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

/// What decides what a row says: the rooms that fold, and the libraries that write
/// rows down.
const FOLDING: [&str; 3] = ["src/domain", "src/projection", "Cargo.lock"];

fn main() -> std::io::Result<()> {
    let mut hasher = DefaultHasher::new();
    for room in FOLDING {
        println!("cargo::rerun-if-changed={room}");
        take_in(Path::new(room), &mut hasher)?;
    }
    println!("cargo::rustc-env=QUELL_FOLD={:016x}", hasher.finish());
    Ok(())
}

fn take_in(path: &Path, hasher: &mut DefaultHasher) -> std::io::Result<()> {
    if path.is_dir() {
        let mut inside: Vec<_> = fs::read_dir(path)?.collect::<Result<_, _>>()?;
        inside.sort_by_key(fs::DirEntry::path);
        return inside.iter().try_for_each(|entry| take_in(&entry.path(), hasher));
    }
    path.hash(hasher);
    fs::read(path)?.hash(hasher);
    Ok(())
}
