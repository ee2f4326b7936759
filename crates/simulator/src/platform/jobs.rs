//! Synchronization jobs (platform-facts.md 7, U-9). They have no REST call at the vendor; states are ours.

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
    /// From a path: the full name or the short one.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "leads" | "peering.sync-leads-job" => Some(Self::Leads),
            "trunks" | "peering.sync-trunks-job" => Some(Self::Trunks),
            _ => None,
        }
    }
}

/// Where a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum JobState {
    /// It never ran.
    Idle,
    /// It runs.
    Running,
    /// Its last run went well.
    Succeeded,
    /// Its last run did not.
    Failed,
}

/// A job, as the control API shows it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Job {
    /// Its name.
    pub name: JobName,
    /// Where it is.
    pub state: JobState,
    /// How many runs have ended.
    pub runs: u64,
    /// When the last run started.
    pub last_started: Option<Millis>,
    /// When the last run ended.
    pub last_finished: Option<Millis>,
    /// How often it runs by itself; null is never.
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
    /// When the run that is under way will end.
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
    /// All.
    pub fn all(&self) -> &[Job] {
        &self.0
    }

    /// One.
    pub fn get(&self, name: JobName) -> &Job {
        &self.0[name as usize]
    }

    fn get_mut(&mut self, name: JobName) -> &mut Job {
        &mut self.0[name as usize]
    }
}

impl Platform {
    /// Starts a run; when it will end. A run that is under way has to end first: then `Err` says when it will.
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

    /// Lets a job run by itself; none or 0 is never.
    pub fn schedule_job(&mut self, now: Millis, name: JobName, every: Option<u64>) -> &Job {
        let every = every.filter(|every| *every > 0);
        let job = self.jobs.get_mut(name);
        job.every_milliseconds = every;
        job.next = every.map(|every| now + every);
        job
    }

    /// Brings jobs up to now: starts what is due, ends what is over.
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
        // When nobody looked for many periods, what the earlier runs did cannot be told from what the last one does:
        // they are counted, no more.
        let skipped = ((now - next) / every).saturating_sub(1);
        let at = next + skipped * every;
        let counted = skipped * every / every.max(self.settings.job_duration);
        // It cannot be running: its caller looked.
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
