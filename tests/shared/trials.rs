//! The `main` of a test target whose cases share something that takes a while to set up, such as an API server with an operator.

use std::future::Future;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use libtest_mimic::{Arguments, Failed, Trial};
use tokio::runtime::Runtime;
use tokio::sync::OnceCell;

/// Cases with their names: functions of the scene, in the order listed. A case is named by its module, if given.
#[allow(unused_macros, reason = "targets of a few cases add them one by one")]
macro_rules! cases {
    (@name $first:ident $(:: $rest:ident)*) => {
        concat!(stringify!($first) $(, "::", stringify!($rest))*)
    };
    ($($($part:ident)::+),+ $(,)?) => {
        [$((cases!(@name $($part)::+), (|scene| Box::pin($($part)::+(scene))) as Case)),+]
    };
}

/// Sets up what the cases share.
pub type Set<S> = fn() -> Pin<Box<dyn Future<Output = Result<S>>>>;

/// What the cases share. The first case that runs sets it up, so a run without cases costs nothing. A failed setup is not tried again.
struct Shared<S> {
    set: Set<S>,
    ready: OnceCell<Result<Arc<S>, String>>,
    // Declared last, so that it is dropped after what may need it to shut down.
    runtime: Runtime,
}

/// The cases of one target.
pub struct Trials<S> {
    shared: Arc<Shared<S>>,
    trials: Vec<Trial>,
}

impl<S: Send + Sync + 'static> Trials<S> {
    /// A target without cases.
    ///
    /// # Errors
    /// When the runtime cannot be started.
    pub fn new(set: Set<S>) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        Ok(Self { shared: Arc::new(Shared { set, ready: OnceCell::new(), runtime }), trials: Vec::new() })
    }

    /// Adds a case.
    pub fn case<F: Future<Output = Result<()>>>(&mut self, name: &str, case: impl FnOnce(Arc<S>) -> F + Send + 'static) {
        let shared = Arc::clone(&self.shared);
        let play = move || {
            shared.runtime.block_on(async {
                let ready = shared.ready.get_or_init(|| async { (shared.set)().await.map(Arc::new).map_err(|error| format!("{error:#}")) }).await;
                case(Arc::clone(ready.as_ref().map_err(|error| anyhow::anyhow!("what the cases share can't be set up: {error}"))?)).await
            })
        };
        self.trials.push(Trial::test(name, move || play().map_err(|error| Failed::from(format!("{error:#}")))));
    }

    /// Adds a case that needs nothing of what is shared.
    #[allow(dead_code, reason = "most targets have none")]
    pub fn check(&mut self, name: &str, check: fn() -> Result<()>) {
        self.trials.push(Trial::test(name, move || check().map_err(|error| Failed::from(format!("{error:#}")))));
    }

    /// Runs the cases selected by the arguments of `cargo test`, at most `at_once` at a time.
    pub fn play(self, at_once: usize) -> ExitCode {
        let mut arguments = Arguments::from_args();
        arguments.test_threads = Some(arguments.test_threads.map_or(at_once, |asked| asked.min(at_once)));
        libtest_mimic::run(&arguments, self.trials).exit_code()
    }
}
