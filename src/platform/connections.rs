//! How each platform is connected to.

use parking_lot::{Mutex, RwLock};
use std::collections::HashMap;
use std::sync::{Arc, Weak};

use oc_domain::conditions::{Reason, Trouble};
use oc_domain::facts::DeletionPolicy;
use oc_domain::place::Place;
use oc_domain::time::Time;

use crate::platform::budget::{Limits, Room};
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
                let message = format!(
                    "{} Or set spec.deletionPolicy to Retain to let this object go and keep what it has on the platform.",
                    trouble.message
                );
                Err(Trouble {
                    message,
                    ..trouble.clone()
                })
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

/// How each platform is connected to, by the name of its `LivePlatform`.
#[derive(Default)]
pub struct Connections {
    connected: RwLock<HashMap<String, Connected>>,
    backoffs: Mutex<HashMap<String, CredentialBackoff>>,
    rooms: Mutex<HashMap<Place, Weak<Room>>>,
}

impl Connections {
    /// How a platform is connected to; `None` before its own first pass.
    pub fn of(&self, platform: &str) -> Option<Connected> {
        self.connected.read().get(platform).cloned()
    }

    /// Whether this is still how a platform is connected to. A pass that began before its address was changed must not ask for anything by the former one: what
    /// the objects have there was counted without it.
    ///
    /// # Errors
    /// When it is not.
    pub fn still_by(&self, platform: &str, inventory: &Arc<Inventory>) -> Result<(), Trouble> {
        let by = |other: &Arc<Inventory>| Arc::ptr_eq(other, inventory);
        match self.of(platform) {
            Some(connected)
                if connected.inventory.as_ref().is_ok_and(by)
                    || connected
                        .last_good
                        .as_ref()
                        .is_some_and(|good| by(&good.inventory)) =>
            {
                Ok(())
            }
            _ => Err(Trouble::new(
                Reason::ProgressingWithRetry,
                "The connection to the platform was made anew meanwhile.",
            )),
        }
    }

    /// Sets or removes a platform's connection. Who waits for an answer by the one that it replaces gives up.
    pub fn set(&self, platform: &str, connected: Option<Connected>) {
        let now = connected
            .as_ref()
            .and_then(|connected| connected.inventory.as_ref().ok().cloned());
        let before = {
            let mut connections = self.connected.write();
            match connected {
                Some(connected) => connections.insert(platform.to_owned(), connected),
                None => connections.remove(platform),
            }
        };
        if let Some(before) = before
            .and_then(|before| before.inventory.ok())
            .filter(|before| now.as_ref().is_none_or(|now| !Arc::ptr_eq(now, before)))
        {
            before.give_up();
        }
    }

    /// The platform is to be reached in another way than it is: who waits for an answer by the old one gives up.
    pub fn give_up(&self, platform: &str) {
        let Some(Connected {
            inventory, last_good, ..
        }) = self.of(platform)
        else {
            return;
        };
        inventory
            .into_iter()
            .chain(last_good.map(|good| good.inventory))
            .for_each(|inventory| inventory.give_up());
    }

    /// What a platform object waits for, if its credential fails.
    pub fn credential_backoff(&self, platform: &str) -> Option<CredentialBackoff> {
        self.backoffs.lock().get(platform).cloned()
    }

    /// Sets or removes that.
    pub fn back_off(&self, platform: &str, backoff: Option<CredentialBackoff>) {
        let mut all = self.backoffs.lock();
        match backoff {
            Some(backoff) => all.insert(platform.to_owned(), backoff),
            None => all.remove(platform),
        };
    }

    /// The room for calls at a place, which all `LivePlatform` objects share that point to it. Another one is made when its limits are others.
    pub fn room(&self, place: &Place, limits: Limits) -> Arc<Room> {
        let mut rooms = self.rooms.lock();
        if let Some(room) = rooms
            .get(place)
            .and_then(Weak::upgrade)
            .filter(|room| room.limits() == limits)
        {
            return room;
        }
        rooms.retain(|_, room| room.strong_count() > 0);
        let room = Room::new(limits);
        rooms.insert(place.clone(), Arc::downgrade(&room));
        room
    }
}
