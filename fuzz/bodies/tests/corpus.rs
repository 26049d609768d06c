//! Replays the corpus of each target, and what once made it fail, on a stable toolchain.

use std::path::Path;

#[test]
fn the_corpus_holds() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for (name, run) in msglib_fuzz_bodies::TARGETS {
        let mut inputs = 0;
        for folder in ["corpus", "regressions"] {
            let Ok(files) = std::fs::read_dir(root.join(folder).join(name)) else { continue };
            let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
            files.sort();
            for file in files {
                let data = std::fs::read(&file).unwrap();
                // Named, so that a failure says which it was.
                println!("{}", file.display());
                run(&data);
                inputs += 1;
            }
        }
        assert!(inputs >= 10, "{name} has a corpus: {inputs} inputs");
    }
}
