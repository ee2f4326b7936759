//! Work beside the passes, which must neither wait for it nor be crowded out by its writes.

use std::convert::Infallible;
use std::num::NonZeroU32;
use std::sync::Arc;

use anyhow::Context as _;
use tokio::task::JoinSet;

use crate::cluster::key::{Group, ObjectKey};
use crate::controllers::context::Context;
use crate::runtime::rate::Rate;
use crate::runtime::workqueue::Queue;

/// How many writes to the API server a kind of such work makes a second, for all its objects.
const PER_SECOND: NonZeroU32 = NonZeroU32::new(20).unwrap();

/// Makes a run for each key of a queue when its time comes. All runs share one rate of writes. `what` they are
/// is for the message of a panic.
///
/// # Errors
/// When a run panics. It does not end otherwise.
pub async fn runs<F>(
    context: Arc<Context>,
    what: &'static str,
    queue: fn(&Context) -> &Queue<ObjectKey, Group>,
    run: impl Fn(Arc<Context>, ObjectKey, Arc<Rate>) -> F,
) -> anyhow::Result<Infallible>
where
    F: Future<Output = ()> + Send + 'static,
{
    let rate = Arc::new(Rate::steady(PER_SECOND));
    let mut runs = JoinSet::new();
    loop {
        tokio::select! {
            (key, ..) = queue(&context).next() => {
                runs.spawn(run(Arc::clone(&context), key, Arc::clone(&rate)));
            }
            Some(ended) = runs.join_next(), if !runs.is_empty() => {
                ended.with_context(|| format!("a run of {what} panicked; this is a bug"))?;
            }
        }
    }
}
