//! Cases as commands read them. A registry keeps them, and could put up some of its own: nothing of a case is shown or put on paper before it is
//! known that those signed it who may, the registry or an auditor the opening, an auditor or the person each step.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::access::{Found, Grant, RulesInForce, Statements, verify_granted};
use crate::client::{self, Catalogue};
use crate::digest::Sha256Digest;
use crate::identity::{KeyId, VerifyingKey};
use crate::misuse::{Case, CaseError, CaseStep, Standing, Step, verify_case, verify_step_in};
use crate::name::CheckpointId;
use crate::statement::{Predicate as _, Statement, Verified};

/// Reads cases, by the rules in force for the checkpoint of each.
pub(in crate::cli) struct Docket<'a> {
    catalogue: &'a Catalogue,
    statements: &'a dyn Statements,
    rules: RefCell<BTreeMap<CheckpointId, Rc<RulesInForce>>>,
    grants: RefCell<BTreeMap<Sha256Digest, Option<Rc<Found>>>>,
}

/// A case whose signers may open one, and its steps whose signers may take them.
pub(in crate::cli) struct VerifiedCase {
    pub(in crate::cli) case: Verified<Statement<Case>>,
    /// In the order in which they came in.
    pub(in crate::cli) steps: Vec<Verified<CaseStep>>,
    /// Steps that are left out: none of their signers may take such a step now.
    pub(in crate::cli) left_out: usize,
    rules: Rc<RulesInForce>,
}

impl VerifiedCase {
    /// How the case stands.
    pub(in crate::cli) fn standing(&self) -> Standing {
        Standing::after(self.steps.iter().map(|step| &**step))
    }
}

impl<'a> Docket<'a> {
    /// Reads what lies in `statements` by `catalogue`.
    pub(in crate::cli) fn new(catalogue: &'a Catalogue, statements: &'a dyn Statements) -> Self {
        Self { catalogue, statements, rules: RefCell::default(), grants: RefCell::default() }
    }

    /// A case with its steps.
    pub(in crate::cli) fn read(&self, found: &Found) -> anyhow::Result<VerifiedCase> {
        let steps = self.statements.about(CaseStep::KIND, found.digest)?;
        self.read_with(found, &steps)
    }

    /// A case with those of `steps` that say they belong to it.
    pub(in crate::cli) fn read_with(&self, found: &Found, steps: &[Found]) -> anyhow::Result<VerifiedCase> {
        let checkpoint = found.envelope.claim::<Case>()?.subject.name.parse()?;
        let rules = self.load_rules(&checkpoint)?;
        let case = verify_case(&found.envelope, &rules)?;
        let (mut taken, mut left_out) = (Vec::new(), 0);
        for step in steps {
            let Ok(claim) = step.envelope.claim::<CaseStep>() else { continue };
            if claim.predicate.case != case.digest() {
                continue;
            }
            let is_appeal = matches!(claim.predicate.step, Step::Appeal { .. });
            let key = if is_appeal { self.subject_key(&case) } else { None };
            match verify_step_in(&step.envelope, &case, key.as_ref(), &rules) {
                Ok(step) => taken.push(step),
                Err(_) => left_out += 1,
            }
        }
        Ok(VerifiedCase { case, steps: taken, left_out, rules })
    }

    /// The grant that a case names, if its board signed it; why it is not shown otherwise.
    ///
    /// # Errors
    /// [`CaseError::OtherGrant`] if it is about another person or checkpoint than the case.
    pub(in crate::cli) fn grant(
        &self,
        read: &VerifiedCase,
    ) -> Result<Result<Verified<Statement<Grant>>, String>, CaseError> {
        let Case { grant, person, .. } = read.case.predicate;
        let Some(found) = self.find_grant(grant) else {
            return Ok(Err("you cannot read it".to_owned()));
        };
        let granted = match verify_granted(&found.envelope, &read.rules) {
            Ok(granted) => granted,
            Err(error) => return Ok(Err(error.to_string())),
        };
        let is_of_case =
            granted.predicate.researcher.verifying_key.id() == person && granted.subject == read.case.subject;
        if is_of_case { Ok(Ok(granted)) } else { Err(CaseError::OtherGrant { grant }) }
    }

    /// What the person is called whom a case is about, if their grant holds.
    pub(in crate::cli) fn subject_name(&self, read: &VerifiedCase) -> String {
        let person = read.case.predicate.person;
        match self.grant(read) {
            Ok(Ok(grant)) => grant.predicate.researcher.name.to_string(),
            _ => format!("key {}", person.short()),
        }
    }

    /// Who opened a case.
    pub(in crate::cli) fn opener_name(&self, read: &VerifiedCase) -> String {
        let by_registry = read.case.signers().iter().any(|key| read.rules.registry.keys().contains(key));
        if by_registry { "the registry".to_owned() } else { self.signer_names(&read.case, read) }
    }

    /// Who took a step.
    pub(in crate::cli) fn actor_name(&self, step: &Verified<CaseStep>, read: &VerifiedCase) -> String {
        self.signer_names(step, read)
    }

    fn signer_names<T>(&self, signed: &Verified<T>, read: &VerifiedCase) -> String {
        let person = read.case.predicate.person;
        let signer_names = |key: &VerifyingKey| match key.id() == person {
            true => self.subject_name(read),
            false => self.catalogue.name_of(key),
        };
        signed.signers().iter().map(signer_names).collect::<Vec<_>>().join(", ")
    }

    /// What an auditor is called.
    pub(in crate::cli) fn auditor_name(&self, id: KeyId) -> String {
        let keys = self.catalogue.auditors().into_iter().flat_map(|auditors| auditors.keys());
        let key = keys.into_iter().find(|key| key.id() == id);
        key.map_or_else(|| format!("key {}", id.short()), |key| self.catalogue.name_of(key))
    }

    /// The key of the person whom a case is about. The case names its id, so it does not matter who signed the grant that it is read from.
    fn subject_key(&self, case: &Verified<Statement<Case>>) -> Option<VerifyingKey> {
        let found = self.find_grant(case.predicate.grant)?;
        let key = found.envelope.claim::<Grant>().ok()?.predicate.researcher.verifying_key;
        (key.id() == case.predicate.person).then_some(key)
    }

    fn find_grant(&self, grant: Sha256Digest) -> Option<Rc<Found>> {
        if let Some(known) = self.grants.borrow().get(&grant) {
            return known.clone();
        }
        let found = self.statements.find(Grant::KIND, &grant.to_string()).ok().map(Rc::new);
        self.grants.borrow_mut().insert(grant, found.clone());
        found
    }

    fn load_rules(&self, checkpoint: &CheckpointId) -> Result<Rc<RulesInForce>, client::Error> {
        if let Some(known) = self.rules.borrow().get(checkpoint) {
            return Ok(known.clone());
        }
        let rules = Rc::new(self.catalogue.rules_in_force(checkpoint)?);
        self.rules.borrow_mut().insert(checkpoint.clone(), rules.clone());
        Ok(rules)
    }
}
