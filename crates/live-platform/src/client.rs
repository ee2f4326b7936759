//! The client: one method for each call of the platform.

mod directory;
mod topology;

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use oc_domain::model::{Lead, Service, Task};
use oc_domain::names::{ChannelId, CustomerGuid, TaskId, TenantId};
use reqwest::{Method, StatusCode};
use url::Url;

use crate::error::{Error, ErrorKind, RequestSent};
use crate::observer::{Endpoint, Observer};
use crate::paging::{Endless, Listed, Pager};
use crate::requests::{self, CreateService};
use crate::secrets::Secrets;
use crate::settings::{ClientSettings, Credential, check_url};
use crate::transport::{Body, HttpCall, HttpResponse, Purpose, Reply, Transport, declined, unreadable};
use crate::wire;
use crate::wire::entries::{EntryReader, KnownEntries};
use crate::wire::errors::Form;
use crate::wire::in_order::Odd;
use crate::wire::json::{ListKind, Malformed, Page};
use oc_domain::requests::NewLead;

/// A client of one Live Platform, for one identity. Cheap to clone: clones share connections, token and
/// credential.
///
/// Every method fails with [`Error`]. Each method documents the error kinds it returns beyond the general
/// ones.
#[derive(Clone)]
pub struct Client {
    transport: Arc<Transport>,
}

/// The outcome of a delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Deleted {
    /// The platform accepted it. It may still be running: read until the object is gone (N-11).
    Accepted,
    /// The platform has no such object (404).
    NotFound,
}

/// The answer of a call whose existence is only inferred: a release may lack it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MaybeAbsent<T> {
    /// The call exists and gave this answer.
    Available(T),
    /// This release has no such call, or has a different one at that path.
    Unavailable,
}

/// Whether the request that started a task may have held secret values, which the task's texts may repeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SecretsSent {
    /// It held none.
    No,
    /// It may have. If this client started the task, it knows the secrets and removes them. Otherwise, as
    /// after a restart, it shows only the level of the task's messages.
    Perhaps,
}

/// The HTTP method of an installation's own job call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum JobMethod {
    /// POST with an empty body.
    #[default]
    Post,
    /// PUT with an empty body.
    Put,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("base_url", &self.transport.settings.base_url.as_str())
            .finish_non_exhaustive()
    }
}

impl Client {
    /// Makes a client. Sends no request yet.
    ///
    /// # Errors
    /// [`ErrorKind::Settings`], saying what to change: a URL that is neither https nor local, an empty id or
    /// scope, an unusable CA bundle, a limit out of range.
    pub fn new(
        settings: ClientSettings,
        credential: Credential,
        observer: Option<Arc<dyn Observer>>,
    ) -> Result<Self, Error> {
        Ok(Self {
            transport: Arc::new(Transport::new(settings, credential, observer)?),
        })
    }

    /// Lists all leads: GET `/api/v2/oc/lead`, page by page (platform-facts.md 1.3, 2.1; C-12). Each page has
    /// its own deadline and limit. The first list of a client also requests page 0, to find out whether the
    /// platform counts from 0. Later lists do so only when it does, or when the list is empty.
    ///
    /// # Errors
    /// [`ErrorKind::BadAnswer`] when a page is not a list, or the list does not end after 1000 pages.
    pub async fn leads(&self) -> Result<Listed<Arc<Lead>>, Error> {
        let mut entries = self.transport.leads.begin();
        let settings = &self.transport.settings;
        let (size, kind) = (settings.page_size, wire::leads::kind(settings.contact_details));
        let mut pager = Pager::new(size, self.transport.first_page(), |lead: &Arc<Lead>| lead.id);
        while let Some(number) = pager.next() {
            let query = [("PageNumber", number.to_string()), ("PageSize", size.to_string())];
            let call = self.list(Endpoint::Leads, "api/v2/oc/lead", &query);
            let (status, page) = match self.page(&call, &mut entries, &kind).await {
                Ok(read) => read,
                Err(error) if pager.refused(error.status.filter(|_| error.sent == RequestSent::Answered)) => {
                    continue;
                }
                Err(error) => return Err(error),
            };
            let each_once = entries.each_once(|lead, hasher| lead.id.hash(hasher));
            pager
                .take(page, each_once)
                .map_err(|Endless| endless(status.as_u16()))?;
        }
        entries.complete();
        let (listed, first) = pager.done();
        self.transport.set_first_page(first);
        Ok(listed)
    }

