//! Synchronization jobs (platform-facts.md 7, U-9). The vendor has no REST call for them; the states are
//! ours.

use super::Platform;
use super::endpoint::Endpoint;
use super::faults::FaultKind;
use super::time::Millis;
use serde::{Deserialize, Serialize};

/// The two jobs whose names are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum JobName {
    /// Pulls Microsoft's consents.
    #[serde(rename = "peering.sync-leads-job")]
    Leads,
    /// Pulls peering trunks.
    #[serde(rename = "peering.sync-trunks-job")]
    Trunks,
}

impl JobName {
    /// Parses the full or the short name from a path.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "leads" | "peering.sync-leads-job" => Some(Self::Leads),
            "trunks" | "peering.sync-trunks-job" => Some(Self::Trunks),
            _ => None,
        }
    }
}

/// The state of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum JobState {
    /// The job never ran.
    Idle,
    /// The job is running.
    Running,
    /// Its last run succeeded.
    Succeeded,
    /// Its last run failed.
    Failed,
}

/// A job, as the control API shows it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Job {
    /// The job's name.
    pub name: JobName,
    /// The job's state.
    pub state: JobState,
    /// How many runs have ended.
    pub runs: u64,
    /// When the last run started.
    pub last_started: Option<Millis>,
    /// When the last run ended.
    pub last_finished: Option<Millis>,
    /// How often it runs automatically; null means never.
    pub every_milliseconds: Option<u64>,
    #[serde(skip)]
    next: Option<Millis>,
    #[serde(skip)]
    ends: Option<Millis>,
}

impl Job {
    fn new(name: JobName) -> Self {
        let (state, runs) = (JobState::Idle, 0);
        let (last_started, last_finished, every_milliseconds) = (None, None, None);
        Self {
            name,
            state,
            runs,
            last_started,
            last_finished,
            every_milliseconds,
            next: None,
            ends: None,
        }
    }
}

impl Job {
    /// Returns when the current run will end.
    pub fn ends(&self) -> Option<Millis> {
        self.ends
    }
}

/// Both jobs.
#[derive(Debug)]
pub struct Jobs([Job; 2]);

impl Default for Jobs {
    fn default() -> Self {
        Self([Job::new(JobName::Leads), Job::new(JobName::Trunks)])
    }
}

impl Jobs {
    /// Returns both jobs.
    pub fn all(&self) -> &[Job] {
        &self.0
    }

    /// Returns one job.
    pub fn get(&self, name: JobName) -> &Job {
        &self.0[name as usize]
    }

    fn get_mut(&mut self, name: JobName) -> &mut Job {
        &mut self.0[name as usize]
    }
}

impl Platform {
    /// Starts a run and returns when it will end. If a run is in progress, `Err` holds when that one ends.
    pub fn start_job(&mut self, now: Millis, name: JobName) -> Result<Millis, Millis> {
        let duration = self.settings.job_duration;
        let job = self.jobs.get_mut(name);
        if let Some(ends) = job.ends {
            return Err(ends);
        }
        job.state = JobState::Running;
        job.last_started = Some(now);
        job.ends = Some(now + duration);
        Ok(now + duration)
    }

    /// Schedules a job to run automatically; none or 0 means never.
    pub fn schedule_job(&mut self, now: Millis, name: JobName, every: Option<u64>) -> &Job {
        let every = every.filter(|every| *every > 0);
        let job = self.jobs.get_mut(name);
        job.every_milliseconds = every;
        job.next = every.map(|every| now + every);
        job
    }

    /// Brings jobs up to now: starts those that are due, ends those that are over.
    pub fn advance_jobs(&mut self, now: Millis) {
        for name in [JobName::Leads, JobName::Trunks] {
            loop {
                let job = self.jobs.get(name);
                if let Some(ends) = job.ends.filter(|ends| *ends <= now) {
                    self.end_job(ends, name);
                } else if let (Some(next), None) = (job.next.filter(|next| *next <= now), job.ends) {
                    self.start_due_job(next, now, name);
                } else {
                    break;
                }
            }
        }
    }

    fn start_due_job(&mut self, next: Millis, now: Millis, name: JobName) {
        let every = self.jobs.get(name).every_milliseconds.unwrap_or(u64::MAX);
        // After many periods without a look, the effects of earlier runs cannot be told from those of the
        // last one, so they are only counted.
        let skipped = ((now - next) / every).saturating_sub(1);
        let at = next + skipped * every;
        let counted = skipped * every / every.max(self.settings.job_duration);
        // It cannot be running: the caller has checked.
        let _ = self.start_job(at, name);
        let job = self.jobs.get_mut(name);
        job.runs += counted;
        job.next = Some(at + every);
    }

    fn end_job(&mut self, at: Millis, name: JobName) {
        let failed = self
            .faults
            .befall(&mut self.chance, Endpoint::Other, None, |kind| {
                kind == FaultKind::JobFailed
            });
        let job = self.jobs.get_mut(name);
        let since = job.last_started.unwrap_or(at);
        job.ends = None;
        job.runs += 1;
        job.last_finished = Some(at);
        job.state = if failed.is_some() {
            JobState::Failed
        } else {
            JobState::Succeeded
        };
        if failed.is_some() {
            return;
        }
        match name {
            JobName::Leads => {
                self.services.synced(since, |service| service.leads_synced = true);
                self.leads.refresh();
            }
            JobName::Trunks => self
                .services
                .synced(since, |service| service.trunks_synced = true),
        }
    }
}
