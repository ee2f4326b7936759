//! One token for many callers: requested by one caller at a time and renewed before it expires. While no new
//! one can be obtained, the old one stays in use.

use parking_lot::Mutex as StdMutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use reqwest::header::HeaderValue;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::error::Error;

/// How long to wait after a failed renewal while the old token is still good.
const AGAIN: Duration = Duration::from_secs(30);
/// How long before it expires a token is no longer used.
const MARGIN: Duration = Duration::from_secs(5);

/// A token, as the header that carries it.
#[derive(Clone)]
pub(crate) struct Token {
    /// `Bearer …`, marked as sensitive.
    pub(crate) header: HeaderValue,
    serial: u64,
}

/// The result of a token request.
pub(crate) struct Fresh {
    pub(crate) header: HeaderValue,
    pub(crate) lifetime: Duration,
}

struct CachedToken {
    token: Token,
    renew: Instant,
    end: Instant,
}

/// The token cache. Each [`crate::Client`] has one, for its identity and credential.
#[derive(Default)]
pub(crate) struct Tokens {
    held: StdMutex<Option<CachedToken>>,
    /// Locked by the caller that requests a token. Holds the error of the last attempt.
    flight: Mutex<Option<Error>>,
    tries: AtomicU64,
}

impl Tokens {
    /// Returns the cached token, or a new one from `ask`. Many callers cause one request and share its
    /// failure. When it fails and the cached token is still good, that one is returned, and the next attempt
    /// comes after [`AGAIN`].
    pub(crate) async fn get<F>(&self, ask: impl FnOnce() -> F) -> Result<Token, Error>
    where
        F: Future<Output = Result<Fresh, Error>>,
    {
        let seen = self.tries.load(Ordering::SeqCst);
        if let Some(token) = self.fresh() {
            return Ok(token);
        }
        let mut flight = match self.flight.try_lock() {
            Ok(flight) => flight,
            // Another caller is renewing: no need to wait while the old token is good.
            Err(_) => match self.usable() {
                Some(token) => return Ok(token),
                None => self.flight.lock().await,
            },
        };
        if let Some(token) = self.fresh() {
            return Ok(token);
        }
        if self.tries.load(Ordering::SeqCst) != seen
            && let Some(error) = flight.as_ref()
        {
            return self.usable().ok_or_else(|| error.clone());
        }
        let asked = Instant::now();
        let result = ask().await;
        self.tries.fetch_add(1, Ordering::SeqCst);
        match result {
            Ok(fresh) => {
                *flight = None;
                Ok(self.keep(asked, fresh))
            }
            Err(error) => {
                *flight = Some(error.clone());
                self.postpone();
                self.usable().ok_or(error)
            }
        }
    }

    /// Drops the token if it is still the refused one. When many callers are refused at once, the first drops
    /// it and the others get its successor.
    pub(crate) fn refused(&self, token: &Token) {
        let mut held = self.lock();
        if held
            .as_ref()
            .is_some_and(|held| held.token.serial == token.serial)
        {
            *held = None;
        }
    }

    fn lock(&self) -> parking_lot::MutexGuard<'_, Option<CachedToken>> {
        self.held.lock()
    }

    /// The cached token, if it is not due for renewal.
    fn fresh(&self) -> Option<Token> {
        let now = Instant::now();
        self.lock()
            .as_ref()
            .filter(|held| now < held.renew)
            .map(|held| held.token.clone())
    }

    fn usable(&self) -> Option<Token> {
        let now = Instant::now();
        self.lock()
            .as_ref()
            .filter(|held| now < held.end)
            .map(|held| held.token.clone())
    }

    fn keep(&self, asked: Instant, fresh: Fresh) -> Token {
        let token = Token {
            header: fresh.header,
            serial: self.tries.load(Ordering::SeqCst),
        };
        let (renew, end) = times(fresh.lifetime);
        *self.lock() = Some(CachedToken {
            token: token.clone(),
            renew: asked + renew,
            end: asked + end,
        });
        token
    }

    fn postpone(&self) {
        if let Some(held) = self.lock().as_mut() {
            held.renew = held.end.min(Instant::now() + AGAIN);
        }
    }
}