    /// Lists the leads of one tenant: none, one or two (platform-facts.md 2.1). GET
    /// `/api/v2/oc/lead?msTenantID=`, which is documented without paging.
    ///
    /// No items and [`Listed::unreadable`] 0 mean that the platform itself says there are none: by an empty
    /// list, or by a 404 in one of its own forms (E3, E4; not documented). Leads of other tenants in the
    /// answer are left out and counted as unreadable: a release that ignores the filter may have left this
    /// tenant's leads on another page.
    ///
    /// # Errors
    /// [`ErrorKind::BadAnswer`] when it is not a list; [`ErrorKind::NotFound`] for a 404 in any other form,
    /// since a proxy in between may have sent it.
    pub async fn leads_of(&self, tenant: &TenantId) -> Result<Listed<Arc<Lead>>, Error> {
        let call = self.list(
            Endpoint::LeadsOfTenant,
            "api/v2/oc/lead",
            &[("msTenantID", tenant.to_string())],
        );
        let answer = match self.transport.ask_raw(&call).await? {
            Reply::Success(answer) => answer,
            Reply::Refusal(error, Form::Bare | Form::Described) if error.status == Some(404) => {
                return Ok(Listed {
                    items: Vec::new(),
                    unreadable: 0,
                    why: None,
                    pages: 1,
                });
            }
            Reply::Refusal(error, _) => return Err(error),
        };
        let contact_details = self.transport.settings.contact_details;
        let entries = KnownEntries::default();
        let page = wire::leads::leads(&answer.body, contact_details, &mut entries.begin())
            .map_err(|why| unreadable(call.endpoint, answer.status, why))?;
        let mut listed = Listed::of(page);
        let all = listed.items.len();
        listed.items.retain(|lead| lead.tenant == *tenant);
        let foreign = all - listed.items.len();
        if foreign > 0 {
            listed.unreadable += foreign;
            listed
                .why
                .get_or_insert("is of another tenant, so the platform ignored the filter");
        }
        let mut seen = std::collections::HashSet::new();
        listed.items.retain(|lead| seen.insert(lead.id));
        Ok(listed)
    }

    /// Lists all services: GET `/api/v3/customer` (platform-facts.md 6.1), which has no paging.
    ///
    /// # Errors
    /// [`ErrorKind::BadAnswer`] when it is not a list.
    pub async fn services(&self) -> Result<Listed<Arc<Service>>, Error> {
        let call = self.list(Endpoint::Services, "api/v3/customer", &[]);
        let mut entries = self.transport.services.begin();
        let (_, page) = self.page(&call, &mut entries, &wire::services::KIND).await?;
        let is_each_once = entries.each_once(|service, hasher| service.guid.hash(hasher));
        entries.complete();
        Ok(Listed::of(if is_each_once {
            page
        } else {
            wire::services::each_once(page)
        }))
    }

    /// Reads a page of a list while it comes. If that can't be done, it is read when all of it is there, and asked for
    /// again if it is too long to have been kept. Later lists are then read when all is there.
    async fn page<T: Send + Sync>(
        &self,
        call: &HttpCall,
        entries: &mut EntryReader<'_, T>,
        kind: &ListKind<T>,
    ) -> Result<(StatusCode, Page<Arc<T>>), Error> {
        let mut kept = None;
        if entries.come_in_order() {
            let mut list = kind.begin(entries);
            let answer = self.transport.ask_into(call, Some(&mut list)).await?;
            match (answer.is, list.end()) {
                (Body::Taken, Ok(page)) => return Ok((answer.status, page)),
                (Body::Kept, _) => kept = Some(answer),
                (Body::Taken, Err(Odd)) if !answer.body.is_empty() => kept = Some(answer),
                (Body::Taken | Body::Odd, _) => {}
            }
        }
        let answer = match kept {
            Some(answer) => answer,
            None => self.transport.ask(call).await?,
        };
        let page = kind
            .read_whole(&answer.body, entries)
            .map_err(|why| unreadable(call.endpoint, answer.status, why))?;
        entries.came_odd();
        Ok((answer.status, page))
    }

