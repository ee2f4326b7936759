//! How each platform is connected to.

use std::sync::Arc;

use oc_domain::conditions::{Reason, Trouble};
use oc_domain::facts::DeletionPolicy;
use oc_domain::place::Place;
use oc_domain::time::Time;

use crate::platform::inventory::Inventory;

/// How a platform is connected to.
#[derive(Clone)]
pub struct Connected {
    /// What the connection was made from: another one is made when this differs.
    pub fingerprint: String,
    /// What of that stands in the spec.
    pub spec: String,
    /// Where it leads to; `None` while there is no URL that can be read.
    pub place: Option<Place>,
    /// When the rest (the Secret, the CA bundle) was last read.
    pub read: Time,
    /// The inventory, or why there is none.
    pub inventory: Result<Arc<Inventory>, Trouble>,
    /// The connection by which the platform was last read.
    pub last_good: Option<LastWorking>,
    /// The connection by another credential, which is not proven yet: while the one before is good, the objects go on with that.
    pub trying: Option<Trying>,
}

/// A connection by a credential that was changed and is not proven yet.
#[derive(Clone)]
pub struct Trying {
    /// See [`Connected`].
    pub fingerprint: String,
    /// The inventory.
    pub inventory: Arc<Inventory>,
}

/// A connection that has worked. It is kept in memory only, and for one purpose: a namespace that is deleted loses its Secret first, and what is
/// in it must be able to go all the same.
#[derive(Clone)]
pub struct LastWorking {
    /// See [`Connected`].
    pub fingerprint: String,
    /// Which platform it is to, and as whom: for another one it is worth nothing.
    pub identity: String,
    /// The inventory, with its client.
    pub inventory: Arc<Inventory>,
}

impl Connected {
    /// Whether the credential is what fails: it is missing, or it was refused.
    pub fn refused(&self) -> bool {
        let trouble = match (&self.trying, &self.inventory) {
            (Some(trying), _) => trying.inventory.budget().open_reason(),
            (None, Ok(inventory)) => inventory.budget().open_reason(),
            (None, Err(trouble)) => Some(trouble.clone()),
        };
        trouble.is_some_and(|trouble| trouble.reason == Reason::AuthenticationFailed)
    }

    /// Whether it tries another credential than before, or begins or ends to try one.
    pub fn tries_another(&self, before: &Self) -> bool {
        let tried = |connected: &Self| connected.trying.as_ref().map(|trying| trying.fingerprint.clone());
        tried(self) != tried(before)
    }

    /// Whether what can be done with it is something else than before.
    pub fn differs(&self, before: &Self) -> bool {
        match (&self.inventory, &before.inventory) {
            (Ok(_), Ok(_)) => self.fingerprint != before.fingerprint,
            (Err(now), Err(before)) => now != before,
            _ => true,
        }
    }

    /// What a pass over an object of a service or lead uses. One that is being deleted uses the connection that last worked when there is no other:
    /// to delete what it made, or (whatever its policy) to see what became of a create. Nothing else does.
    ///
    /// # Errors
    /// Why there is no connection, and for an object that can't go without one what lets it go.
    pub fn for_object(&self, going: Option<DeletionPolicy>) -> Result<Arc<Inventory>, Trouble> {
        match (&self.inventory, going, &self.last_good) {
            (Err(_), Some(_), Some(good)) => Ok(Arc::clone(&good.inventory)),
            (Err(trouble), Some(DeletionPolicy::Delete), None) => {
                let message = format!("{} Or set spec.deletionPolicy to Retain to let this object go and keep what it has on the platform.", trouble.message);
                Err(Trouble { message, ..trouble.clone() })
            }
            (given, _, _) => given.clone(),
        }
    }
}

/// A platform object that waits for another credential: until this time there is nothing else to do, unless the object itself is changed.
#[derive(Clone, Debug)]
pub struct CredentialBackoff {
    /// The object's version.
    pub version: Option<String>,
    /// When the platform is asked again.
    pub until: Time,
}
