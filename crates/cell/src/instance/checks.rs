//! What health checks decide of an instance: startup, then liveness; beside it readiness, to and fro
//! (platform contract, 5.4).

use std::thread;
use std::time::{Duration, Instant};

use super::status::{State, change};
use super::{Ending, Event, Life};
use crate::app::Check;
use crate::health::{self, Verdict};
use crate::recipe::{self, Phase};

impl Life<'_> {
    /// Starts a check; `false` where there is nothing to check.
    pub(super) fn check(&mut self, check: &Check, phase: Phase) -> bool {
        let Some(action) = recipe::health(&self.plan.process, check, phase, &self.instance) else {
            return false;
        };
        let sender = self.sender.clone();
        let started = self.container.check(&action);
        self.checks.extend(started.as_ref().ok().map(health::Check::reach));
        thread::spawn(move || {
            let verdict = started.map_or_else(|failed| failed, health::Check::wait);
            if phase == Phase::UntilReady && !verdict.passed {
                // It waits for readiness itself, so that something is wrong; and the next one begins at once.
                thread::sleep(Duration::from_millis(recipe::STARTUP_INTERVAL));
            }
            sender.send(Event::Checked(phase, verdict))
        });
        true
    }

    pub(super) fn checked(&mut self, phase: Phase, verdict: &Verdict) -> Option<Ending> {
        match (phase, verdict.passed) {
            (Phase::Startup, true) => self.is_healthy(),
            (Phase::Startup, false) => {
                let seconds = self.began.elapsed().as_secs_f64();
                self.plan.health(&verdict.text);
                return Some(Ending::Crashed(format!(
                    "Instance never healthy after {seconds:.3}s: {}",
                    verdict.text
                )));
            }
            (Phase::Liveness, _) => {
                self.plan.health(&verdict.text);
                return Some(Ending::Crashed(format!(
                    "Instance became unhealthy: {}",
                    verdict.text
                )));
            }
            (Phase::UntilReady, true) => {
                change(self.status, |it| it.ready = true);
                self.plan.cell("Container passed the readiness health check. Container marked ready and added to route pool.");
                self.begin_readiness(Phase::Readiness);
            }
            (Phase::UntilReady, false) => {
                self.plan.health(&verdict.text);
                self.begin_readiness(Phase::UntilReady);
            }
            (Phase::Readiness, _) => {
                change(self.status, |it| it.ready = false);
                self.plan.health(&verdict.text);
                self.plan.cell("Container failed the readiness health check. Container marked not ready and removed from route pool.");
                self.begin_readiness(Phase::UntilReady);
            }
        }
        None
    }

    pub(super) fn is_healthy(&mut self) {
        let plan = self.plan;
        change(self.status, |it| {
            it.state = State::Running;
            it.healthy_since = Some(Instant::now());
            it.ready = plan.process.readiness.is_none();
        });
        plan.cell("Container became healthy");
        self.check(&plan.process.health, Phase::Liveness);
        self.begin_readiness(Phase::UntilReady);
    }

    fn begin_readiness(&mut self, phase: Phase) {
        let plan = self.plan;
        if let Some(readiness) = &plan.process.readiness
            && !self.check(readiness, phase)
        {
            change(self.status, |it| it.ready = true);
        }
    }
}