    /// Requests a service: POST `/api/v3/customer` (platform-facts.md 3.3). Sent once, and repeated only
    /// after a 401.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`] with the platform's words (U-3, U-4), [`ErrorKind::NotFound`] for an unknown
    /// lead. [`Error::may_have_happened`] says whether the service may be on its way anyway: then look before
    /// requesting it again. [`ErrorKind::BadAnswer`] when it was accepted but no task id came.
    pub async fn create_service(&self, request: &CreateService) -> Result<TaskId, Error> {
        let mut call = self.change(
            Endpoint::CreateService,
            Method::POST,
            "api/v3/customer",
            Some(requests::create_service(request)),
        );
        call.secrets = requests::secrets(request);
        self.start(&call).await
    }

    /// Reads a task: GET `/api/v2/task/{id}` (platform-facts.md 5). `None` when the platform does not know
    /// it: right after the create it may not be visible yet, later it is lost (U-5). `sent` says how to treat
    /// its texts when this client does not know the secrets it was started with.
    ///
    /// # Errors
    /// [`ErrorKind::BadAnswer`] when it has no status.
    pub async fn task(&self, id: &TaskId, sent: SecretsSent) -> Result<Option<Task>, Error> {
        let mut call = self.read(Endpoint::Task, &format!("api/v2/task/{id}"));
        call.secrets = self.transport.begun_with(id).unwrap_or_else(|| match sent {
            SecretsSent::No => Secrets::none(),
            SecretsSent::Perhaps => Secrets::unknown(),
        });
        let Some(answer) = found(self.transport.ask(&call).await)? else {
            return Ok(None);
        };
        wire::tasks::task(&answer.body, id, &call.secrets)
            .map(Some)
            .map_err(|why| unreadable(call.endpoint, answer.status, why))
    }

    /// Deletes a service: DELETE `/api/v2/customer/{guid}` (platform-facts.md 4). Its SIP connections and
    /// dial plans go too.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`] with the platform's words.
    pub async fn delete_service(&self, guid: &CustomerGuid) -> Result<Deleted, Error> {
        self.delete(&self.change(
            Endpoint::DeleteService,
            Method::DELETE,
            &format!("api/v2/customer/{guid}"),
            None,
        ))
        .await
    }

    /// Creates a consentless lead: POST `/api/v2/oc/lead` (platform-facts.md 2.3). The answer says nothing
    /// (U-15): read the tenant's leads.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`], with `TenantId` or `CompanyName` among the fields when one is taken.
    pub async fn create_lead(&self, lead: &NewLead) -> Result<(), Error> {
        self.effect(&self.change(
            Endpoint::CreateLead,
            Method::POST,
            "api/v2/oc/lead",
            Some(requests::create_lead(lead)),
        ))
        .await
    }

    /// Deletes a consentless lead: DELETE `/api/v2/oc/lead?msTenantID=` (platform-facts.md 2.4). A consented
    /// lead cannot be deleted here.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`] for a consented lead, or one that has a service (U-7).
    pub async fn delete_lead(&self, tenant: &TenantId) -> Result<Deleted, Error> {
        let mut call = self.change(Endpoint::DeleteLead, Method::DELETE, "api/v2/oc/lead", None);
        call.url
            .query_pairs_mut()
            .append_pair("msTenantID", &tenant.to_string());
        self.delete(&call).await
    }

