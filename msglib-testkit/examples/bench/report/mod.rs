//! What is told of a run: a table for people, lines for machines, and pictures.

mod chart;
mod json;
mod svg;
pub(crate) mod table;

use crate::Result;
use crate::options::Options;
use crate::scenario::Row;
use crate::summary::Summary;
use crate::turns::Outcome;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

/// The files that were asked for.
pub(crate) struct Files {
    json: Option<(PathBuf, File)>,
    svg: Option<(PathBuf, File)>,
}

impl Files {
    pub(crate) fn create(options: &Options) -> Result<Files> {
        let create = |path: &Option<PathBuf>| match path {
            None => Ok(None),
            Some(path) => match File::create(path) {
                Ok(file) => Ok(Some((path.clone(), file))),
                Err(error) => Err(format!("creating {}: {error}", path.display())),
            },
        };
        Ok(Files { json: create(&options.json)?, svg: create(&options.svg)? })
    }

    /// Writes a turn at once, for a run may be cut off.
    pub(crate) fn turn(&mut self, row: &Row, outcome: &Outcome) -> Result<()> {
        write(&mut self.json, || format!("{}\n", json::turn(row, outcome)))
    }

    pub(crate) fn finish(mut self, summaries: &[Summary<'_>]) -> Result<()> {
        for summary in summaries {
            write(&mut self.json, || format!("{}\n", json::summary(summary)))?;
        }
        write(&mut self.svg, || svg::draw(summaries))
    }
}

fn write(to: &mut Option<(PathBuf, File)>, text: impl FnOnce() -> String) -> Result<()> {
    let Some((path, file)) = to else { return Ok(()) };
    Ok(file.write_all(text().as_bytes()).map_err(|error| format!("writing {}: {error}", path.display()))?)
}
