//! Which objects a URL stands for.

use super::bucket::Bucket;
use super::fault::{Cause, Fault};
use super::object::Object;
use super::runtime::wait;
use super::url::Url;
use crate::folders::{
    Entry, Folders, MATCHING, is_hidden, no_match, not_a_pattern, resolve_folder, wants_marks,
};
use crate::source::InputFile;
use futures_util::{StreamExt, TryStreamExt};
use glob::Pattern;
use object_store::path::Path;
use object_store::{ListResult, ObjectStore};
use slackwater_dataflow::{Error, Result};
use std::sync::Arc;
use tokio::time::timeout;

/// Files that are opened at a time: each costs a request, and there may be thousands.
const OPENED_TOGETHER: usize = 16;

/// The objects that a URL stands for.
pub(super) fn resolve(bucket: &Arc<Bucket>, url: &Url, files: &mut Vec<InputFile>) -> Result<()> {
    let place = Listing(bucket.clone());
    let is_folder = url.path.is_empty() || url.path.ends_with('/');
    if !bucket.can_list() {
        if is_folder || url.path.contains('*') {
            return Err(Error::input(
                format!("`{}` is not one file, and a web server cannot be asked what it has", url.shown()),
                "name the files one by one",
            ));
        }
        let file = place.look(bucket.key(&url.path)?, url.shown());
        let file = file.map_err(|fault| fault.into_error(&url.shown(), "open"))?;
        files.push(file);
        return Ok(());
    }
    if url.path.contains(['*', '?', '[']) {
        return place.matches(&url.path, files);
    }
    let key = bucket.key(&url.path)?;
    let fault = match is_folder {
        true => Fault::from(Cause::NotFound),
        false => match place.look(key.clone(), url.shown()) {
            Ok(file) => {
                files.push(file);
                return Ok(());
            }
            Err(fault) => fault,
        },
    };
    if fault.cause != Cause::NotFound || place.list(&key)?.is_empty() {
        return Err(fault.into_error(&url.shown(), "open"));
    }
    resolve_folder(&place, &Place(key), files)
}

/// Where an object is. Sorted by the names of folders, one after the other, as paths are.
#[derive(Clone, PartialEq, Eq)]
struct Place(Path);

impl Ord for Place {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.parts().cmp(other.0.parts())
    }
}

impl PartialOrd for Place {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// A bucket as folders.
struct Listing(Arc<Bucket>);

impl Folders for Listing {
    type At = Place;