/// Returns when a token is renewed and when it is no longer used. Renewal is at 80 % of its life, for a
/// long-lived one at the latest five minutes before its end.
fn times(lifetime: Duration) -> (Duration, Duration) {
    let end = lifetime.saturating_sub(MARGIN);
    let part = lifetime * 4 / 5;
    let before = lifetime.saturating_sub(Duration::from_secs(300));
    let renew = if lifetime > Duration::from_secs(600) {
        part.min(before)
    } else {
        part
    };
    (renew.min(end), end)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::error::{ErrorKind, RequestSent};

    /// Counts the requests. Each token has a different name.
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
                return Err(Error::new(ErrorKind::Authentication, RequestSent::No, "no"));
            }
            Ok(Fresh {
                header: HeaderValue::from_str(&number.to_string()).unwrap(),
                lifetime: Duration::from_secs(lifetime),
            })
        }
    }

    async fn get(tokens: &Tokens, source: &Source) -> Result<String, Error> {
        tokens
            .get(|| source.ask(3599))
            .await
            .map(|token| token.header.to_str().unwrap().to_owned())
    }

    async fn crowd(tokens: &Arc<Tokens>, source: &Arc<Source>) -> Vec<Result<String, ErrorKind>> {
        let tasks: Vec<_> = (0..50)
            .map(|_| {
                let (tokens, source) = (tokens.clone(), source.clone());
                tokio::spawn(async move { get(&tokens, &source).await.map_err(|error| error.kind) })
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
        assert!(
            crowd(&tokens, &source)
                .await
                .iter()
                .all(|result| result.as_deref() == Ok("1"))
        );
        assert_eq!(source.asked.load(Ordering::SeqCst), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_crowd_shares_one_failure() {
        let (tokens, source) = (Arc::new(Tokens::default()), Arc::new(Source::default()));
        source.fails.store(true, Ordering::SeqCst);
        assert!(
            crowd(&tokens, &source)
                .await
                .iter()
                .all(|result| *result == Err(ErrorKind::Authentication))
        );
        assert_eq!(source.asked.load(Ordering::SeqCst), 1);
        // A later caller asks again.
        source.fails.store(false, Ordering::SeqCst);
        assert_eq!(get(&tokens, &source).await.unwrap(), "2");
    }

    #[tokio::test(start_paused = true)]
    async fn renewed_before_it_expires() {
        let (tokens, source) = (Tokens::default(), Source::default());
        assert_eq!(get(&tokens, &source).await.unwrap(), "1");
        tokio::time::advance(Duration::from_secs(2870)).await;
        assert_eq!(get(&tokens, &source).await.unwrap(), "1");
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(get(&tokens, &source).await.unwrap(), "2");
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_renewal_keeps_the_old_one_until_its_end() {
        let (tokens, source) = (Tokens::default(), Source::default());
        get(&tokens, &source).await.unwrap();
        source.fails.store(true, Ordering::SeqCst);
        tokio::time::advance(Duration::from_secs(2900)).await;
        assert_eq!(get(&tokens, &source).await.unwrap(), "1");
        assert_eq!(get(&tokens, &source).await.unwrap(), "1");
        assert_eq!(source.asked.load(Ordering::SeqCst), 2, "not asked again at once");
        tokio::time::advance(Duration::from_secs(700)).await;
        assert_eq!(
            get(&tokens, &source).await.unwrap_err().kind,
            ErrorKind::Authentication
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_token_is_dropped_once() {
        let (tokens, source) = (Tokens::default(), Source::default());
        let first = tokens.get(|| source.ask(3599)).await.ok().unwrap();
        tokens.refused(&first);
        assert_eq!(get(&tokens, &source).await.unwrap(), "2");
        tokens.refused(&first);
        assert_eq!(get(&tokens, &source).await.unwrap(), "2");
    }

    #[tokio::test(start_paused = true)]
    async fn one_who_gives_up_does_not_stop_the_others() {
        let (tokens, source) = (Arc::new(Tokens::default()), Arc::new(Source::default()));
        let gives_up = tokio::time::timeout(Duration::from_millis(500), get(&tokens, &source));
        assert!(gives_up.await.is_err());
        assert_eq!(get(&tokens, &source).await.unwrap(), "2");
    }

    #[test]
    fn times_of_a_token() {
        let seconds = |lifetime| {
            let (renew, end) = times(Duration::from_secs(lifetime));
            (renew.as_secs(), end.as_secs())
        };
        assert_eq!(
            [seconds(3599), seconds(700), seconds(600), seconds(10)],
            [(2879, 3594), (400, 695), (480, 595), (5, 5)]
        );
    }
}
