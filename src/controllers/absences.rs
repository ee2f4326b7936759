//! What vanishes, and its breaker: what the lists lack of what objects have recorded, and what an object may conclude from it.

use std::sync::Arc;

use oc_domain::absence::{AbsenceCount, Belief};

use crate::cluster::key::ObjectKey;
use crate::controllers::context::Context;
use crate::platform::inventory::Inventory;
use crate::runtime::clock;
use crate::runtime::workqueue::Priority;

/// What the lists lack of what the objects of a platform have recorded, counted anew for the platform object's own pass.
pub fn recounted(context: &Context, platform: &str, inventory: &Inventory) -> AbsenceCount {
    AbsenceCount::clone(&context.tallies.counted(platform, true, || inventory.lists()))
}

/// What an object may conclude from what the newest lists do not show, which has recorded a service or a lead of this id. The platform object is woken to
/// count, when it has to.
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

/// A list has brought something new, or an object has taken in that something is gone: while anything is held or accepted the platform object counts again.
pub fn changed(context: &Context, platform: &str) {
    if context
        .cache
        .reading(platform)
        .is_some_and(|reading| reading.absences.held > 0 || reading.absences.accepted > 0)
    {
        context.enqueue(&ObjectKey::platform(platform), Priority::Effect);
    }
}
