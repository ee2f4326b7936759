//! Whether a release of the platform has a call that something depends on: proven, never inferred from one answer.

use crate::time::{Duration, Time};

/// Two answers that this release has no such call count as one when less than this lies between them: a platform that is being deployed, or a gateway
/// that is, says so of calls that it has.
pub const APART: Duration = Duration::from_secs(600);

/// What an answer to the call says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Heard {
    /// It did what it is for.
    Answered,
    /// There is no such call, in the form in which only the API itself says that.
    Lacks,
    /// Anything else.
    Other,
}

/// What is known of one call. It begins with what status tells of an earlier process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct KnownCapability {
    has: Option<bool>,
    lacked_since: Option<Time>,
}

impl KnownCapability {
    /// What status tells: whether the release has the call, or nothing.
    pub fn told(has: Option<bool>) -> Self {
        Self {
            has,
            lacked_since: None,
        }
    }

    /// Whether the release has the call; `None` while that is not known.
    pub fn has(&self) -> Option<bool> {
        self.has
    }

    /// Takes in an answer. Returns whether it may be relied on, by this answer and all before it, that the release lacks the call.
    ///
    /// A call that has answered once is never taken to be lacking. Otherwise two answers say so that lie [`APART`], with no other answer between them;
    /// where status has it from an earlier process, one.
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

    /// What status tells, the answers and after how many seconds they come, whether the last of them may be relied on, and what is known then.
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
