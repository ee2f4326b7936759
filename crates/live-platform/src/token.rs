//! One token for many callers: asked for once at a time, renewed before it expires, and at once for another version of the credential. The one that is held
//! is used on while a new one is refused.

use std::sync::Mutex as StdMutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use reqwest::header::HeaderValue;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::error::Error;

/// After a renewal that failed while the old token is still good: how long until the next try.
const AGAIN: Duration = Duration::from_secs(30);
/// How long before its end a token is no longer used.
const MARGIN: Duration = Duration::from_secs(5);

/// A token, as the header that carries it.
#[derive(Clone)]
pub(crate) struct Token {
    /// `Bearer …`, marked as sensitive.
    pub(crate) header: HeaderValue,
    serial: u64,
}

/// What a token request gives.
pub(crate) struct Fresh {
    pub(crate) header: HeaderValue,
    pub(crate) lifetime: Duration,
}

struct Held {
    token: Token,
    version: String,
    renew: Instant,
    end: Instant,
    /// For which version of the credential there was no new one, and why.
    refused: Option<(String, Error)>,
}

/// The cache. One for each [`crate::Client`], so for one identity.
#[derive(Default)]
pub(crate) struct Tokens {
    held: StdMutex<Option<Held>>,
    /// Held by the one who asks; inside, how the last try failed, and for which version.
    flight: Mutex<Option<(String, Error)>>,
    tries: AtomicU64,
}

impl Tokens {
    /// A token for this version of the credential: the held one, or a new one by `ask`. Many callers cause one request; they share its failure too.
    /// When that fails and a token is held that is still good, that is given, also one of another version: it is of the same identity, and a directory does not know a new
    /// secret at once. Then it is asked again after [`AGAIN`].
    pub(crate) async fn get<F>(&self, version: &str, ask: impl FnOnce() -> F) -> Result<Token, Error>
    where
        F: Future<Output = Result<Fresh, Error>>,
    {
        let seen = self.tries.load(Ordering::SeqCst);
        if let Some(token) = self.fresh(version) {
            return Ok(token);
        }
        let mut flight = match self.flight.try_lock() {
            Ok(flight) => flight,
            // Somebody renews already: no need to wait while the old token is good.
            Err(_) => match self.usable() {
                Some(token) => return Ok(token),
                None => self.flight.lock().await,
            },
        };
        if let Some(token) = self.fresh(version) {
            return Ok(token);
        }
        if self.tries.load(Ordering::SeqCst) != seen
            && let Some((failed, error)) = flight.as_ref()
            && failed == version
        {
            return self.usable().ok_or_else(|| error.clone());
        }
        let asked = Instant::now();
        let result = ask().await;
        self.tries.fetch_add(1, Ordering::SeqCst);
        match result {
            Ok(fresh) => {
                *flight = None;
                Ok(self.keep(version, asked, fresh))
            }
            Err(error) => {
                *flight = Some((version.to_owned(), error.clone()));
                self.postpone(version, &error);
                self.usable().ok_or(error)
            }
        }
    }

    /// Drops the token, when it is still the one that was refused: of many callers that are refused at once, the first drops it, and the others get its successor.
    pub(crate) fn refused(&self, token: &Token) {
        let mut held = self.lock();
        if held.as_ref().is_some_and(|held| held.token.serial == token.serial) {
            *held = None;
        }
    }