    /// Attaches the tenant's lead to a channel: PUT `/api/v3/ovoc/channel/action/assign` (platform-facts.md
    /// 2.5; C-10). The platform allows 300 of these a minute, over all users (1.4).
    ///
    /// # Errors
    /// [`ErrorKind::Refused`], also when a 200 says that it failed (E7, C-11).
    pub async fn assign_channel(&self, tenant: &TenantId, channel: ChannelId) -> Result<(), Error> {
        self.effect(&self.change(
            Endpoint::AssignChannel,
            Method::PUT,
            "api/v3/ovoc/channel/action/assign",
            Some(requests::assign_channel(tenant, channel)),
        ))
        .await
    }

    /// Detaches the tenant's lead from its channel: PUT `/api/v3/ovoc/channel/action/remove/?msTenantId=`
    /// (platform-facts.md 2.5).
    ///
    /// # Errors
    /// As [`Client::assign_channel`].
    pub async fn unassign_channel(&self, tenant: &TenantId) -> Result<(), Error> {
        let mut call = self.change(
            Endpoint::UnassignChannel,
            Method::PUT,
            "api/v3/ovoc/channel/action/remove/",
            None,
        );
        call.url
            .query_pairs_mut()
            .append_pair("msTenantId", &tenant.to_string());
        self.effect(&call).await
    }

    /// Counts a tenant's telephone numbers: GET `/api/v2/oc/numbers?msTenantId=` (platform-facts.md 6.6). The
    /// call documents no paging. A release that pages anyway gives too few, so read the count as "at least".
    ///
    /// [`MaybeAbsent::Unavailable`]: the API itself said, by a 404 in one of its own forms (E3, E4), that it
    /// knows no such thing. That is a hint, not a proof: the same words may mean this tenant only
    /// (assumption). A caller that has ever had a count from this platform must not believe it.
    ///
    /// # Errors
    /// [`ErrorKind::BadAnswer`] when it is not a list. Any other refusal is an error too, be it 404, 405, 410
    /// or 501: a proxy, a gateway without its route, and a platform being deployed answer the same, and
    /// taking that for "no numbers" would delete a service that has some.
    pub async fn numbers_of(&self, tenant: &TenantId) -> Result<MaybeAbsent<u64>, Error> {
        let call = self.list(
            Endpoint::Numbers,
            "api/v2/oc/numbers",
            &[("msTenantId", tenant.to_string())],
        );
        match self.transport.ask_raw(&call).await? {
            Reply::Success(answer) => wire::services::count_numbers(&answer.body)
                .map(MaybeAbsent::Available)
                .map_err(|why| unreadable(call.endpoint, answer.status, why)),
            Reply::Refusal(error, Form::Bare | Form::Described) if error.status == Some(404) => {
                Ok(MaybeAbsent::Unavailable)
            }
            Reply::Refusal(error, _) => Err(error),
        }
    }

    /// Makes an installation's own call that starts a synchronization job (platform-facts.md 7: the platform
    /// documents none). The token is sent only to the platform's own origin. The call is sent once, whatever
    /// the method.
    ///
    /// # Errors
    /// [`ErrorKind::Settings`] when the URL is neither https nor local; [`ErrorKind::Forbidden`] when another
    /// origin requires a login.
    pub async fn run_job(&self, url: &Url, method: JobMethod) -> Result<(), Error> {
        check_url(
            url,
            "the url of the synchronization job",
            "https://live.example.com/jobs/leads",
        )?;
        let method = match method {
            JobMethod::Post => Method::POST,
            JobMethod::Put => Method::PUT,
        };
        let bearer = url.origin() == self.transport.settings.base_url.origin();
        let call = HttpCall {
            endpoint: Endpoint::Job,
            method,
            url: url.clone(),
            body: None,
            purpose: Purpose::Change,
            bearer,
            secrets: Secrets::none(),
        };
        self.effect(&call).await
    }
}

