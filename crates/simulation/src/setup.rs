//! The state of a world before anything happens in it.

use oc_domain::facts::DeletionPolicy;
use oc_domain::model::{Lead, LicenseType, MicrosoftStatus, Service};
use oc_domain::names::{CustomerGuid, LeadId, ShortName, ShortNameRule, TaskId, TenantId};
use oc_domain::service::{Adoption, Mode};
use oc_domain::time::{Duration, Time};

use crate::tape::Tape;

/// When everything begins. It has milliseconds, so that truncation is noticed.
pub const START: Time = Time(1_800_000_000_250);

/// How often each operator lists the platform on its own.
pub const OBSERVE: Duration = Duration::from_secs(600);

/// How many objects there are: two services and a lead.
pub const SLOTS: usize = 3;
/// How many places the platform object can point to.
pub const PLACES: usize = 2;
/// The slot of the lead object.
pub const LEAD: usize = 2;

/// Returns a span of whole seconds.
pub fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// How the second service object relates to the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Second {
    /// There is no second service object.
    Absent,
    /// It has the same tenant and another short name.
    SameTenant,
    /// It has the same short name and another tenant.
    SameName,
    /// They share only the platform.
    Apart,
}

/// The part of an object that people can change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Spec {
    /// `spec.adoption`
    pub adoption: Adoption,
    /// `spec.mode`
    pub mode: Mode,
    /// `spec.deletionPolicy`
    pub policy: DeletionPolicy,
    /// `spec.recreate`
    pub recreate: bool,
    /// `spec.suspend`
    pub suspend: bool,
    /// Whether it holds something that can't be followed.
    pub refused: bool,
    /// The number of the full name.
    pub full_name: u8,
    /// `spec.besideDirectRouting`
    pub beside: bool,
}

impl Default for Spec {
    fn default() -> Self {
        Self {
            adoption: Adoption::IfMatching,
            mode: Mode::Apply,
            policy: DeletionPolicy::Delete,
            recreate: false,
            suspend: false,
            refused: false,
            full_name: 0,
            beside: false,
        }
    }
}

impl Spec {
    /// Draws any spec, mostly a plain one.
    pub fn any(tape: &mut Tape<'_>) -> Self {
        Self {
            adoption: tape.one_of(&[Adoption::IfMatching, Adoption::Always, Adoption::Never]),
            mode: tape.one_of(&[
                Mode::Apply,
                Mode::Apply,
                Mode::Apply,
                Mode::Apply,
                Mode::Plan,
                Mode::Observe,
            ]),
            policy: tape.one_of(&[DeletionPolicy::Delete, DeletionPolicy::Retain]),
            recreate: tape.one_of(&[false, true]),
            suspend: tape.one_of(&[false, false, false, false, true]),
            refused: tape.one_of(&[false, false, false, false, true]),
            full_name: 0,
            beside: tape.one_of(&[false, true]),
        }
    }
}

/// The setup of a world. All times are in seconds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Setup {
    /// How long a create's task takes.
    pub task: u64,
    /// How many of the first tasks fail.
    pub failing_tasks: u32,
    /// How many of the first tasks end with an unknown word, whatever their outcome.
    pub unclear_tasks: u32,
    /// For how many seconds after its end the platform knows a task (U-5); `None`: forever.
    pub task_known: Option<u64>,
    /// Whether a failed task leaves a service anyway.
    pub leaves_service: bool,
    /// How long a list lags.
    pub lag: u64,
    /// When the leads of both tenants appear.
    pub lead_from: u64,
    /// How often somebody runs the leads job.
    pub job_every: u64,
    /// Whether a task reports the guid before it ends.
    pub guid_in_task: bool,
    /// How many replicas of the operator run.
    pub operators: usize,
    /// The second service object.
    pub second: Second,
    /// Whether there is a lead object that creates a consentless lead.
    pub lead: bool,
    /// A service that somebody else created before: `true` with the first object's names, `false` with other
    /// names.
    pub foreign: Option<bool>,
    /// `spec.deletions.perHour`
    pub per_hour: u32,
    /// `spec.createGrace`
    pub grace: u64,
    /// `spec.taskDeadline`
    pub deadline: u64,
    /// The specs of the objects.
    pub specs: [Spec; SLOTS],
    /// How many milliseconds a step takes when nothing is slow.
    pub step: u64,
    /// A Direct Routing service that the first tenant already has: `true` with the first object's short name,
    /// `false` with another.
    pub direct_routing: Option<bool>,
    /// Whether the platform refuses an Operator Connect service beside a Direct Routing one (U-25), until the
    /// faults stop.
    pub refuses_beside: bool,
    /// Whether the second service object refers to another `LivePlatform`, which points to the same place.
    pub two_names: bool,
    /// Whether the namespaces of the service objects may use the platform.
    pub allowed: [bool; 2],
    /// Which faults from outside happen in this world: all of them, or these two. A failure that needs
    /// several of one kind is hardly met where all kinds are equally likely.
    pub edges: Option<[usize; 2]>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            task: 10,
            failing_tasks: 0,
            unclear_tasks: 0,
            task_known: None,
            leaves_service: false,
            lag: 0,
            lead_from: 0,
            job_every: 300,
            guid_in_task: false,
            operators: 1,
            second: Second::Absent,
            lead: false,
            foreign: None,
            per_hour: 10,
            grace: 900,
            deadline: 7200,
            specs: [Spec::default(); SLOTS],
            step: 137,
            direct_routing: None,
            refuses_beside: false,
            two_names: false,
            allowed: [true; 2],
            edges: None,
        }
    }
}

