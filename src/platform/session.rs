//! What one pass can use of its platform: the inventory, if there is one, and the place it has reserved.

use parking_lot::{Mutex, MutexGuard};
use std::pin::pin;
use std::sync::Arc;

use oc_domain::conditions::{Reason, Trouble};
use oc_domain::decision::Change;
use oc_domain::names::TenantId;

use crate::platform::budget::{CallError, Reservation};
use crate::platform::inventory::Inventory;
use crate::runtime::clock;
use crate::runtime::leadership::Leadership;

/// The platform as one pass uses it.
pub struct PlatformSession {
    inventory: Result<Arc<Inventory>, Trouble>,
    place: Mutex<Option<Reservation>>,
}

impl PlatformSession {
    /// Creates a session with the platform's inventory, or the reason why there is none.
    pub fn new(inventory: Result<Arc<Inventory>, Trouble>) -> Self {
        Self {
            inventory,
            place: Mutex::new(None),
        }
    }

    /// Returns the inventory.
    ///
    /// # Errors
    /// Why there is none.
    pub fn inventory(&self) -> Result<Arc<Inventory>, Trouble> {
        self.inventory.clone()
    }

    /// Returns the inventory for reading, and gives back the reserved place: a place ahead of its turn must
    /// not wait for anything else.
    ///
    /// # Errors
    /// Why there is none.
    pub fn inventory_to_read(&self) -> Result<Arc<Inventory>, Trouble> {
        self.kept().take();
        self.inventory()
    }

    fn kept(&self) -> MutexGuard<'_, Option<Reservation>> {
        self.place.lock()
    }

    /// Reserves a place and keeps it for the change that follows. An unused place is given back when the pass
    /// ends.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn reserve(&self) -> Result<(), Trouble> {
        if clock::is_held() {
            let message = "The cluster's clock was changed. The operator starts nothing new until the work in progress has ended and the operator has restarted.";
            return Err(Trouble::new(Reason::ProgressingWithRetry, message));
        }
        let inventory = self.inventory()?;
        let place = async {
            let reserved = inventory.budget().reserve().await;
            reserved.map_err(|failed| failed.trouble())
        };
        let place = inventory.unless_given_up(pin!(place)).await?;
        *self.kept() = Some(place);
        Ok(())
    }

    /// Makes a call that changes something, from the reserved place if there is one.
    ///
    /// # Errors
    /// As [`crate::platform::budget::Budget::change`].
    pub async fn change<T>(
        &self,
        inventory: &Inventory,
        leadership: &Leadership,
        call: impl Future<Output = Result<T, live_platform::Error>>,
    ) -> Result<T, CallError> {
        let place = self.kept().take();
        inventory.budget().change_at(place, leadership, call).await
    }
    /// Whether it is the turn of a change that waits in a line of its own. Any other change has no such line.
    ///
    /// # Errors
    /// When to come back.
    pub fn enter_line(&self, change: &Change) -> Result<(), Trouble> {
        match change {
            Change::AssignChannel(tenant, _) | Change::UnassignChannel(tenant) => {
                self.inventory()?.budget().enter_channel_line(tenant)
            }
            Change::CreateService(_)
            | Change::DeleteService(_)
            | Change::CreateLead(_)
            | Change::DeleteLead(_) => Ok(()),
        }
    }

    /// Makes a call that changes the channel of a tenant's lead.
    ///
    /// # Errors
    /// As [`crate::platform::budget::Budget::change`].
    pub async fn change_channel<T>(
        &self,
        tenant: &TenantId,
        inventory: &Inventory,
        leadership: &Leadership,
        call: impl Future<Output = Result<T, live_platform::Error>>,
    ) -> Result<T, CallError> {
        inventory.budget().change_channel(tenant, leadership, call).await
    }
}