    fn entries(&self, folder: &Place) -> Result<Vec<Entry<Place>>> {
        self.list(&folder.0)
    }
    fn open(&self, files: &[Place]) -> Result<Vec<InputFile>> {
        let (bucket, keys): (_, Vec<Path>) = (self.0.clone(), files.iter().map(|at| at.0.clone()).collect());
        let opened = async move {
            let each = keys.into_iter().map(|key| {
                let bucket = bucket.clone();
                async move {
                    let name = bucket.shown(key.as_ref());
                    match Object::look(&bucket, key).await {
                        Ok((object, head)) => Ok(InputFile::from_object(name, object, &head)),
                        Err(fault) => Err(fault.into_error(&name, "open")),
                    }
                }
            });
            futures_util::stream::iter(each).buffered(OPENED_TOGETHER).try_collect().await
        };
        let rounds = files.len().div_ceil(OPENED_TOGETHER).max(1);
        let limit = self.0.patience() * 3 * u32::try_from(rounds).unwrap_or(u32::MAX);
        wait(limit, opened).map_err(|e| Fault::from(e).into_error(&self.0.shown(""), "open"))?
    }
    fn shown(&self, at: &Place) -> String {
        self.0.shown(at.0.as_ref())
    }
}

impl Listing {
    fn look(&self, key: Path, name: String) -> Result<InputFile, Fault> {
        let bucket = self.0.clone();
        let about = async move { Object::look(&bucket, key).await };
        let (object, head) = wait(self.0.patience() * 3, about).map_err(Fault::from)??;
        Ok(InputFile::from_object(name, object, &head))
    }
    /// What is in a folder. There is no folder without something in it.
    fn list(&self, folder: &Path) -> Result<Vec<Entry<Place>>> {
        let found =
            self.ask(folder, |store, folder| async move { store.list_with_delimiter(Some(&folder)).await })?;
        let ListResult { common_prefixes, objects, .. } = found;
        let entry = |at: Path, is_folder| {
            let name = at.filename().filter(|_| at.as_ref().len() > folder.as_ref().len())?.to_string();
            Some(Entry { name, is_folder, at: Place(at) })
        };
        let folders = common_prefixes.into_iter().filter_map(|at| entry(at, true));
        // Some stores mark a folder with an object of its name.
        Ok(folders.chain(objects.into_iter().filter_map(|o| entry(o.location, false))).collect())
    }
    /// All that is below a folder.
    fn list_all(&self, folder: &Path) -> Result<Vec<Path>> {
        self.ask(folder, |store, folder| async move {
            store.list(Some(&folder)).map_ok(|o| o.location).try_collect().await
        })
    }
    fn ask<T: Send + 'static, F: Future<Output = object_store::Result<T>> + Send>(
        &self,
        folder: &Path,
        question: impl FnOnce(Arc<dyn ObjectStore>, Path) -> F + Send + 'static,
    ) -> Result<T> {
        let (bucket, asked) = (self.0.clone(), folder.clone());
        // Pages of a thousand names each have a deadline of their own, in the client.
        let answer = async move { question(bucket.store.clone(), asked).await };
        let limit = LISTING_MAX.max(self.0.patience() * 3);
        let answer = wait(limit, async move { timeout(limit, answer).await.ok() }).map_err(Fault::from);
        let deadline = self.0.deadline;
        let answer = answer.and_then(|a| match a {
            Some(answer) => answer.map_err(|e| Fault::of(&e, deadline)),
            None => Err(Cause::Stalled(limit).into()),
        });
        answer.map_err(|fault| fault.into_error(&self.0.shown(folder.as_ref()), "list"))
    }
    /// The files, and the folders of files, that match a pattern.
    fn matches(&self, pattern: &str, files: &mut Vec<InputFile>) -> Result<()> {
        let shown = self.0.shown(pattern);
        let steps: Vec<&str> = pattern.trim_end_matches('/').split('/').collect();
        let mut found = vec![];
        self.walk(&Path::default(), &steps, &shown, &mut found)?;
        let wants_marks = wants_marks(pattern);
        found.retain(|(at, _)| wants_marks || at.0.filename().is_some_and(|name| !name.starts_with('_')));
        if found.is_empty() {
            return Err(no_match(&shown));
        }
        found.sort();
        found.dedup();
        let mut begun = 0;
        while begun < found.len() {
            if found[begun].1 {
                resolve_folder(self, &found[begun].0, files)?;
                begun += 1;
                continue;
            }
            // Files that follow each other are opened together.
            let run: Vec<Place> = found[begun..]
                .iter()
                .take_while(|(_, is_folder)| !is_folder)
                .map(|(at, _)| at.clone())
                .collect();
            begun += run.len();
            files.extend(self.open(&run)?);
        }
        Ok(())
    }
    /// Adds what matches `steps`, the names and patterns of one folder after the other, below `folder`; true for folders.
    fn walk(&self, folder: &Path, steps: &[&str], shown: &str, found: &mut Vec<(Place, bool)>) -> Result<()> {
        let [step, rest @ ..] = steps else { return Ok(()) };
        if *step == "**" {
            return self.search(folder, steps, shown, found);
        }
        if !step.contains(['*', '?', '[']) && !rest.is_empty() {
            let next = self.0.key(&format!("{folder}/{step}"))?;
            return self.walk(&next, rest, shown, found);
        }
        let pattern = Pattern::new(step).map_err(|e| not_a_pattern(shown, &e))?;
        for entry in self.list(folder)?.into_iter().filter(|e| pattern.matches_with(&e.name, MATCHING)) {
            match (rest.is_empty(), entry.is_folder) {
                (true, is_folder) => found.push((entry.at, is_folder)),
                (false, true) => self.walk(&entry.at.0, rest, shown, found)?,
                (false, false) => {}
            }
        }
        Ok(())
    }
    /// As [`walk`](Self::walk), for a pattern that begins with `**`.
    fn search(
        &self,
        folder: &Path,
        steps: &[&str],
        shown: &str,
        found: &mut Vec<(Place, bool)>,
    ) -> Result<()> {
        let pattern = Pattern::new(&steps.join("/")).map_err(|e| not_a_pattern(shown, &e))?;
        let above = folder.parts().count();
        for file in self.list_all(folder)? {
            let names: Vec<_> = file.parts().skip(above).map(|p| p.as_ref().to_string()).collect();
            for depth in 1..=names.len() {
                let is_folder = depth < names.len();
                if pattern.matches_with(&names[..depth].join("/"), MATCHING)
                    && !(is_folder && is_hidden(&names[depth - 1]))
                {
                    let at = Path::from_iter(file.parts().take(above + depth));
                    found.push((Place(at), is_folder));
                }
            }
        }
        Ok(())
    }
}

/// Longest time for the names of one folder.
const LISTING_MAX: std::time::Duration = std::time::Duration::from_secs(600);
