//! Vanished services and leads, and their breaker: recorded ids that the lists lack, and what an object may
//! conclude from that.

use std::sync::Arc;

use oc_domain::absence::{AbsenceCount, Belief};

use crate::cluster::key::ObjectKey;
use crate::controllers::context::Context;
use crate::platform::inventory::Inventory;
use crate::runtime::clock;
use crate::runtime::workqueue::Priority;

/// Recounts, for the platform object's own pass, the recorded ids that the platform's lists lack.
pub fn recounted(context: &Context, platform: &str, inventory: &Inventory) -> AbsenceCount {
    AbsenceCount::clone(&context.tallies.counted(platform, true, || inventory.lists()))
}

/// What an object that recorded this id may conclude when the newest lists do not show it. Enqueues the
/// platform object when it has to count first.
pub fn of_object(context: &Arc<Context>, platform: &str, inventory: &Inventory, id: Option<&str>) -> Belief {
    let Some(reading) = context.cache.reading(platform) else {
        return Belief::Doubted;
    };
    let counted = context.tallies.counted(platform, false, || inventory.lists());
    let belief = reading
        .absences
        .belief(clock::now(), &reading.account, &counted, id.unwrap_or_default());
    if belief == Belief::Doubted {
        context.enqueue(&ObjectKey::platform(platform), Priority::Effect);
    }
    belief
}

/// Makes the platform object count again while absences are held or accepted. Called when a list brings news,
/// or when an object accepts that something is gone.
pub fn changed(context: &Context, platform: &str) {
    if context
        .cache
        .reading(platform)
        .is_some_and(|reading| reading.absences.held > 0 || reading.absences.accepted > 0)
    {
        context.enqueue(&ObjectKey::platform(platform), Priority::Effect);
    }
}
