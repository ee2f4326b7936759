//! Reads of the topology side, which a release may lack.

use oc_domain::model::LcCustomer;
use oc_domain::names::{ChannelId, LcCustomerId};

use super::{Client, MaybeAbsent};
use crate::error::Error;
use crate::observer::Endpoint;
use crate::transport::{HttpResponse, Reply, unreadable};
use crate::wire;
use crate::wire::errors::Form;

/// The path of channels, below the base (platform-facts.md 6.3).
const CHANNELS: &str = "api/ovoc/v1/topology/channels";

/// The path of LC customers, below the base. `api/ovoc/v1/topology/lcCustomers` is the other guess (C-9,
/// platform-facts-2.md 6).
const LC_CUSTOMERS: &str = "api/ovoc/v1/topology/customers";

impl Client {
    /// Reads one LC customer by GET, never by the documented PUT, which changes it (N-6, C-9).
    /// `Available(None)`: there is no customer with this id (E4).
    ///
    /// # Errors
    /// [`crate::ErrorKind::BadAnswer`] when it is not JSON.
    pub async fn lc_customer(&self, id: LcCustomerId) -> Result<MaybeAbsent<Option<LcCustomer>>, Error> {
        let answer = match self
            .inferred(Endpoint::LcCustomer, &format!("{LC_CUSTOMERS}/{id}"))
            .await?
        {
            MaybeAbsent::Available(Some(answer)) => answer,
            MaybeAbsent::Available(None) => return Ok(MaybeAbsent::Available(None)),
            MaybeAbsent::Unavailable => return Ok(MaybeAbsent::Unavailable),
        };
        match wire::topology::lc_customer(&answer.body)
            .map_err(|why| unreadable(Endpoint::LcCustomer, answer.status, why))?
        {
            Some(customer) if customer.id == id => Ok(MaybeAbsent::Available(Some(customer))),
            _ => Ok(MaybeAbsent::Unavailable),
        }
    }

    /// Whether there is a channel of this id: GET `/api/ovoc/v1/topology/channels/{id}` (platform-facts.md
    /// 6.3). `Available(false)`: there is none (E4, which is documented for another call with a channel's
    /// id).
    ///
    /// # Errors
    /// [`crate::ErrorKind::BadAnswer`] when it is not JSON.
    pub async fn channel(&self, id: ChannelId) -> Result<MaybeAbsent<bool>, Error> {
        let answer = match self
            .inferred(Endpoint::Channel, &format!("{CHANNELS}/{id}"))
            .await?
        {
            MaybeAbsent::Available(Some(answer)) => answer,
            MaybeAbsent::Available(None) => return Ok(MaybeAbsent::Available(false)),
            MaybeAbsent::Unavailable => return Ok(MaybeAbsent::Unavailable),
        };
        let read = wire::topology::channel(&answer.body)
            .map_err(|why| unreadable(Endpoint::Channel, answer.status, why))?;
        Ok(if read == Some(id) {
            MaybeAbsent::Available(true)
        } else {
            MaybeAbsent::Unavailable
        })
    }

    /// Makes a read that a release may lack. `Available(None)`: there is none of this id, in the topology
    /// server's own words (E4).
    async fn inferred(
        &self,
        endpoint: Endpoint,
        path: &str,
    ) -> Result<MaybeAbsent<Option<HttpResponse>>, Error> {
        match self.transport.ask_raw(&self.read(endpoint, path)).await? {
            Reply::Success(answer) => Ok(MaybeAbsent::Available(Some(answer))),
            Reply::Refusal(error, form) => match (error.status, form) {
                (Some(404), Form::Described) => Ok(MaybeAbsent::Available(None)),
                (Some(404 | 405 | 410 | 501), _) => Ok(MaybeAbsent::Unavailable),
                _ => Err(error),
            },
        }
    }
}