impl Client {
    /// Returns the URL of a path below the base, with exactly one slash between them (C-25).
    fn url(&self, path: &str) -> Url {
        let base = &self.transport.settings.base_url;
        let mut url = base.clone();
        url.set_path(&[base.path().trim_end_matches('/'), "/", path].concat());
        url.set_query(None);
        url.set_fragment(None);
        url
    }

    fn read(&self, endpoint: Endpoint, path: &str) -> HttpCall {
        HttpCall {
            endpoint,
            method: Method::GET,
            url: self.url(path),
            body: None,
            purpose: Purpose::Read,
            bearer: true,
            secrets: Secrets::none(),
        }
    }

    fn list(&self, endpoint: Endpoint, path: &str, query: &[(&str, String)]) -> HttpCall {
        let mut call = self.read(endpoint, path);
        if !query.is_empty() {
            call.url.query_pairs_mut().extend_pairs(query);
        }
        HttpCall {
            purpose: Purpose::List,
            ..call
        }
    }

    fn change(&self, endpoint: Endpoint, method: Method, path: &str, body: Option<Vec<u8>>) -> HttpCall {
        HttpCall {
            endpoint,
            method,
            url: self.url(path),
            body,
            purpose: Purpose::Change,
            bearer: true,
            secrets: Secrets::none(),
        }
    }

    /// Makes a change that starts a task.
    async fn start(&self, call: &HttpCall) -> Result<TaskId, Error> {
        let answer = self.transport.ask(call).await?;
        match wire::tasks::task_id(&answer.body) {
            Ok(id) => {
                self.transport.has_begun(&id, &call.secrets);
                Ok(id)
            }
            Err(why) => match wire::tasks::envelope(&answer.body, &call.secrets) {
                Err(said) if wire::tasks::failed_surely(&answer.body) => Err(declined(call, &answer, said)),
                _ => Err(unreadable(call.endpoint, answer.status, why)),
            },
        }
    }

    /// Makes a change that is complete once answered, unless the answer says otherwise (E7).
    async fn effect(&self, call: &HttpCall) -> Result<(), Error> {
        let answer = self.transport.ask(call).await?;
        wire::tasks::envelope(&answer.body, &call.secrets).map_err(|said| declined(call, &answer, said))
    }

    async fn delete(&self, call: &HttpCall) -> Result<Deleted, Error> {
        match self.effect(call).await {
            Ok(()) => Ok(Deleted::Accepted),
            Err(Error {
                kind: ErrorKind::NotFound { .. },
                ..
            }) => Ok(Deleted::NotFound),
            Err(error) => Err(error),
        }
    }
}

/// Turns [`ErrorKind::NotFound`] into `None`.
fn found(result: Result<HttpResponse, Error>) -> Result<Option<HttpResponse>, Error> {
    match result {
        Ok(answer) => Ok(Some(answer)),
        Err(Error {
            kind: ErrorKind::NotFound { .. },
            ..
        }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn endless(status: u16) -> Error {
    let message = "listing the leads failed: the platform's list does not end after 1000 pages; it does not page as documented";
    Error::new(ErrorKind::BadAnswer, RequestSent::Answered, message)
        .with_status(status)
        .with_source(Malformed::NotAList)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Holds that the futures of all methods can be spawned: it only has to compile.
    #[allow(dead_code, reason = "it is compiled, not run")]
    fn futures_are_send(
        client: &Client,
        request: &CreateService,
        lead: &NewLead,
        tenant: &TenantId,
        guid: &CustomerGuid,
        id: &TaskId,
        url: &Url,
    ) {
        fn is_send(_: impl Send) {}
        is_send((
            client.leads(),
            client.leads_of(tenant),
            client.services(),
            client.create_service(request),
            client.task(id, SecretsSent::No),
        ));
        is_send((
            client.delete_service(guid),
            client.create_lead(lead),
            client.delete_lead(tenant),
            client.assign_channel(tenant, 1),
            client.unassign_channel(tenant),
        ));
        is_send((
            client.lc_customer(1),
            client.numbers_of(tenant),
            client.run_job(url, JobMethod::Post),
        ));
    }
}
