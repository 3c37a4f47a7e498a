//! What to do after a failure: the same again, someone else, or give up.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

use crate::{
    catalogue::Catalogue,
    generate::{Elsewhere, ErrorKind, Failover, GenerateError, GenerateRequest, Target},
    providers::ProviderError,
};

use super::{retries::Retries, told};

/// How far one generation has come.
pub(super) struct Course {
    /// When the next attempt must have begun.
    deadline: Instant,
    /// Further attempts at the present model.
    retries: Retries,
    /// Who has failed for good.
    asked: Vec<Target>,
    /// Who is left to ask. `None`: nobody has failed so far.
    left: Option<VecDeque<Target>>,
    /// The first failure: it is the one of the model that was asked for.
    first: Option<GenerateError>,
}

/// What to do.
pub(super) enum Next {
    /// The same again, after a while.
    Again(Duration),
    /// Someone else, now.
    Other(Target),
    /// There is nobody; this is what to say.
    Nobody(GenerateError),
}

impl Course {
    /// A course without a failure.
    pub(super) fn new(retries: u32, deadline: Instant) -> Self {
        Self { deadline, retries: Retries::new(retries, deadline), asked: Vec::new(), left: None, first: None }
    }

    /// What to do now that `request` has failed with `error`.
    pub(super) fn next(&mut self, error: &ProviderError, request: &GenerateRequest, catalogue: &Catalogue) -> Next {
        if let Some(wait) = self.retries.next(error) {
            return Next::Again(wait);
        }
        let target = &request.target;
        let is_first = self.first.is_none();
        let first = self.first.get_or_insert_with(|| told(error, target)).clone();
        if Instant::now() >= self.deadline || request.failover == Failover::Nobody {
            return Next::Nobody(first);
        }
        self.retries.begin_anew();
        self.asked.push(target.clone());
        let elsewhere = match error.kind {
            // Who let us wait that long would do so with another model too.
            ErrorKind::Timeout if error.should_retry == Some(false) => Elsewhere::OtherProvider,
            kind => kind.outlook().elsewhere,
        };
        if elsewhere == Elsewhere::LargerModel {
            let mut larger: VecDeque<Target> = catalogue.fallbacks(request, true, &self.asked).into();
            if let Some(left) = &self.left {
                let is_given_up = |other: &Target| left.iter().all(|unasked| unasked.provider != other.provider);
                larger.retain(|other| other.provider == target.provider || !is_given_up(other));
            }
            self.left = Some(larger);
        }
        let left = self.left(request, catalogue);
        match elsewhere {
            Elsewhere::Nobody if is_first => return Next::Nobody(first),
            Elsewhere::OtherProvider => left.retain(|other| other.provider != target.provider),
            // What one who stands in refuses, the next may take.
            Elsewhere::AnyModel | Elsewhere::LargerModel | Elsewhere::Nobody => {}
        }
        left.pop_front().map_or(Next::Nobody(first), Next::Other)
    }

    /// Whether an attempt has failed for good.
    pub(super) fn has_failed(&self) -> bool {
        self.first.is_some()
    }

    /// Whether another provider can be asked if the present one, which has said nothing so far, is given up.
    pub(super) fn can_turn(&mut self, request: &GenerateRequest, catalogue: &Catalogue) -> bool {
        let provider = &request.target.provider;
        self.left(request, catalogue).iter().any(|other| other.provider != *provider)
    }

    fn left(&mut self, request: &GenerateRequest, catalogue: &Catalogue) -> &mut VecDeque<Target> {
        self.left.get_or_insert_with(|| catalogue.fallbacks(request, false, &self.asked).into())
    }
}