impl Setup {
    /// Draws any world. A tape of zeros gives the plainest one.
    pub fn any(tape: &mut Tape<'_>) -> Self {
        let mut setup = Self {
            task: tape.one_of(&[10, 1, 60, 400, 1500, 4000]),
            failing_tasks: tape.one_of(&[0, 0, 0, 1, 2]),
            leaves_service: tape.one_of(&[false, true]),
            lag: tape.one_of(&[0, 5, 60, 120]),
            lead_from: tape.one_of(&[0, 0, 0, 700]),
            job_every: tape.one_of(&[300, 900, 1500]),
            guid_in_task: tape.one_of(&[false, true]),
            operators: tape.one_of(&[1, 2]),
            second: tape.one_of(&[
                Second::Absent,
                Second::SameTenant,
                Second::SameName,
                Second::Apart,
            ]),
            lead: tape.one_of(&[false, false, true]),
            foreign: tape.one_of(&[None, None, None, Some(true), Some(false)]),
            per_hour: tape.one_of(&[10, 1, 0]),
            ..Self::default()
        };
        if setup.leaves_service {
            // What a failed task leaves appears within `timing::LEFT_OVER`. This is an assumption about the
            // platform, and the only one of this world about lags.
            setup.lag = setup.lag.min(15);
        }
        for slot in 0..SLOTS {
            setup.specs[slot] = Spec::any(tape);
        }
        setup.direct_routing =
            tape.one_of(&[None, None, None, None, None, Some(false), Some(false), Some(true)]);
        setup.refuses_beside = tape.one_of(&[false, true]);
        setup.two_names = tape.one_of(&[false, true]);
        setup.allowed = [
            tape.one_of(&[true, true, true, false]),
            tape.one_of(&[true, true, true, false]),
        ];
        let (of_all, edges) = (tape.one_of(&[true, false]), [tape.draw(), tape.draw()]);
        setup.edges = (!of_all).then_some(edges);
        setup.unclear_tasks = tape.one_of(&[0, 0, 0, 1]);
        setup.task_known = tape.one_of(&[None, None, None, Some(90)]);
        setup.deadline = tape.one_of(&[7200, 7200, 300]);
        if setup.deadline < 7200 {
            // A lost answer on a platform that is slower than believed is another story: docs/crashes.md (d).
            setup.grace = 20_000;
            // Lists that lag their tasks by more than the deadline.
            setup.lag = if setup.leaves_service {
                setup.lag
            } else {
                tape.one_of(&[setup.lag, 600])
            };
        }
        setup
    }

    /// Returns the tenant of an object.
    pub fn tenant_of(&self, slot: usize) -> u8 {
        match (slot, self.second) {
            (0, _) | (1, Second::SameTenant) => 1,
            (1, _) => 2,
            _ => 3,
        }
    }

    /// Returns the short name of a service object.
    pub fn name_of(&self, slot: usize) -> &'static str {
        match (slot, self.second) {
            (0, _) => "Contoso_NL",
            (_, Second::SameName) => "CONTOSO_nl",
            _ => "Fabrikam",
        }
    }

    /// Whether an object exists at the beginning.
    pub fn has(&self, slot: usize) -> bool {
        match slot {
            0 => true,
            1 => self.second != Second::Absent,
            _ => self.lead,
        }
    }
}

/// The names below are valid by construction. A world that can't be built is a bug of the simulation, found
/// by its first run.
fn valid<T, E: std::fmt::Debug>(parsed: Result<T, E>) -> T {
    parsed.unwrap_or_else(|why| unreachable!("a name of the simulation is not valid: {why:?}"))
}

/// Returns a tenant's id.
pub fn tenant(number: u8) -> TenantId {
    valid(TenantId::parse(&format!(
        "{number:08x}-2222-4222-8222-222222222222"
    )))
}

/// Returns a service's id.
pub fn guid(number: u32) -> CustomerGuid {
    valid(CustomerGuid::parse(&format!(
        "{number:08x}-aaaa-4aaa-8aaa-aaaaaaaaaaaa"
    )))
}

/// Returns a task's id.
pub fn task_id(number: u32) -> TaskId {
    valid(TaskId::parse(&format!("wst_{number}")))
}

/// Returns a short name.
pub fn short_name(text: &str) -> ShortName {
    valid(ShortName::parse(text, ShortNameRule::Portal))
}

/// Returns a full name.
pub fn full_name(number: u8) -> String {
    format!("Customer {number} B.V.")
}

/// Returns a service as the platform lists it.
pub fn service(number: u32, of_tenant: u8, name: &str) -> Service {
    Service {
        guid: guid(number),
        tenant: Some(tenant(of_tenant)),
        short_name: name.into(),
        full_name: Some(full_name(0).into()),
        license: Some(LicenseType::OcEssential),
    }
}

/// Whether a service is a Direct Routing one, by the numbers of its license (platform-facts.md 4): 0, 1 or 2.
pub fn is_direct_routing(service: &Service) -> bool {
    matches!(
        service.license,
        Some(LicenseType::HostedEssentials | LicenseType::HostedEssentialsPlus | LicenseType::HostedPro)
    )
}

/// Returns a lead as the platform lists it.
pub fn lead(of_tenant: u8, status: MicrosoftStatus, consentless: bool, shows: Option<CustomerGuid>) -> Lead {
    Lead {
        id: valid(LeadId::parse(&format!(
            "{of_tenant:08x}-bbbb-4bbb-8bbb-bbbbbbbbbbbb"
        ))),
        tenant: tenant(of_tenant),
        status,
        consentless,
        service: shows,
        channel: None,
        company_name: None,
        company_size: None,
        countries: Box::default(),
        consented: None,
        last_modified: None,
        contact: None,
    }
}
