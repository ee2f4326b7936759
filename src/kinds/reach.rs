//! What a pass can reach of its platform: the inventory, if there is one, and the turn for which it has waited.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use oc_domain::conditions::{Reason, Trouble};

use crate::engine::budget::{Failed, Turn};
use crate::inventory::Inventory;

/// The platform, for one pass.
pub struct Reach {
    inventory: Option<Result<Arc<Inventory>, Trouble>>,
    turn: Mutex<Option<Turn>>,
}

impl Reach {
    /// With the inventory of the platform, or the reason why there is none.
    pub fn new(inventory: Option<Result<Arc<Inventory>, Trouble>>) -> Self {
        Self { inventory, turn: Mutex::new(None) }
    }

    /// The inventory.
    ///
    /// # Errors
    /// Why there is none.
    pub fn inventory(&self) -> Result<Arc<Inventory>, Trouble> {
        match &self.inventory {
            Some(Ok(inventory)) => Ok(Arc::clone(inventory)),
            Some(Err(trouble)) => Err(trouble.clone()),
            None => Err(Trouble::new(Reason::PlatformNotFound, "The platform object is not there.")),
        }
    }

    /// The inventory, to read from. A turn that this pass has is given back: reading needs turns as well, of which there may be one.
    ///
    /// # Errors
    /// Why there is none.
    pub fn inventory_to_read(&self) -> Result<Arc<Inventory>, Trouble> {
        self.kept().take();
        self.inventory()
    }

    fn kept(&self) -> MutexGuard<'_, Option<Turn>> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a turn, and keeps it for the change that follows. One that is not used is given back when the pass ends.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn wait_for_turn(&self) -> Result<(), Trouble> {
        let turn = self.inventory()?.budget().turn().await.map_err(|failed| failed.trouble())?;
        *self.kept() = Some(turn);
        Ok(())
    }

    /// The turn that was waited for; waits for one when there is none.
    ///
    /// # Errors
    /// As [`crate::engine::budget::Budget::turn`].
    pub async fn turn(&self, inventory: &Inventory) -> Result<Turn, Failed> {
        let kept = self.kept().take();
        match kept {
            Some(turn) => Ok(turn),
            None => inventory.budget().turn().await,
        }
    }
}
