//! Whether a release of the platform has an optional call. This must be proven, never inferred from one
//! answer.

use crate::time::{Duration, Time};

/// Two denials closer together than this count as one. A platform or a gateway denies calls that it has while
/// it is being deployed.
pub const APART: Duration = Duration::from_secs(600);

/// What an answer says about the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Heard {
    /// The call worked.
    Answered,
    /// The call does not exist, in the form that only the API itself uses to say so.
    Lacks,
    /// Anything else.
    Other,
}

/// What is known about one call. It starts with what an earlier process left in status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct KnownCapability {
    has: Option<bool>,
    lacked_since: Option<Time>,
}

impl KnownCapability {
    /// Starts with what status says: whether the release has the call, or nothing.
    pub fn told(has: Option<bool>) -> Self {
        Self {
            has,
            lacked_since: None,
        }
    }

    /// Whether the release has the call. `None` while that is unknown.
    pub fn has(&self) -> Option<bool> {
        self.has
    }

    /// Takes in an answer. Returns whether the answers so far prove that the release lacks the call.
    ///
    /// A call that has answered once is never considered missing. Otherwise it takes two denials, [`APART`]
    /// from each other, with no other answer between them. If status has it from an earlier process, one is
    /// enough.
    pub fn hears(&mut self, now: Time, heard: Heard) -> bool {
        match heard {
            Heard::Answered => *self = Self::told(Some(true)),
            Heard::Other => self.lacked_since = None,
            Heard::Lacks if self.has == Some(true) => {}
            Heard::Lacks => {
                let since = *self.lacked_since.get_or_insert(now);
                if self.has == Some(false) || now >= since + APART {
                    self.has = Some(false);
                    return true;
                }
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Heard::{Answered, Lacks, Other};

    /// The value from status; the answers with their times in seconds; whether the last one is proof; and
    /// what is known then.
    type Case = (Option<bool>, &'static [(u64, Heard)], bool, Option<bool>);

    #[test]
    fn a_call_is_known_to_be_lacking_by_two_answers_apart_and_never_after_it_has_answered() {
        let (has, lacks) = (Some(true), Some(false));
        let table: [Case; 12] = [
            (None, &[(0, Lacks)], false, None),
            (None, &[(0, Lacks), (1, Lacks), (599, Lacks)], false, None),
            (None, &[(0, Lacks), (600, Lacks)], true, lacks),
            (None, &[(0, Lacks), (300, Other), (600, Lacks)], false, None),
            (
                None,
                &[(0, Lacks), (300, Other), (600, Lacks), (1200, Lacks)],
                true,
                lacks,
            ),
            (None, &[(0, Other), (3600, Other)], false, None),
            (None, &[(0, Answered), (10, Lacks), (100_000, Lacks)], false, has),
            (
                None,
                &[
                    (0, Lacks),
                    (600, Lacks),
                    (601, Answered),
                    (5000, Lacks),
                    (9000, Lacks),
                ],
                false,
                has,
            ),
            (has, &[(0, Lacks), (600, Lacks)], false, has),
            (lacks, &[(0, Lacks)], true, lacks),
            (lacks, &[(0, Other)], false, lacks),
            (lacks, &[(0, Answered), (1, Lacks)], false, has),
        ];
        for (told, answers, relied_on, known) in table {
            let (mut call, mut last) = (KnownCapability::told(told), false);
            for (second, heard) in answers {
                last = call.hears(Time(1_800_000_000_250) + Duration::from_secs(*second), *heard);
            }
            assert_eq!((last, call.has()), (relied_on, known), "{told:?}, {answers:?}");
        }
    }
}
