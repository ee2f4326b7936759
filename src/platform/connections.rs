//! The connection to each platform.

use parking_lot::{Mutex, RwLock};
use std::collections::HashMap;
use std::sync::{Arc, Weak};

use oc_domain::conditions::{Reason, Trouble};
use oc_domain::facts::DeletionPolicy;
use oc_domain::place::Place;
use oc_domain::time::Time;

use crate::platform::budget::{Limits, Room};
use crate::platform::inventory::Inventory;

/// The connection to one platform.
#[derive(Clone)]
pub struct Connected {
    /// What the connection was made from. If it differs, a new connection is made.
    pub fingerprint: String,
    /// The part of the fingerprint that comes from the spec.
    pub spec: String,
    /// The place of the platform; `None` while the URL can't be parsed.
    pub place: Option<Place>,
    /// When the rest (the Secret, the CA bundle) was last read.
    pub read: Time,
    /// The inventory, or why there is none.
    pub inventory: Result<Arc<Inventory>, Trouble>,
    /// The connection that last read the platform.
    pub last_good: Option<LastWorking>,
    /// The connection with a changed credential that is not proven yet. While the previous one works, the
    /// objects keep using that.
    pub trying: Option<Trying>,
}

/// A connection with a changed credential that is not proven yet.
#[derive(Clone)]
pub struct Trying {
    /// The fingerprint, as in [`Connected`].
    pub fingerprint: String,
    /// The inventory.
    pub inventory: Arc<Inventory>,
}

/// A connection that has worked. It is kept in memory only, for one purpose: a namespace that is deleted
/// loses its Secret first, and its objects must still be able to finish their deletion.
#[derive(Clone)]
pub struct LastWorking {
    /// The fingerprint, as in [`Connected`].
    pub fingerprint: String,
    /// The platform it connects to, and the application used there. It is useless for another one.
    pub identity: String,
    /// The inventory, with its client.
    pub inventory: Arc<Inventory>,
}

impl Connected {
    /// Whether the credential is the problem: it is missing or was rejected.
    pub fn refused(&self) -> bool {
        let trouble = match (&self.trying, &self.inventory) {
            (Some(trying), _) => trying.inventory.budget().open_reason(),
            (None, Ok(inventory)) => inventory.budget().open_reason(),
            (None, Err(trouble)) => Some(trouble.clone()),
        };
        trouble.is_some_and(|trouble| trouble.reason == Reason::AuthenticationFailed)
    }

    /// Whether the credential being tried differs from before: another one, a first one, or none any more.
    pub fn tries_another(&self, before: &Self) -> bool {
        let tried = |connected: &Self| connected.trying.as_ref().map(|trying| trying.fingerprint.clone());
        tried(self) != tried(before)
    }

    /// Whether this connection differs from `before` in what it can be used for.
    pub fn differs(&self, before: &Self) -> bool {
        match (&self.inventory, &before.inventory) {
            (Ok(_), Ok(_)) => self.fingerprint != before.fingerprint,
            (Err(now), Err(before)) => now != before,
            _ => true,
        }
    }

    /// Returns what a pass over a lead or service uses. An object that is being deleted falls back to the
    /// connection that last worked: to delete what it made, or (whatever its policy) to see what happened to
    /// a create. Nothing else uses that one.
    ///
    /// # Errors
    /// Why there is no connection. For an object that can't finish without one, the message also says how to
    /// release it.
    pub fn for_object(&self, going: Option<DeletionPolicy>) -> Result<Arc<Inventory>, Trouble> {
        match (&self.inventory, going, &self.last_good) {
            (Err(_), Some(_), Some(good)) => Ok(Arc::clone(&good.inventory)),
            (Err(trouble), Some(DeletionPolicy::Delete), None) => {
                let message = format!(
                    "{} Or set spec.deletionPolicy to Retain to release this object and keep what it has on the platform.",
                    trouble.message
                );
                Err(Trouble {
                    message: message.into(),
                    ..trouble.clone()
                })
            }
            (given, _, _) => given.clone(),
        }
    }
}

/// A platform object that waits for another credential. Until this time there is nothing else to do, unless
/// the object itself changes.
#[derive(Clone, Debug)]
pub struct CredentialBackoff {
    /// The object's version.
    pub version: Option<String>,
    /// When the platform is called again.
    pub until: Time,
}

/// The connections to all platforms, by the name of the `LivePlatform`.
#[derive(Default)]
pub struct Connections {
    connected: RwLock<HashMap<String, Arc<Connected>>>,
    backoffs: Mutex<HashMap<String, CredentialBackoff>>,
    rooms: Mutex<HashMap<Place, Weak<Room>>>,
}

impl Connections {
    /// Returns the connection to a platform; `None` before the platform's own first pass.
    pub fn of(&self, platform: &str) -> Option<Arc<Connected>> {
        self.connected.read().get(platform).cloned()
    }

    /// Checks that this is still the connection to a platform. A pass that started before the address changed
    /// must request nothing over the old one: what the objects have there was counted without it.
    ///
    /// # Errors
    /// If it is not.
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
                "The connection to the platform was replaced during this pass. The operator tries again.",
            )),
        }
    }

    /// Sets or removes a platform's connection. Callers that wait for a response over the replaced one give
    /// up.
    pub fn set(&self, platform: &str, connected: Option<Connected>) {
        let now = connected
            .as_ref()
            .and_then(|connected| connected.inventory.as_ref().ok().cloned());
        let before = {
            let mut connections = self.connected.write();
            match connected {
                Some(connected) => connections.insert(platform.to_owned(), Arc::new(connected)),
                None => connections.remove(platform),
            }
        };
        if let Some(before) = before
            .and_then(|before| before.inventory.as_ref().ok().cloned())
            .filter(|before| now.as_ref().is_none_or(|now| !Arc::ptr_eq(now, before)))
        {
            before.give_up();
        }
    }

    /// Makes callers that wait for a response over the current connection give up, because the platform is to
    /// be reached in another way.
    pub fn give_up(&self, platform: &str) {
        let Some(connected) = self.of(platform) else {
            return;
        };
        let good = connected.last_good.as_ref().map(|good| &good.inventory);
        let inventories = connected.inventory.iter().chain(good);
        inventories.for_each(|inventory| inventory.give_up());
    }

    /// Returns what a platform object waits for, if its credential fails.
    pub fn credential_backoff(&self, platform: &str) -> Option<CredentialBackoff> {
        self.backoffs.lock().get(platform).cloned()
    }

    /// Sets or removes the back-off of a platform object.
    pub fn back_off(&self, platform: &str, backoff: Option<CredentialBackoff>) {
        let mut all = self.backoffs.lock();
        match backoff {
            Some(backoff) => all.insert(platform.to_owned(), backoff),
            None => all.remove(platform),
        };
    }

    /// Returns the room for calls at a place. All `LivePlatform` objects that point there share it. A new
    /// room is made if the limits differ.
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