    /// Drops the token, whatever it is.
    pub(crate) fn forget(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Held>> {
        self.held.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Why the last try for a token failed, while the one that is held from before is used on.
    pub(crate) fn trouble(&self) -> Option<Error> {
        let now = Instant::now();
        self.lock().as_ref().filter(|held| now < held.end)?.refused.as_ref().map(|(_, error)| error.clone())
    }

    /// The held token, when there is no reason to ask for another.
    fn fresh(&self, version: &str) -> Option<Token> {
        let now = Instant::now();
        let held = self.lock();
        let held = held.as_ref().filter(|held| now < held.renew)?;
        let tried = |(refused, _): &(String, Error)| refused == version;
        (held.version == version || held.refused.as_ref().is_some_and(tried)).then(|| held.token.clone())
    }

    fn usable(&self) -> Option<Token> {
        let now = Instant::now();
        self.lock().as_ref().filter(|held| now < held.end).map(|held| held.token.clone())
    }

    fn keep(&self, version: &str, asked: Instant, fresh: Fresh) -> Token {
        let token = Token { header: fresh.header, serial: self.tries.load(Ordering::SeqCst) };
        let (renew, end) = times(fresh.lifetime);
        *self.lock() = Some(Held { token: token.clone(), version: version.to_owned(), renew: asked + renew, end: asked + end, refused: None });
        token
    }

    fn postpone(&self, version: &str, error: &Error) {
        if let Some(held) = self.lock().as_mut() {
            held.refused = Some((version.to_owned(), error.clone()));
            held.renew = Instant::now() + AGAIN;
            if held.renew > held.end {
                held.renew = held.end;
            }
        }
    }
}

/// After which part of its life a token is renewed, and after which it is not used any more: at 80 %, but for a long-lived one not later
/// than five minutes before its end.
fn times(lifetime: Duration) -> (Duration, Duration) {
    let end = lifetime.saturating_sub(MARGIN);
    let part = lifetime * 4 / 5;
    let before = lifetime.saturating_sub(Duration::from_secs(300));
    let renew = if lifetime > Duration::from_secs(600) { part.min(before) } else { part };
    (renew.min(end), end)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::error::{ErrorKind, Sent};

    /// Counts how often it is asked; each token has another name.
    #[derive(Default)]
    struct Source {
        asked: AtomicU64,
        fails: std::sync::atomic::AtomicBool,
    }

    impl Source {
        async fn ask(&self, lifetime: u64) -> Result<Fresh, Error> {
            let number = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
            tokio::time::sleep(Duration::from_secs(1)).await;
            if self.fails.load(Ordering::SeqCst) {
                return Err(Error::new(ErrorKind::Authentication, Sent::No, "no"));
            }
            Ok(Fresh { header: HeaderValue::from_str(&number.to_string()).unwrap(), lifetime: Duration::from_secs(lifetime) })
        }
    }

    async fn get(tokens: &Tokens, source: &Source, version: &str) -> Result<String, Error> {
        tokens.get(version, || source.ask(3599)).await.map(|token| token.header.to_str().unwrap().to_owned())
    }

    async fn crowd(tokens: &Arc<Tokens>, source: &Arc<Source>) -> Vec<Result<String, ErrorKind>> {
        let tasks: Vec<_> = (0..50)
            .map(|_| {
                let (tokens, source) = (tokens.clone(), source.clone());
                tokio::spawn(async move { get(&tokens, &source, "v1").await.map_err(|error| error.kind) })
            })
            .collect();
        let mut results = Vec::new();
        for task in tasks {
            results.push(task.await.unwrap());
        }
        results
    }

    #[tokio::test(start_paused = true)]
    async fn a_crowd_asks_once() {
        let (tokens, source) = (Arc::new(Tokens::default()), Arc::new(Source::default()));
        assert!(crowd(&tokens, &source).await.iter().all(|result| result.as_deref() == Ok("1")));
        assert_eq!(source.asked.load(Ordering::SeqCst), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_crowd_shares_one_failure() {
        let (tokens, source) = (Arc::new(Tokens::default()), Arc::new(Source::default()));
        source.fails.store(true, Ordering::SeqCst);
        assert!(crowd(&tokens, &source).await.iter().all(|result| *result == Err(ErrorKind::Authentication)));
        assert_eq!(source.asked.load(Ordering::SeqCst), 1);
        // Whoever comes later asks again.
        source.fails.store(false, Ordering::SeqCst);
        assert_eq!(get(&tokens, &source, "v1").await.unwrap(), "2");
    }

    #[tokio::test(start_paused = true)]
    async fn renewed_before_it_expires() {
        let (tokens, source) = (Tokens::default(), Source::default());
        assert_eq!(get(&tokens, &source, "v1").await.unwrap(), "1");
        tokio::time::advance(Duration::from_secs(2870)).await;
        assert_eq!(get(&tokens, &source, "v1").await.unwrap(), "1");
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(get(&tokens, &source, "v1").await.unwrap(), "2");
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_renewal_keeps_the_old_one_until_its_end() {
        let (tokens, source) = (Tokens::default(), Source::default());
        get(&tokens, &source, "v1").await.unwrap();
        source.fails.store(true, Ordering::SeqCst);
        tokio::time::advance(Duration::from_secs(2900)).await;
        assert_eq!(get(&tokens, &source, "v1").await.unwrap(), "1");
        assert_eq!(get(&tokens, &source, "v1").await.unwrap(), "1");
        assert_eq!(source.asked.load(Ordering::SeqCst), 2, "not asked again at once");
        tokio::time::advance(Duration::from_secs(700)).await;
        assert_eq!(get(&tokens, &source, "v1").await.unwrap_err().kind, ErrorKind::Authentication);
    }

    #[tokio::test(start_paused = true)]
    async fn another_version_has_another_token() {
        let (tokens, source) = (Tokens::default(), Source::default());
        assert_eq!(get(&tokens, &source, "v1").await.unwrap(), "1");
        assert_eq!(get(&tokens, &source, "v2").await.unwrap(), "2");
        assert_eq!(get(&tokens, &source, "v2").await.unwrap(), "2");
    }

    #[tokio::test(start_paused = true)]
    async fn a_good_token_is_used_on_while_a_new_secret_is_not_known_yet() {
        let (tokens, source) = (Tokens::default(), Source::default());
        assert_eq!(get(&tokens, &source, "v1").await.unwrap(), "1");
        assert!(tokens.trouble().is_none());
        source.fails.store(true, Ordering::SeqCst);
        for _ in 0..5 {
            assert_eq!(get(&tokens, &source, "v2").await.unwrap(), "1");
        }
        assert_eq!(source.asked.load(Ordering::SeqCst), 2, "not with each call");
        assert_eq!(tokens.trouble().map(|error| error.kind), Some(ErrorKind::Authentication));
        // A third version is another question.
        assert_eq!(get(&tokens, &source, "v3").await.unwrap(), "1");
        assert_eq!(source.asked.load(Ordering::SeqCst), 3);
        // Known at last.
        source.fails.store(false, Ordering::SeqCst);
        assert_eq!(get(&tokens, &source, "v3").await.unwrap(), "1");
        tokio::time::advance(AGAIN).await;
        assert_eq!(get(&tokens, &source, "v3").await.unwrap(), "4");
        assert!(tokens.trouble().is_none());
        // Never known, or the held token is refused: then it is told.
        source.fails.store(true, Ordering::SeqCst);
        assert_eq!(get(&tokens, &source, "v4").await.unwrap(), "4");
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert!(tokens.trouble().is_none(), "no token is left, so the calls themselves tell it");
        assert_eq!(get(&tokens, &source, "v4").await.unwrap_err().kind, ErrorKind::Authentication);
        source.fails.store(false, Ordering::SeqCst);
        let held = tokens.get("v4", || source.ask(3599)).await.unwrap();
        source.fails.store(true, Ordering::SeqCst);
        assert!(get(&tokens, &source, "v5").await.is_ok());
        tokens.refused(&held);
        assert_eq!(get(&tokens, &source, "v5").await.unwrap_err().kind, ErrorKind::Authentication);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_token_is_dropped_once() {
        let (tokens, source) = (Tokens::default(), Source::default());
        let first = tokens.get("v1", || source.ask(3599)).await.ok().unwrap();
        tokens.refused(&first);
        assert_eq!(get(&tokens, &source, "v1").await.unwrap(), "2");
        tokens.refused(&first);
        assert_eq!(get(&tokens, &source, "v1").await.unwrap(), "2");
        tokens.forget();
        assert_eq!(get(&tokens, &source, "v1").await.unwrap(), "3");
    }

    #[tokio::test(start_paused = true)]
    async fn one_who_gives_up_does_not_stop_the_others() {
        let (tokens, source) = (Arc::new(Tokens::default()), Arc::new(Source::default()));
        let gives_up = tokio::time::timeout(Duration::from_millis(500), get(&tokens, &source, "v1"));
        assert!(gives_up.await.is_err());
        assert_eq!(get(&tokens, &source, "v1").await.unwrap(), "2");
    }

    #[test]
    fn times_of_a_token() {
        let seconds = |lifetime| {
            let (renew, end) = times(Duration::from_secs(lifetime));
            (renew.as_secs(), end.as_secs())
        };
        assert_eq!([seconds(3599), seconds(700), seconds(600), seconds(10)], [(2879, 3594), (400, 695), (480, 595), (5, 5)]);
    }
}
