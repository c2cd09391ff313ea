//! `expand`: the fast `flat_map`.

use super::step::Step;
use crate::dataset::Dataset;
use crate::dataset::lineage::{Chunk, Data, Stop};
use crate::exec::task::TaskContext;
use std::panic::Location;

struct Expand<F>(F);

impl<T: Data, U: Data, F: Fn(&T, &mut Vec<U>) + Send + Sync + 'static> Step<T, U> for Expand<F> {
    type Scratch = ();
    fn run(&self, chunk: Chunk<'_, T>, _: &mut (), out: &mut Vec<U>, _: &TaskContext) -> Result<(), Stop> {
        chunk.as_slice().iter().for_each(|record| (self.0)(record, out));
        Ok(())
    }
}

impl<T: Data> Dataset<T> {
    /// `flat_map` for hot paths: looks at the record where it lies and appends to the chunk itself, so there is no
    /// clone of the input and no iterator a record. `f` must only push to the vector it is given.
    ///
    /// ```
    /// # let cx = slackwater_dataflow::Context::local(1)?;
    /// let lines = cx.parallelize(["a b".to_string(), "c".to_string()], 1);
    /// let words = lines.expand(|line, out| out.extend(line.split(' ').map(str::to_string)));
    /// assert_eq!(words.collect()?, ["a", "b", "c"]);
    /// # Ok::<(), slackwater_dataflow::Error>(())
    /// ```
    #[track_caller]
    pub fn expand<U: Data, F: Fn(&T, &mut Vec<U>) + Send + Sync + 'static>(&self, f: F) -> Dataset<U> {
        self.step::<U, F>("expand", Location::caller(), false, Expand(f))
    }
}
